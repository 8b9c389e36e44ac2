/** Reads a JSON file as a stream: a list of rows, or an object whose values are lists of rows. */
import { Tokenizer, TokenParser, TokenType } from '@streamparser/json';
import { DataError, errorMessage } from '../errors.ts';
import type { Encoding } from './encodings.ts';
import { exactNumber } from './exact-json.ts';
import { endsEarly } from './read-json-lines.ts';
import { type BadRow, fieldsOf, isBad, type SourceRow, type SourceRows, show } from './source-row.ts';
import { nameOf, openText, readUtf8, type Utf8Piece } from './text-source.ts';
import { listing } from './walk-folder.ts';

/**
 * The rows of `[row, …]`, or of `{"train": [row, …], …}`, where a row's key is its field `$key`. A row is an object or
 * a list, whose entries are named 0, 1, …
 *
 * @param note receives keys of the object that hold no rows: "version"
 */
export async function* readJsonRows(path: string, encoding: Encoding, note: (line: string) => void): SourceRows {
  const plain: string[] = [];
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
      const onPlain = (key: string): void => void plain.push(key);
      parser ??= openParser(isList, onPlain, (key, value) => {
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
    if (plain.length > 0) note(`${path}: keys that hold no list of rows, not used: ${listing(plain)}.`);
  } catch (error) {
    if (rows.length > 0) yield rows;
    if (error instanceof DataError) yield [endsEarly(path, error)];
    else {
      const problem = `after row ${count}: not JSON (${errorMessage(error).slice(0, 120)}); expected one list of rows (with a row a line call the file .jsonl)`;
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

function openParser(
  isList: boolean,
  onPlain: (key: string) => void,
  onRow: (key: string | null, value: unknown) => void,
): Parser {
  const watch = isList ? null : plainKeys(onPlain);
  const tokenizer = new ExactTokenizer();
  const parser = new TokenParser({ paths: [isList ? '$.*' : '$.*.*'], keepStack: false });
  tokenizer.onToken = (token) => {
    watch?.(token);
    parser.write(token);
  };
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

/** Finds the keys of the outermost object whose values are neither objects nor lists. */
function plainKeys(onPlain: (key: string) => void): (token: { token: TokenType; value: unknown }) => void {
  let depth = 0;
  let key = '';
  let isValue = false;
  return ({ token, value }) => {
    if (token === TokenType.LEFT_BRACE || token === TokenType.LEFT_BRACKET) depth++;
    else if (token === TokenType.RIGHT_BRACE || token === TokenType.RIGHT_BRACKET) depth--;
    else if (depth === 1 && token === TokenType.COLON) {
      isValue = true;
      return;
    } else if (depth === 1 && token !== TokenType.COMMA) {
      if (isValue) onPlain(key);
      else key = String(value);
    }
    isValue = false;
  };
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
