/** Reads a JSON file as a stream: a list of rows, or an object whose values are lists of rows. */
import { Tokenizer, TokenParser } from '@streamparser/json';
import { DataError, errorMessage } from '../errors.ts';
import type { Encoding } from './encodings.ts';
import { exactNumber } from './exact-json.ts';
import { endsEarly } from './read-json-lines.ts';
import { type BadRow, fieldsOf, isBad, type SourceRow, type SourceRows, show } from './source-row.ts';
import { nameOf, openText, readUtf8, type Utf8Piece } from './text-source.ts';

/**
 * The rows of `[row, …]`, or of `{"train": [row, …], …}`, where a row's key is its field `$key`. A row is an object or
 * a list, whose entries are named 0, 1, …
 */
export async function* readJsonRows(path: string, encoding: Encoding): SourceRows {
  let rows: (SourceRow | BadRow)[] = [];
  let count = 0;
  let isList: boolean | null = null;
  let parser: Parser | null = null;
  // A row may end in the piece after the bytes at fault.
  let before: Utf8Piece['fault'] = null;
  try {
    const text = await openText(path, encoding);
    for await (const { bytes: piece, fault } of readUtf8(text)) {
      if (isList === null) {
        const first = firstByte(piece);
        if (first === undefined) continue;
        if (first !== '[' && first !== '{') throw new SyntaxError(`begins with ${first}`);
        isList = first === '[';
      }
      parser ??= openParser(isList, (key, value) => {
        count++;
        const where = `${path}: row ${count}`;
        const fields = fieldsOf(value);
        rows.push(
          fields === null
            ? { where, reason: 'not an object', problem: `expected an object or a list, received ${show(value)}` }
            : { where, row: count, fields: key === null ? fields : { ...fields, $key: key } },
        );
      });
      parser.write(piece);
      yield withoutFaults(rows, fault ?? before, text.encoding);
      before = fault;
      rows = [];
    }
    if (parser !== null && !parser.isEnded) parser.end();
  } catch (error) {
    if (rows.length > 0) yield rows;
    if (error instanceof DataError) yield [endsEarly(path, error)];
    else {
      const problem = `after row ${count}: not JSON (${errorMessage(error).slice(0, 120)}); expected one list of rows (for a row a line set input.format: jsonl)`;
      yield [{ where: path, reason: 'not JSON', problem }];
    }
  }
}

/** Takes the bytes of a JSON file as they come. */
interface Parser {
  readonly isEnded: boolean;
  write(piece: Buffer): void;
  end(): void;
}

function openParser(isList: boolean, onRow: (key: string | null, value: unknown) => void): Parser {
  const tokenizer = new ExactTokenizer();
  const parser = new TokenParser({ paths: [isList ? '$.*' : '$.*.*'], keepStack: false });
  tokenizer.onToken = parser.write.bind(parser);
  tokenizer.onEnd = () => {
    if (!parser.isEnded) parser.end();
  };
  parser.onError = tokenizer.error.bind(tokenizer);
  parser.onEnd = () => {
    if (!tokenizer.isEnded) tokenizer.end();
  };
  parser.onValue = ({ value, stack }) => onRow(isList ? null : String(stack[1]?.key ?? ''), value);
  return tokenizer;
}

/** The library's tokenizer with exact numbers; its type knows numbers only, what is done with them is the same for texts. */
class ExactTokenizer extends Tokenizer {
  protected override parseNumber(text: string): number {
    return exactNumber(text) as number;
  }
}

function firstByte(piece: Buffer): string | undefined {
  return piece.toString('latin1').trimStart()[0];
}

/** The rows of a piece; those with U+FFFD are bad where the piece holds bytes that have no meaning. */
function withoutFaults(rows: readonly (SourceRow | BadRow)[], fault: Utf8Piece['fault'], encoding: Encoding) {
  if (fault === null) return rows;
  return rows.map((row): SourceRow | BadRow => {
    if (isBad(row) || !JSON.stringify(row.fields).includes('\ufffd')) return row;
    const problem = `at line ${fault.line} or after: ${fault.problem}`;
    return { where: row.where, reason: `not ${nameOf(encoding)}`, problem };
  });
}
