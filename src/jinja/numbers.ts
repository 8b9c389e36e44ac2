/** Numbers from and to text as Python reads, rounds and formats them. */
import { floatRepr } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { strip } from './text.ts';

/** int(text, base); undefined where it is no number. */
export function parseInteger(text: string, base = 10): bigint | undefined {
  const found = /^([+-]?)(0[box])?([\da-z]+(?:_[\da-z]+)*)$/i.exec(strip(text, 'both', null));
  if (found === null) return undefined;
  const [, sign, prefix = '', digits = ''] = found;
  const prefixBase = { '0b': 2, '0o': 8, '0x': 16 }[prefix.toLowerCase()];
  // In base 16 "0b1" is a number of three digits.
  const isPrefix = prefixBase !== undefined && (base === prefixBase || base === 0);
  const radix = base === 0 ? (prefixBase ?? 10) : base;
  let value = 0n;
  for (const digit of `${isPrefix ? '' : prefix}${digits}`.replaceAll('_', '')) {
    const number = Number.parseInt(digit, 36);
    if (Number.isNaN(number) || number >= radix) return undefined;
    value = value * BigInt(radix) + BigInt(number);
  }
  return sign === '-' ? -value : value;
}

/** float(text); undefined where it is no number. */
export function parseFloatText(text: string): number | undefined {
  const plain = strip(text, 'both', null).toLowerCase();
  const special = /^([+-]?)(inf|infinity|nan)$/.exec(plain);
  if (special !== null) return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity;
  const isNumber = /^[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/.test(plain);
  return isNumber ? Number(plain.replaceAll('_', '')) : undefined;
}

/** Decimal digits of |value| with `places` after the point; of two as near the even one, by the exact binary value. */
function fixed(value: number, places: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(size)) return Number.isNaN(size) ? 'nan' : 'inf';
  if (size >= 1e21) return `${BigInt(size)}${places > 0 ? `.${'0'.repeat(places)}` : ''}`;
  const rounded = size.toFixed(places);
  const [whole = '', digits = ''] = size.toFixed(Math.min(100, places + 40)).split('.');
  const isHalf = /^50*$/.test(digits.slice(places));
  if (!isHalf) return rounded;
  const down = `${whole}${digits.slice(0, places)}`;
  const even = BigInt(down) % 2n === 0n ? BigInt(down) : BigInt(down) + 1n;
  const text = String(even).padStart(places + 1, '0');
  return places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`;
}

/** round(value, places). */
export function round(value: bigint | number, places: number): bigint | number {
  if (typeof value === 'number') {
    if (places < 0) throw new TemplateError('round with a negative precision is not supported for floats');
    return Number.isFinite(value) ? Math.sign(value) * Number(fixed(value, places)) : value;
  }
  if (places >= 0) return value;
  const unit = 10n ** BigInt(-places);
  const rest = ((value % unit) + unit) % unit;
  const down = value - rest;
  const isUp = rest * 2n > unit || (rest * 2n === unit && (down / unit) % 2n !== 0n);
  return isUp ? down + unit : down;
}

/** |value| in a format's presentation type: f, e, g (large letters too), % or "" for the shortest digits. */
export function floatDigits(value: number, type: string, precision: number | undefined, keepZeros: boolean): string {
  const size = Math.abs(value);
  if (!Number.isFinite(size))
    return type === type.toUpperCase() && type !== '%' && type !== '' ? fixed(size, 0).toUpperCase() : fixed(size, 0);
  if (type === '%') return `${fixed(size * 100, precision ?? 6)}%`;
  const lower = type.toLowerCase();
  if (lower === 'f') return fixed(size, precision ?? 6);
  if (type === '' && precision === undefined) return floatRepr(size);
  const text =
    lower === 'e' ? exponential(size, precision ?? 6) : general(size, precision ?? 6, keepZeros, type === '');
  return type === lower ? text : text.toUpperCase();
}

function exponential(size: number, places: number): string {
  const [digits = '', power = '0'] = size.toExponential(places).split('e');
  return `${digits}e${power.startsWith('-') ? '-' : '+'}${power.replace(/\D/, '').padStart(2, '0')}`;
}

function general(size: number, precision: number, keepZeros: boolean, isPlain: boolean): string {
  const places = Math.max(1, precision);
  const exponent = Number(size.toExponential(places - 1).split('e')[1]);
  const isFixed = exponent >= -4 && exponent < places;
  const text = isFixed ? fixed(size, places - 1 - exponent) : exponential(size, places - 1);
  const [digits = '', power] = text.split('e');
  const short = keepZeros || !digits.includes('.') ? digits : digits.replace(/\.?0+$/, '');
  if (power !== undefined) return `${short}e${power}`;
  return isPlain && !short.includes('.') ? `${short}.0` : short;
}
