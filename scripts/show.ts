/**
 * Shows an Arrow file in the terminal: its columns with their descriptions, and its first rows.
 *
 *   Run      npm run show -- data/runs/tiny/instruct/instruct.arrow
 *            npm run show -- rows.arrow --rows 10
 *   Prints   conversations turn by turn; of token sequences with a loss mask what is learned: green, or in « » without colours
 */
import { dirname, join } from 'node:path';
import { DataError } from '../src/errors.ts';
import { describeStatistics, type TokenStatistics } from '../src/examples/instruction-table.ts';
import { readManifest } from '../src/run/manifest.ts';
import { runMain } from '../src/run/program.ts';
import { inspectTable } from '../src/tables/arrow-file.ts';
import { readTools } from '../src/tables/message-column.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { loadTokenizer, type Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { indented, linesOfValue, type Paint, painter } from './use/show-messages.ts';

const flags = {
  rows: { kind: 'integer', default: 3, min: 0, description: 'Rows to show.' },
  tokenizer: {
    kind: 'path',
    description:
      'Folder of the tokenizer that the table was made with; looked for beside it and in parents where left out.',
  },
} as const satisfies Flags;

const usage = 'Usage: npm run show -- <file.arrow> [options]';

export interface ShowOptions {
  /** Rows to show. */
  rows: number;
  /** Folders to look for the tokenizer that the table was made with; token columns are shown as ids where none has it. */
  tokenizers: readonly string[];
  /** Colours, for terminals. */
  color: boolean;
}

const longestText = 400;
const longestTurn = 2000;

/**
 * A description of an Arrow file. Sequences with a loss mask are spelt out with what is learned, conversations turn by turn.
 *
 * @throws DataError when the file cannot be read
 */
export function showTable(path: string, { rows, tokenizers, color }: ShowOptions): string {
  const paint = painter(color);
  const { columns, metadata, rowCount, row } = inspectTable(path);
  const widest = Math.max(0, ...columns.map(({ name }) => name.length));
  const lines = [`${path}: ${rowCount} rows, ${columns.length} columns`, ''];
  for (const { name, type, description } of columns) {
    lines.push(`  ${paint('cyan', name.padEnd(widest))}  ${paint('gray', shortType(type).padEnd(14))} ${description}`);
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (key !== 'huggingface') lines.push(`  ${paint('gray', `${key}: ${showFact(key, value)}`)}`);
  }
  const shown = Array.from({ length: Math.min(rows, rowCount) }, (_, index) => row(index));
  const hasTokens = shown.some((values) => columns.some(({ name }) => isTokens(name, values[name])));
  const tokenizer = hasTokens ? findTokenizer(tokenizers, metadata.tokenizer) : null;
  if (hasTokens) lines.push('', ...legend(tokenizer, tokenizers, paint));
  for (const [index, values] of shown.entries()) {
    lines.push('', paint('bold', `row ${index}`));
    for (const { name } of columns) {
      const block = blockOf(name, values[name], paint);
      const line = block === null ? `  ${showValue(name, values, { tokenizer, paint })}` : '';
      lines.push(`  ${paint('cyan', name.padEnd(block === null ? widest : 0))}${line}`);
      for (const more of block ?? []) lines.push(`  ${more}`);
    }
  }
  return lines.join('\n');
}

