/** Shows an Arrow file in the terminal: its columns with their descriptions, and its first rows. */
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs, styleText } from 'node:util';
import { DataError, errorMessage, UserError } from '../src/errors.ts';
import { describeStatistics, type TokenStatistics } from '../src/examples/instruction-table.ts';
import { readManifest } from '../src/run/manifest.ts';
import { inspectTable } from '../src/tables/arrow-file.ts';
import { loadTokenizer, type Tokenizer } from '../src/tokenizer/tokenizer.ts';

export interface ShowOptions {
  /** Rows to show. */
  rows: number;
  /** Folders to look for the tokenizer that the table was made with; token columns are shown as ids where none has it. */
  tokenizers: readonly string[];
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
    if (key !== 'huggingface') lines.push(`  ${paint('gray', `${key}: ${showFact(key, value)}`)}`);
  }
  const tokenizer = findTokenizer(options.tokenizers, metadata.tokenizer);
  for (let index = 0; index < Math.min(options.rows, rowCount); index++) {
    lines.push('', paint('bold', `row ${index}`));
    const values = row(index);
    for (const { name } of columns) {
      const mask = learnedMask(name, values);
      lines.push(
        `  ${paint('cyan', name.padEnd(widest))}  ${showValue(name, values[name], { mask, tokenizer, paint })}`,
      );
    }
  }
  return lines.join('\n');
}

function findTokenizer(folders: readonly string[], hash: string | undefined): Tokenizer | null {
  for (const folder of folders) {
    try {
      const tokenizer = loadTokenizer(folder);
      if (hash === undefined || hash === tokenizer.hash) return tokenizer;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
    }
  }
  return null;
}

/** The figures of a tokenized table in words; everything else as it is. */
function showFact(key: string, value: string): string {
  return key === 'statistics' ? describeStatistics(JSON.parse(value) as TokenStatistics) : value;
}

/** Which entries of a token column are learned: the loss mask, or in pairs everything after the prompt. */
function learnedMask(name: string, values: Record<string, unknown>): unknown {
  if (name === 'input_ids') return values.loss_mask;
  const { prompt_length: promptLength } = values;
  const ids = values[name];
  if (!/^(chosen|rejected)_ids$/.test(name) || typeof promptLength !== 'number' || !Array.isArray(ids))
    return undefined;
  return ids.map((_, i) => (i < promptLength ? 0 : 1));
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
  if (!/(^|_)ids$/.test(name) || tokenizer === null)
    return shorten(value.map((entry) => (typeof entry === 'object' ? JSON.stringify(entry) : String(entry))).join(' '));
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
      'show: expected one Arrow file. Run node --import tsx scripts/show.ts file.arrow [--rows n] [--tokenizer folder].',
    );
  }
  const color = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  console.log(
    showTable(path, {
      rows: Number(values.rows),
      tokenizers: values.tokenizer === undefined ? nearbyTokenizers(path) : [values.tokenizer],
      color,
    }),
  );
}

/** Models of the run that the file belongs to and of its parents, or else the base model's folder. */
function nearbyTokenizers(path: string): string[] {
  const run = dirname(path);
  const parents = readManifest(run)?.parents.map((parent) => parent.path) ?? [];
  return [...[run, ...parents].flatMap((folder) => [folder, join(folder, 'best'), join(folder, 'model')]), 'data/base'];
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
