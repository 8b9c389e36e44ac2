/** JSON Lines files: one JSON object a line, every problem named by file and line. */
import { DataError, errorMessage, hasCode } from '../errors.ts';
import { openAtomicFile } from '../files/atomic-file.ts';
import { readText } from '../files/text-file.ts';

/** One line of a JSONL file. */
export interface JsonLine {
  /** "path:line", the start of every error about this row. */
  where: string;
  fields: Readonly<Record<string, unknown>>;
}

/**
 * Reads a JSONL file; blank lines are passed over.
 *
 * @param writtenBy the command that makes such a file, for errors
 * @throws DataError when the file is missing or has no rows, or naming every line that is not a JSON object
 */
export function readJsonLines(path: string, writtenBy: string): JsonLine[] {
  const lines: JsonLine[] = [];
  const problems: string[] = [];
  for (const [index, text] of readRows(path, writtenBy).split(/\r?\n/).entries()) {
    if (text.trim() === '') continue;
    const where = `${path}:${index + 1}`;
    try {
      const fields: unknown = JSON.parse(text);
      if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
        problems.push(
          `${where}: not an object; expected {"name": value, …}, received ${text.slice(0, 40)}. Mend the line.`,
        );
      } else {
        lines.push({ where, fields: fields as Record<string, unknown> });
      }
    } catch (error) {
      problems.push(`${where}: not JSON (${errorMessage(error)}); expected one object on the line. Mend the line.`);
    }
  }
  if (problems.length > 0) throw new DataError(problems);
  if (lines.length === 0)
    throw new DataError(`${path}: the file has no rows; expected at least one. Run ${writtenBy}.`);
  return lines;
}

function readRows(path: string, writtenBy: string): string {
  try {
    return readText(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new DataError(`${path}: the file is missing; expected a JSONL file. Run ${writtenBy}.`, { cause: error });
  }
}

/** A JSONL file that is written row by row. */
export interface JsonLinesWriter {
  /** Adds a row; keys stand in the row's order. */
  append(row: Readonly<Record<string, unknown>>): void;
  /** Writes what is left and gives the file its name. */
  close(): Promise<void>;
  /** Removes what was written, so that the path keeps its old content; does nothing after `close`. */
  discard(): void;
}

/**
 * Opens a JSONL file to be written row by row, in constant memory, whole or not at all.
 *
 * @throws UserError where it cannot be written
 */
export async function openJsonLinesWriter(path: string): Promise<JsonLinesWriter> {
  const file = await openAtomicFile(path);
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) file.write(Buffer.from(`${lines.join('\n')}\n`, 'utf8'));
    lines = [];
  };
  return {
    append: (row) => {
      if (lines.push(JSON.stringify(row)) === 1000) flush();
    },
    close: async () => {
      flush();
      await file.commit();
    },
    discard: file.discard,
  };
}