/** "List<Struct<role, content>>": without the types of the fields, which would fill the line. */
function shortType(type: string): string {
  return type.replaceAll(/(\w+):\w+/g, '$1').replaceAll(/[{}]/g, '');
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

/** How tokens are shown. */
function legend(tokenizer: Tokenizer | null, folders: readonly string[], paint: Paint): string[] {
  const marked = `  learned tokens: ${mark('like this', paint)}`;
  if (tokenizer !== null) return [marked];
  const from = folders.length === 0 ? 'none was named' : `none of ${folders.join(', ')} has it`;
  return [
    marked,
    `  tokens as ids, for want of the tokenizer that the table was made with (${from}): name its folder with --tokenizer`,
  ];
}

/** What is learned: green, or in angle quotes where there are no colours. */
function mark(text: string, paint: Paint): string {
  const green = paint('green', text);
  return green === text ? `«${text}»` : green;
}

/** The figures of a tokenized table in words; everything else as it is. */
function showFact(key: string, value: string): string {
  return key === 'statistics' ? describeStatistics(JSON.parse(value) as TokenStatistics) : value;
}

function isTokens(name: string, value: unknown): boolean {
  return /(^|_)ids$/.test(name) && Array.isArray(value);
}

/** Which entries of a token column are learned: the loss mask, or in pairs everything after the prompt. */
function learnedMask(name: string, values: Record<string, unknown>): readonly unknown[] | null {
  if (name === 'input_ids') return Array.isArray(values.loss_mask) ? values.loss_mask : null;
  const { prompt_length: promptLength } = values;
  const ids = values[name];
  if (!/^(chosen|rejected)_ids$/.test(name) || typeof promptLength !== 'number' || !Array.isArray(ids)) return null;
  return ids.map((_, i) => (i < promptLength ? 0 : 1));
}

/** What needs lines of its own: conversations, tools, and texts of several lines. */
function blockOf(name: string, value: unknown, paint: Paint): string[] | null {
  const tools = name === 'tools' ? readTools(value) : null;
  if (tools !== null) return tools.map((tool) => `  ${shorten(showTool(tool, paint))}`);
  const messages = linesOfValue(name, value, paint, longestTurn);
  if (messages !== null) return messages.map((line) => `  ${line}`);
  return typeof value === 'string' && value.includes('\n') ? indented(value, longestTurn) : null;
}

function showTool(tool: { function?: { name?: unknown } }, paint: Paint): string {
  return `${paint('yellow', String(tool.function?.name ?? 'tool'))} ${json(tool.function ?? tool)}`;
}

function showValue(
  name: string,
  values: Record<string, unknown>,
  { tokenizer, paint }: { tokenizer: Tokenizer | null; paint: Paint },
): string {
  const value = values[name];
  if (name === 'loss_mask' && Array.isArray(value)) return showMask(value);
  if (typeof value === 'number') return String(Math.round(value * 1e6) / 1e6);
  if (typeof value === 'string') return shorten(JSON.stringify(value));
  if (!Array.isArray(value)) return typeof value === 'object' && value !== null ? shorten(json(value)) : String(value);
  if (!isTokens(name, value)) {
    return shorten(value.map((entry) => (typeof entry === 'object' ? json(entry) : String(entry))).join(' '));
  }
  const spell = (id: unknown): string =>
    tokenizer?.token(Number(id)).replaceAll('Ġ', '·').replaceAll('Ċ', '↵') ?? String(id);
  const mask = learnedMask(name, values);
  if (mask === null) return value.map(spell).join(' ');
  return runsOf(value.map(spell), mask)
    .map(({ texts, isLearned }) => (isLearned ? mark(texts.join(' '), paint) : paint('gray', texts.join(' '))))
    .join(' ');
}

/** "4 of 9 tokens are learned, in 2 parts". */
function showMask(mask: readonly unknown[]): string {
  const learned = mask.filter((flag) => flag === 1).length;
  const parts = mask.filter((flag, i) => flag === 1 && mask[i - 1] !== 1).length;
  return `${learned} of ${mask.length} tokens are learned, in ${parts} ${parts === 1 ? 'part' : 'parts'}`;
}

/** Neighbouring tokens that are learned, or are not. */
function runsOf(texts: readonly string[], mask: readonly unknown[]) {
  const runs: { isLearned: boolean; texts: string[] }[] = [];
  for (const [i, text] of texts.entries()) {
    const isLearned = mask[i] === 1;
    const last = runs.at(-1);
    if (last?.isLearned === isLearned) last.texts.push(text);
    else runs.push({ isLearned, texts: [text] });
  }
  return runs;
}

/** JSON with 64-bit integers as text. */
function json(value: unknown): string {
  return JSON.stringify(value, (_, entry: unknown) => (typeof entry === 'bigint' ? String(entry) : entry));
}

function shorten(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}…`;
}

/**
 * The command.
 * @throws ConfigError or DataError where no file is named, or it cannot be read
 */
export function showCommand(argv: readonly string[], color: boolean): string {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) {
    return [
      'Shows the columns and the first rows of an Arrow file.',
      '',
      usage,
      '',
      'Options:',
      ...flagHelp(flags),
    ].join('\n');
  }
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new DataError(`show: expected one Arrow file. ${usage}`);
  const tokenizers = values.tokenizer === undefined ? nearbyTokenizers(path) : [values.tokenizer];
  return showTable(path, { rows: values.rows, tokenizers, color });
}

/** Models of the run that the file belongs to and of its parents, or else the base model's folder. */
function nearbyTokenizers(path: string): string[] {
  const run = dirname(path);
  const parents = readManifest(run)?.parents.map((parent) => parent.path) ?? [];
  return [...[run, ...parents].flatMap((folder) => [folder, join(folder, 'best'), join(folder, 'model')]), 'data/base'];
}

await runMain(import.meta.url, async (argv) => {
  console.log(showCommand(argv, process.stdout.isTTY === true && process.env.NO_COLOR === undefined));
});
