/** Values of columnar files as plain JavaScript: numbers, strings, truth values, lists, objects, null. */

import { exactNumber } from './exact-json.ts';

/** Whole numbers of 64 bits become numbers where those are exact and texts otherwise, dates ISO text, typed arrays and vectors lists. */
export function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return exactNumber(String(value));
  if (typeof value !== 'object' || value === null) return value ?? null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as ArrayLike<unknown>, toPlain);
  if ('toJSON' in value && typeof value.toJSON === 'function') return toPlain(value.toJSON());
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toPlain(entry)]));
}
