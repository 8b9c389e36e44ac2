/** Decimal numbers of columnar files, which are whole numbers with a place for the point. */
import { exactNumber } from './exact-json.ts';

/** A decimal as it is written, or a number where JavaScript writes it so: 110 with scale 2 is "1.10". */
export function exactDecimal(unscaled: bigint, scale: number): number | string {
  if (scale <= 0) return exactNumber(String(unscaled * 10n ** BigInt(-scale)));
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return exactNumber(`${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`);
}

/** A whole number of any length out of its bytes, the highest first, in two's complement. */
export function signedInteger(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}
