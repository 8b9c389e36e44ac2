/** Dates and moments of columnar files as ISO text. */

/**
 * A moment in UTC; digits beyond the milliseconds stand only where they are not 0.
 *
 * @param nanoseconds since 1970-01-01
 * @returns the number itself as text where it lies outside of what a date can be
 */
export function momentText(nanoseconds: bigint): string {
  const rest = ((nanoseconds % million) + million) % million;
  const date = new Date(Number((nanoseconds - rest) / million));
  if (Number.isNaN(date.getTime())) return String(nanoseconds);
  const digits = String(rest).padStart(6, '0').replace(/0+$/, '');
  return digits === '' ? date.toISOString() : `${date.toISOString().slice(0, -1)}${digits}Z`;
}

const million = 1_000_000n;
