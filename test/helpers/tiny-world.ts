/** A tiny world on disk for tests of whole stages: a few rows of the shipped data, a tokenizer, a random base model, pairs. */
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { encodePrompt, encodeTarget } from '../../src/examples/instruction.ts';
import type { PreferenceRow } from '../../src/examples/pair-table.ts';
import { writePreferences } from '../../src/examples/pair-table.ts';
import { userSays } from '../../src/message.ts';
import type { StyleSizes } from '../../src/model/dimensions.ts';
import { gpt2Style, llamaStyle } from '../../src/model/dimensions.ts';
import { disposeModel, newModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { trainBpe } from '../../src/tokenizer/bpe-training.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { tokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';

/** Where the parts of a tiny world lie. */
export interface TinyWorld {
  readonly path: string;
  readonly corpus: string;
  readonly heldOut: string;
  readonly tokenizer: string;
  readonly base: string;
  readonly tables: string;
  readonly templates: string;
  readonly pairs: string;
  readonly heldOutPairs: string;
}

/** One task with options in a column, one with listed options, one with free text, and conversation. */
export const tinyTasks = ['chat', 'cheaper', 'record_to_sentence', 'review_sentiment'] as const;

const shipped = (name: string): string => fileURLToPath(new URL(`../../data/${name}`, import.meta.url));
const rowsPerSplit = 8;
export const tinyContext = 144;

/** The first lines of a JSONL file, or the first of each split where rows have one. */
function firstLines(path: string, count: number): string[] {
  const taken = new Map<string, number>();
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => {
      if (line === '') return false;
      const { split = '' } = JSON.parse(line) as { split?: string };
      const before = taken.get(split) ?? 0;
      taken.set(split, before + 1);
      return before < count;
    });
}

/** Makes a tiny world in a folder, which is made where it is not there. */
export async function makeTinyWorld(path: string): Promise<TinyWorld> {
  mkdirSync(path, { recursive: true });
  const at = (name: string): string => join(path, name);
  const world = {
    path,
    corpus: at('corpus.jsonl'),
    heldOut: at('held-out.jsonl'),
    tokenizer: at('tokenizer'),
    base: at('base'),
    tables: at('seed'),
    templates: at('templates'),
    pairs: at('train.arrow'),
    heldOutPairs: at('held-out.arrow'),
  };
  for (const folder of [world.tokenizer, world.base, world.tables, world.templates]) {
    mkdirSync(folder, { recursive: true });
  }
  const documents = firstLines(shipped('corpus/corpus.jsonl'), 40);
  writeFileSync(world.corpus, documents.join('\n'));
  writeFileSync(world.heldOut, firstLines(shipped('corpus/held-out.jsonl'), 6).join('\n'));
  for (const task of tinyTasks) {
    const rows = firstLines(shipped(`seed/${task}.jsonl`), rowsPerSplit);
    writeFileSync(join(world.tables, `${task}.jsonl`), rows.join('\n'));
    copyFileSync(shipped(`templates/${task}.yaml`), join(world.templates, `${task}.yaml`));
  }
  copyFileSync(shipped('seed/lexicon.json'), join(world.tables, 'lexicon.json'));
  const tokenizer = writeTokenizer(world.tokenizer, documents);
  writeBase(world.base, tokenizer);
  await writePairs(world, tokenizer);
  return world;
}

/** Another world with the same content, to be spoilt. */
export function copyWorld(world: TinyWorld, path: string): TinyWorld {
  cpSync(world.path, path, { recursive: true });
  const moved = Object.entries(world).map(([name, file]: [string, string]) => [name, file.replace(world.path, path)]);
  return Object.fromEntries(moved) as unknown as TinyWorld;
}

/** Trains a tokenizer on documents and writes it into a folder. */
export function writeTokenizer(folder: string, texts: readonly string[], vocabulary = 448): Tokenizer {
  const files = tokenizerFiles(trainBpe(texts, vocabulary), tinyContext);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return createTokenizer(files, folder);
}

/** Writes a random language model of two layers, with its tokenizer, into a folder. */
export function writeBase(
  folder: string,
  tokenizer: Tokenizer,
  { style = 'llama', ...changes }: Partial<StyleSizes> & { style?: 'llama' | 'gpt2' } = {},
): void {
  const sizes = { vocab: tokenizer.vocabSize, context: tinyContext, layers: 2, heads: 4, dModel: 32, ...changes };
  const dimensions = style === 'gpt2' ? gpt2Style(sizes) : llamaStyle({ kvHeads: 2, ...sizes });
  const model = newModel(dimensions, 'tokens', seededRandom(3, 'tiny base'));
  writeModelFolder(folder, model, { tokenizer });
  disposeModel(model);
}

interface ChatRow {
  readonly split: string;
  readonly prompt: string;
  readonly response?: string;
}

/** Pairs that are easy to tell apart: a whole friendly answer against a curt one. */
export function tinyPairs(world: Pick<TinyWorld, 'tables'>, tokenizer: Tokenizer): PreferenceRow[] {
  const lines = readFileSync(join(world.tables, 'chat.jsonl'), 'utf8').split('\n');
  const rows = lines.map((line) => JSON.parse(line) as ChatRow).filter(({ split }) => split === 'train');
  return rows.map(({ prompt, response = '' }, index) => {
    const promptIds = encodePrompt(userSays(prompt), tokenizer);
    const rejected = index % 2 === 0 ? 'No.' : 'I do not know. Go away.';
    const whole = (text: string): Int32Array =>
      Int32Array.of(...promptIds, ...encodeTarget(text, tokenizer), tokenizer.eosId);
    const ids = { chosen_ids: whole(response), rejected_ids: whole(rejected), prompt_length: promptIds.length };
    const labels = { margin: 0.5, gold_chosen: 0.8, gold_rejected: 0.2, flipped: false, split: 'train' };
    return { prompt, chosen: response, rejected, ...ids, ...labels, difference: 'truth and manner' };
  });
}

async function writePairs(world: TinyWorld, tokenizer: Tokenizer): Promise<void> {
  const rows = tinyPairs(world, tokenizer);
  await writePreferences(world.pairs, rows.slice(0, 6), tokenizer);
  await writePreferences(world.heldOutPairs, rows.slice(6), tokenizer);
}
