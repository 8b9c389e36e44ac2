/** Shows an Arrow file in the terminal: its columns with their descriptions, and its first rows. */
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs, styleText } from 'node:util';
import { inspectTable } from '../src/data/arrow-file.ts';
import { DataError, errorMessage, UserError } from '../src/errors.ts';
import { loadTokenizer, type Tokenizer } from '../src/tokenizer/tokenizer.ts';

export interface ShowOptions {
  /** Rows to show. */
  rows: number;
  /** Folder of the tokenizer that token columns are spelt with; ids are shown when left out or when it is another one. */
  tokenizer?: string | undefined;
  /** Colours, for terminals. */
  color: boolean;
}

type Style = Parameters<typeof styleText>[0];

const longestText = 400;

/**
 * A description of an Arrow file. Sequences with a loss mask are spelt out: learned tokens green, others grey.
 *
 * @throws DataError when the file cannot be read or `rows` is not a count
 */
export function showTable(path: string, options: ShowOptions): string {
  if (!Number.isInteger(options.rows) || options.rows < 0) {
    throw new DataError(`--rows: expected a whole number of at least 0, received ${options.rows}. Correct it.`);
  }
  const paint = (style: Style, text: string): string =>
    options.color ? styleText(style, text, { validateStream: false }) : text;
  const { columns, metadata, rowCount, row } = inspectTable(path);
  const widest = Math.max(0, ...columns.map(({ name }) => name.length));
  const lines = [`${path}: ${rowCount} rows, ${columns.length} columns`, ''];
  for (const { name, type, description } of columns) {
    lines.push(`  ${paint('cyan', name.padEnd(widest))}  ${paint('gray', type.padEnd(14))} ${description}`);
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (key !== 'huggingface') lines.push(`  ${paint('gray', `${key}: ${value}`)}`);
  }
  const tokenizer = findTokenizer(options.tokenizer, metadata.tokenizer);
  for (let index = 0; index < Math.min(options.rows, rowCount); index++) {
    lines.push('', paint('bold', `row ${index}`));
    const values = row(index);
    for (const { name } of columns) {
      const mask = name === 'input_ids' ? values.loss_mask : undefined;
      lines.push(
        `  ${paint('cyan', name.padEnd(widest))}  ${showValue(name, values[name], { mask, tokenizer, paint })}`,
      );
    }
  }
  return lines.join('\n');
}

function findTokenizer(folder: string | undefined, hash: string | undefined): Tokenizer | null {
  if (folder === undefined) return null;
  const tokenizer = loadTokenizer(folder);
  return hash === undefined || hash === tokenizer.hash ? tokenizer : null;
}

interface ShowValue {
  mask: unknown;
  tokenizer: Tokenizer | null;
  paint: (style: Style, text: string) => string;
}

function showValue(name: string, value: unknown, { mask, tokenizer, paint }: ShowValue): string {
  if (typeof value === 'number') return String(Math.round(value * 1e6) / 1e6);
  if (typeof value === 'string') return shorten(JSON.stringify(value));
  if (!Array.isArray(value)) return String(value);
  if (!/(^|_)ids$/.test(name) || tokenizer === null) return shorten(value.join(' '));
  return value
    .map((id, i) => {
      const text = tokenizer.token(Number(id)).replaceAll('Ġ', '·').replaceAll('Ċ', '↵');
      if (!Array.isArray(mask)) return text;
      return mask[i] === 1 ? paint('green', text) : paint('gray', text);
    })
    .join(' ');
}

function shorten(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}…`;
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rows: { type: 'string', default: '3' }, tokenizer: { type: 'string' } },
  });
  const [path] = positionals;
  if (path === undefined || positionals.length !== 1) {
    throw new DataError(
      'show: expected one Arrow file. Run npx tsx scripts/show.ts file.arrow [--rows n] [--tokenizer folder].',
    );
  }
  const color = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  console.log(
    showTable(path, { rows: Number(values.rows), tokenizer: values.tokenizer ?? nearbyTokenizer(path), color }),
  );
}

/** A run's checkpoint beside the file, or else the base model's folder. */
function nearbyTokenizer(path: string): string | undefined {
  for (const folder of [join(dirname(path), 'checkpoint'), 'data/base']) {
    try {
      loadTokenizer(folder);
      return folder;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }
  return undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(errorMessage(error));
    process.exitCode = 1;
  }
}
