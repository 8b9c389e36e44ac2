/** Python's strings where they differ from JavaScript's: white space, lines, and counting by code point. */

/** A pattern of what Python takes for white space: with U+001C to U+001F and U+0085, without U+FEFF. */
export const PYTHON_SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';

const SPACE = new RegExp(PYTHON_SPACE);
const LINE_ENDS = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINES = new RegExp(`\\r\\n|[${LINE_ENDS}]`, 'g');
const SURROGATE = /[\ud800-\udfff]/;

/** str.lstrip, str.rstrip and str.strip: white space, or any of `chars`. */
export function strip(text: string, sides: 'left' | 'right' | 'both', chars: string | null): string {
  // A pattern such as "space+$" would look at a long run of spaces within the text again and again.
  const all = chars === null ? text : [...text];
  const set = new Set(chars);
  const isCut = (one = ''): boolean => (chars === null ? SPACE.test(one) : set.has(one));
  let [start, end] = [0, all.length];
  if (sides !== 'right') while (start < end && isCut(all[start])) start++;
  if (sides !== 'left') while (end > start && isCut(all[end - 1])) end--;
  const left = all.slice(start, end);
  return typeof left === 'string' ? left : left.join('');
}

/** str.splitlines. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const found of text.matchAll(LINES)) {
    const end = found.index + found[0].length;
    lines.push(text.slice(at, keepEnds ? end : found.index));
    at = end;
  }
  return at < text.length ? [...lines, text.slice(at)] : lines;
}

/** str.split and str.rsplit; a separator of null is any white space, and -1 every place. */
export function split(text: string, separator: string | null, most: number, fromRight: boolean): string[] {
  const limit = most < 0 ? Number.POSITIVE_INFINITY : most;
  if (separator === null) return splitAtSpace(text, limit, fromRight);
  const parts = text.split(separator);
  if (parts.length - 1 <= limit) return parts;
  const rest = fromRight ? parts.splice(0, parts.length - limit) : parts.splice(limit);
  const joined = rest.join(separator);
  return fromRight ? [joined, ...parts] : [...parts, joined];
}

function splitAtSpace(text: string, limit: number, fromRight: boolean): string[] {
  const words = [...text.matchAll(new RegExp(`(?:(?!${PYTHON_SPACE})[\\s\\S])+`, 'g'))];
  if (words.length <= limit) return words.map(([word]) => word);
  const cut = fromRight ? words.length - limit : limit;
  const kept = words.map(([word]) => word);
  if (!fromRight) return [...kept.slice(0, cut), strip(text.slice(words[cut]?.index), 'left', null)];
  const last = words[cut - 1];
  const head = text.slice(0, (last?.index ?? 0) + (last?.[0].length ?? 0));
  return [strip(head, 'right', null), ...kept.slice(cut)];
}

/** str.replace: the first `most` places, all of them where it is negative. */
export function replaceText(text: string, old: string, fresh: string, most: number): string {
  // An empty text stands before every character and at the end.
  const parts = old === '' ? ['', ...characters(text), ''] : text.split(old);
  const last = most < 0 ? parts.length : most + 1;
  return (
    parts.slice(0, last).join(fresh) +
    parts
      .slice(last)
      .map((part) => old + part)
      .join('')
  );
}

/** str.center. */
export function center(text: string, width: number, fill = ' '): string {
  const lack = Math.max(0, width - characters(text).length);
  const left = (lack >> 1) + (lack & width & 1);
  return fill.repeat(left) + text + fill.repeat(lack - left);
}

/** Characters as Python counts them. */
export function characters(text: string): string[] {
  return SURROGATE.test(text) ? [...text] : text.split('');
}

/** Negative, zero or positive, as Python orders texts: by code point. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const [left, right] = [[...a], [...b]];
  const at = left.findIndex((character, i) => character !== right[i]);
  if (at === -1) return -1;
  return (left[at]?.codePointAt(0) ?? -1) - (right[at]?.codePointAt(0) ?? -1);
}

/** str.capitalize. */
export function capitalize(text: string): string {
  const [first = '', ...rest] = characters(text);
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** str.title: a letter that has cases is large, but after another one. */
export function titleCase(text: string): string {
  return text.replace(/\p{Cased}+/gu, capitalize);
}

/** markupsafe's escape. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
  return text.replace(/[&<>'"]/g, (character) => names[character] ?? character);
}
