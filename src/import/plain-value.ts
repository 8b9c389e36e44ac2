/** Values of columnar files as plain JavaScript: numbers, strings, truth values, lists, objects, null. */

/** Whole numbers of 64 bits become numbers where those are exact, dates ISO text, typed arrays and vectors lists. */
export function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (typeof value !== 'object' || value === null) return value ?? null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as ArrayLike<unknown>, toPlain);
  if ('toJSON' in value && typeof value.toJSON === 'function') return toPlain(value.toJSON());
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toPlain(entry)]));
}
