/** `'%s' % x` and `'{}'.format(x)`: Python's two ways of putting values into a text. */
import { floatDigits } from './numbers.ts';
import { repr, show } from './printing.ts';
import { TemplateError } from './template-error.ts';
import { characters } from './text.ts';
import { type Arguments, isDict, isKind, numberOf, textOf, typeName, type Value } from './values.ts';

/** How one value is laid out. */
interface Layout {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const PERCENT = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([\s\S])?/g;

/** text % values: values are a tuple, a dict for names, or the only one. */
export function formatPercent(text: string, values: Value): string {
  const items = isKind(values, 'tuple') ? values.items : [values];
  let used = 0;
  const next = (): Value => {
    if (used >= items.length) throw new TemplateError('not enough arguments for format string');
    return items[used++] as Value;
  };
  const size = (part: string | undefined): number | undefined => {
    return part === '*' ? Number(numberOf(next())) : part === undefined ? undefined : Number(part);
  };
  let isNamed = false;
  const filled = text.replace(
    PERCENT,
    (whole, name: string | undefined, flags: string, width, precision, type = '') => {
      if (type === '%' && whole === '%%') return '%';
      const [wide, places] = [size(width), size(precision)];
      let value: Value;
      if (name === undefined) value = next();
      else {
        if (!isDict(values)) throw new TemplateError('format requires a mapping');
        isNamed = true;
        const found = values.get(name);
        value = found === undefined ? missing(name) : found;
      }
      return percentOne(value, flags, wide, places, type, whole);
    },
  );
  if (!isNamed && used < items.length && !isDict(values)) {
    throw new TemplateError('not all arguments converted during string formatting');
  }
  return filled;
}

function missing(name: string): never {
  throw new TemplateError(`KeyError: ${repr(name)}`);
}

function percentOne(
  ...[value, flags, width, precision, type, whole]: [
    Value,
    string,
    number | undefined,
    number | undefined,
    string,
    string,
  ]
): string {
  const layout = {
    fill: flags.includes('0') && !flags.includes('-') ? '0' : ' ',
    sign: /[+ ]/.exec(flags)?.[0] ?? '-',
    grouping: '',
    alternate: flags.includes('#'),
    width: width ?? 0,
    precision,
    align: flags.includes('-') ? '<' : '>',
  };
  if ('sra'.includes(type) && type !== '') {
    const text = type === 's' ? show(value) : type === 'r' ? repr(value) : asciiRepr(value);
    return padded(text, '', { ...layout, fill: ' ', type });
  }
  if (type === 'c') return padded(characterOf(value), '', { ...layout, fill: ' ', type });
  if (type === '' || !'diouxXeEfFgG'.includes(type))
    throw new TemplateError(`unsupported format ${JSON.stringify(whole)}`);
  const number = numberOf(value);
  if (number === undefined)
    throw new TemplateError(`%${type} format: a real number is required, not ${typeName(value)}`);
  const isInteger = 'diouxX'.includes(type);
  if (isInteger && typeof number === 'number' && 'oxX'.includes(type)) {
    throw new TemplateError(`%${type} format: an integer is required, not float`);
  }
  const kind = isInteger && 'diu'.includes(type) ? 'd' : type;
  return numeric(isInteger && typeof number === 'number' ? BigInt(Math.trunc(number)) : number, {
    ...layout,
    align: layout.fill === '0' ? '=' : layout.align,
    precision: isInteger ? undefined : precision,
    type: kind,
  });
}

function characterOf(value: Value): string {
  const number = numberOf(value);
  return number === undefined ? show(value) : String.fromCodePoint(Number(number));
}

function asciiRepr(value: Value): string {
  return repr(value).replace(/[^ -~]/gu, (one) => {
    const code = one.codePointAt(0) ?? 0;
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, '0')}`
      : code > 0xff
        ? `\\u${code.toString(16).padStart(4, '0')}`
        : `\\x${code.toString(16).padStart(2, '0')}`;
  });
}

const FIELD = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g;

/**
 * text.format(...).
 * @param look an attribute or element of a value, for fields such as {a.b} and {a[0]}
 */
export function formatBraces(text: string, args: Arguments, look: (value: Value, name: Value) => Value): string {
  let automatic = 0;
  const fieldOf = (path: string): Value => {
    const [first = '', ...steps] = path.split(/(?=[.[])/);
    const index = first === '' ? automatic++ : /^\d+$/.test(first) ? Number(first) : undefined;
    const found = index === undefined ? args.named.get(first) : args.positional[index];
    if (found === undefined) throw new TemplateError(`format: there is no argument for ${JSON.stringify(`{${path}}`)}`);
    return steps.reduce<Value>((value, step) => {
      const key = step.replace(/^[.[]|\]$/g, '');
      return look(value, step.startsWith('[') && /^\d+$/.test(key) ? BigInt(key) : key);
    }, found);
  };
  const fill = (pattern: string): string => {
    return pattern.replace(FIELD, (whole, path: string | undefined, conversion: string | undefined, spec = '') => {
      if (whole === '{{' || whole === '}}') return whole[0] as string;
      if (path === undefined) throw new TemplateError(`Single '${whole}' encountered in format string`);
      const value = fieldOf(path);
      const layout = fill(spec);
      if (conversion === undefined) return formatValue(value, layout);
      return formatValue(
        conversion === 's' ? show(value) : conversion === 'r' ? repr(value) : asciiRepr(value),
        layout,
      );
    });
  };
  return fill(text);
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/u;

/** format(value, spec). */
function formatValue(value: Value, spec: string): string {
  if (spec === '') return show(value);
  const found = SPEC.exec(spec);
  if (found === null)
    throw new TemplateError(`Invalid format specifier '${spec}' for object of type '${typeName(value)}'`);
  const [, fill, align, sign = '-', alternate, zero, width = '0', grouping = '', precision, type = ''] = found;
  const text = textOf(value);
  const number = numberOf(value);
  const layout: Layout = {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: align ?? (zero === undefined ? '' : '='),
    sign,
    grouping,
    type,
    alternate: alternate !== undefined,
    width: Number(width),
    precision: precision === undefined ? undefined : Number(precision),
  };
  if (text !== undefined) {
    if (type !== '' && type !== 's') throw new TemplateError(`Unknown format code '${type}' for object of type 'str'`);
    const cut = layout.precision === undefined ? text : characters(text).slice(0, layout.precision).join('');
    return padded(cut, '', { ...layout, align: layout.align || '<' });
  }
  if (number === undefined)
    throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
  if (type === 'c') return padded(characterOf(value), '', { ...layout, align: layout.align || '<' });
  if (type === 'n' || type === 's' || (typeof number === 'number' && 'bcdoxX'.includes(type) && type !== '')) {
    throw new TemplateError(`Unknown format code '${type}' for object of type '${typeName(value)}'`);
  }
  return numeric(number, { ...layout, align: layout.align || '>' });
}

const BASES: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };

function numeric(value: bigint | number, layout: Layout): string {
  const { type, precision, alternate, grouping } = layout;
  const isInteger = typeof value === 'bigint' && (type === '' || type === 'd' || type in BASES);
  let digits: string;
  if (isInteger) {
    const base = BASES[type] ?? 10;
    const plain = (value < 0n ? -value : value).toString(base);
    digits = `${alternate && base !== 10 ? `0${type}` : ''}${type === 'X' ? plain.toUpperCase() : plain}`;
  } else digits = floatDigits(Number(value), type, precision, alternate);
  if (grouping !== '') digits = digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, grouping));
  const isNegative = value < 0 || Object.is(value, -0);
  return padded(digits, isNegative ? '-' : layout.sign === '-' ? '' : layout.sign, layout);
}

function padded(text: string, sign: string, { fill, align, width }: Layout): string {
  const lack = width - characters(text).length - sign.length;
  if (lack <= 0) return sign + text;
  if (align === '=') return sign + fill.repeat(lack) + text;
  const left = align === '<' ? 0 : align === '^' ? Math.floor(lack / 2) : lack;
  return fill.repeat(left) + sign + text + fill.repeat(lack - left);
}
