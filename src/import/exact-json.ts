/**
 * JSON whose numbers keep the digits they are written with. A number becomes a number where JavaScript writes it in the
 * same way, and the text it stands in otherwise: 3 and 0.5 stay numbers, 18446744073709551616, 1.10, 3.0 and 1e400
 * become texts. So what goes into a text goes there as written, and ids beyond 2^53 stay apart.
 */

/** A number out of its text, or the text where a number would be written differently. */
export function exactNumber(text: string): number | string {
  const number = Number(text);
  return String(number) === text ? number : text;
}

/**
 * JSON.parse, with exact numbers.
 *
 * @throws SyntaxError where the text is not JSON
 */
export function parseExactJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const quoted = holdsNumber(value) && suspect.test(text) ? quoteNumbers(text) : null;
  return quoted === null ? value : JSON.parse(quoted);
}

/** Stands in every JSON with a number that JavaScript writes differently, and spares most others the walk. */
const suspect = /\d(?:\.\d|[eE]|\d{15})|-0/;

function holdsNumber(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value === 'number';
  return Array.isArray(value) ? value.some(holdsNumber) : Object.values(value).some(holdsNumber);
}

const [quoteSign, backslash, minus, point, zero, nine] = [0x22, 0x5c, 0x2d, 0x2e, 0x30, 0x39];
// Whole numbers of fewer digits are exact.
const safeLength = 16;

/** Valid JSON with the numbers that JavaScript would write differently made strings; null where there are none. */
function quoteNumbers(json: string): string | null {
  const parts: string[] = [];
  let copied = 0;
  for (let at = 0; at < json.length; ) {
    const code = json.charCodeAt(at);
    if (code === quoteSign) at = endOfString(json, at);
    else if (code === minus || (code >= zero && code <= nine)) {
      const end = endOfNumber(json, at);
      const isPlain = end < 0;
      const stop = Math.abs(end);
      const text = isPlain ? '' : json.slice(at, stop);
      if (!isPlain && typeof exactNumber(text) === 'string') {
        parts.push(json.slice(copied, at), '"', text, '"');
        copied = stop;
      }
      at = stop;
    } else at++;
  }
  return parts.length === 0 ? null : parts.join('') + json.slice(copied);
}

/** The place behind a string that begins at `open`. */
function endOfString(json: string, open: number): number {
  for (let quote = json.indexOf('"', open + 1); quote !== -1; quote = json.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (json.charCodeAt(before) === backslash) before--;
    if ((quote - before) % 2 === 1) return quote + 1;
  }
  return json.length;
}

/** The place behind a number, negative where it is a short whole one, which is exact. */
function endOfNumber(json: string, start: number): number {
  let isPlain = true;
  let at = start;
  for (; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code >= zero && code <= nine) continue;
    // "e" and "E" with the bit that sets them apart, "+", "-", ".".
    if (code !== point && (code | 0x20) !== 0x65 && code !== 0x2b && code !== minus) break;
    if (at > start) isPlain = false;
  }
  // "-0" is no number that is written so.
  if (json.charCodeAt(start) === minus && at === start + 2) isPlain = false;
  return isPlain && at - start < safeLength ? -at : at;
}

/** The shortest writing of a number in a text, "1.0" -> "1", "1e3" -> "1000"; other texts as they are. */
export function shortestNumber(text: string): string {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text))
    ? String(Number(text))
    : text;
}
