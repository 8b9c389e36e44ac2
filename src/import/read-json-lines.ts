/** Reads JSON Lines: one object (or list) a line, in constant memory. */
import { DataError, errorMessage } from '../errors.ts';
import { decodeText, type Encoding, type Line, readLines } from './bytes.ts';
import { parseExactJson } from './exact-json.ts';
import { type BadRow, fieldsOf, type SourceRow, type SourceRows, show } from './source-row.ts';

// A line holds several fields, and JSON may spell a character with six bytes.
const lineFactor = 8;

/** The rows of a JSONL file; blank lines are passed over. A damaged gzip ends it with a bad row. */
export async function* readJsonLineRows(path: string, encoding: Encoding, maximumField: number): SourceRows {
  const limit = lineFactor * maximumField;
  try {
    for await (const lines of readLines(path, limit)) {
      yield lines.flatMap((line) => parseLine(path, line, encoding, limit) ?? []);
    }
  } catch (error) {
    yield [endsEarly(path, error)];
  }
}

function parseLine(
  path: string,
  { number, bytes }: Line,
  encoding: Encoding,
  limit: number,
): SourceRow | BadRow | null {
  const where = `${path}:${number}`;
  if (bytes === null) {
    return { where, reason: 'line too long', problem: `the line is too long; expected at most ${limit} bytes` };
  }
  const text = decodeText(bytes, encoding);
  if (text === null) {
    return { where, reason: 'not UTF-8', problem: 'not UTF-8; expected it, or input.encoding latin-1' };
  }
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
  return { where: path, reason: 'file damaged', problem: problem.replace(`${path}: `, '').replace(/\.$/, '') };
}
