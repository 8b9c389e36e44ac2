/** What every text must be before it is written: not empty, well formed, of bearable length. */
import { asText } from './column-value.ts';
import { type Note, RowProblem } from './source-row.ts';

/** Limits of texts, and the receiver of notes on changed ones. */
export interface TextLimits {
  /** Longest text in UTF-16 units. */
  maximumField: number;
  note: Note;
}

/** What the second byte of a sign in UTF-8 becomes, and bytes 0x80 to 0x9F, where another code page is taken for granted. */
const misread = /([\u0080-\u009f])|Ã[\u00a0-\u00bf]|Â[\u00a0-\u00bf]|â€/;
const misreadUtf8 = 'signs such as "Ã©" or "â€™", as of UTF-8 read as windows-1252, kept';
const misreadPage = (sign: string): string => {
  const code = sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  return `control characters such as U+${code}, as of windows-1252 read as latin-1, kept`;
};

/**
 * A value as text, exactly as it stands but for CRLF, which becomes LF and is noted.
 *
 * @throws RowProblem for other values; for empty texts unless `mayBeEmpty`; for NUL and halves of surrogate pairs, which
 *   have no UTF-8; for U+FFFD, which stands where bytes were not UTF-8; and for texts beyond the limit
 */
export function checkText(name: string, value: unknown, limits: TextLimits, mayBeEmpty = false): string {
  const { maximumField, note } = limits;
  const text = asText(name, value);
  if (text.length > maximumField) {
    const problem = `"${name}": expected at most ${maximumField} characters (limits.field of npm run import), received ${text.length}`;
    throw new RowProblem('text too long', problem);
  }
  if (!mayBeEmpty && text.trim() === '') {
    throw new RowProblem('empty text', `"${name}": expected text, received ${text === '' ? 'none' : 'only spaces'}`);
  }
  if (special.test(text)) checkSpecial(name, text, note);
  if (!text.includes('\r\n')) return text;
  note('line breaks CRLF, written as LF', name);
  return text.replaceAll('\r\n', '\n');
}

// Most texts are ASCII: one quick look spares them the others.
const special = /[\0\u0080-\uffff]/;

function checkSpecial(name: string, text: string, note: Note): void {
  const bad = /[\0\uFFFD]|\p{Surrogate}/u.exec(text);
  if (bad !== null) {
    const code = (bad[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    const reason = code === '0000' ? 'NUL character' : code === 'FFFD' ? 'not UTF-8' : 'lone surrogate';
    throw new RowProblem(reason, `"${name}": U+${code} at position ${bad.index}; expected none`);
  }
  const wrong = misread.exec(text);
  if (wrong !== null) note(wrong[1] === undefined ? misreadUtf8 : misreadPage(wrong[1]), name);
}
