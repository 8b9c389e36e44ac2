/** Reads JSON Lines: one object (or list) a line, in constant memory. */
import { DataError, errorMessage } from '../errors.ts';
import { type Line, readLines } from './bytes.ts';
import { decodeExact, type Encoding } from './encodings.ts';
import { parseExactJson } from './exact-json.ts';
import { type BadRow, fieldsOf, type SourceRow, type SourceRows, show } from './source-row.ts';
import { EncodingError, nameOf, openText, placed, type TextSource } from './text-source.ts';

// A line holds several fields, and JSON may spell a character with six bytes.
const lineFactor = 8;

/** The rows of a JSONL file; blank lines are passed over. A damaged gzip ends it with a bad row. */
export async function* readJsonLineRows(path: string, encoding: Encoding, maximumField: number): SourceRows {
  const limit = lineFactor * maximumField;
  try {
    const text = await openText(path, encoding);
    for await (const lines of readLines(text.pieces, limit)) {
      yield lines.flatMap((line) => parseLine(path, line, text, limit) ?? []);
    }
  } catch (error) {
    yield [endsEarly(path, error)];
  }
}

function parseLine(
  path: string,
  { number, start, bytes }: Line,
  { encoding, offset }: TextSource,
  limit: number,
): SourceRow | BadRow | null {
  const where = `${path}:${number}`;
  if (bytes === null) {
    return { where, reason: 'line too long', problem: `the line is too long; expected at most ${limit} bytes` };
  }
  const decoded = decodeExact(bytes, encoding);
  if (typeof decoded !== 'string') {
    return { where, reason: `not ${nameOf(encoding)}`, problem: placed(decoded, start + offset) };
  }
  // Files put one behind the other have a byte order mark each.
  const text = decoded.startsWith('\ufeff') ? decoded.slice(1) : decoded;
  if (text.trim() === '') return null;
  try {
    const value = parseExactJson(text);
    const fields = fieldsOf(value);
    if (fields !== null) return { where, row: number, fields };
    return { where, reason: 'not an object', problem: `expected one object on the line, received ${show(value)}` };
  } catch (error) {
    return {
      where,
      reason: 'not JSON',
      problem: `not JSON (${errorMessage(error).slice(0, 80)}); expected one object`,
    };
  }
}

/** The bad row that stands for the rest of a file that cannot be read on; other errors pass. */
export function endsEarly(path: string, error: unknown): BadRow {
  if (!(error instanceof DataError)) throw error;
  const [problem = ''] = error.problems;
  const reason = error instanceof EncodingError ? error.reason : 'file damaged';
  return { where: path, reason, problem: problem.replace(`${path}: `, '').replace(/\.$/, '') };
}
