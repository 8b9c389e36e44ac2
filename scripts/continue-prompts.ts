/**
 * Rows for stage 1 from a model itself: prompts, each gone on with several times and cut after its last whole sentence. Mixed with
 * other tasks they keep what the model could do before (Ouyang et al. 2022, arXiv:2203.02155, section 3.5, mixes pre-training in).
 *
 *   Run      npm run continue-prompts -- data/models/stories260k data/public/openings.jsonl --to data/build/public/stories.jsonl
 *   Reads    a checkpoint, a file of prompts; rows may say of which split they are
 *   Writes   JSONL rows: id, split, prompt, continuation
 */
import { existsSync } from 'node:fs';
import { loadModelFolder } from '../src/checkpoint/model-folder.ts';
import { generate } from '../src/decoding/generate.ts';
import { ConfigError, DataError } from '../src/errors.ts';
import { disposeModel, trainNothing } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { openParent } from '../src/run/parents.ts';
import { runMain } from '../src/run/program.ts';
import { openLaneFor } from '../src/run/stage.ts';
import { openJsonLinesWriter } from '../src/tables/jsonl.ts';
import { countAt, describeTally, type Tally, tallyEntry } from '../src/tables/tally.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { openProgress } from '../src/terminal/progress.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { readFilePrompts } from '../src/worlds/prompt-file.ts';

const flags = {
  to: { kind: 'path', description: 'JSONL file to write; it must not exist.' },
  samples: { kind: 'integer', default: 8, min: 1, description: 'Continuations of each prompt.' },
  'max-new-tokens': { kind: 'integer', default: 96, min: 1, description: 'Longest continuation.' },
  temperature: { kind: 'number', default: 0.8, min: 0, description: 'Divides the logits.' },
  seed: { kind: 'integer', default: 1, description: 'Seeds the sampling.' },
} as const satisfies Flags;

/** Splits whose prompts are gone on with. */
const splits = ['train', 'validation'];

const usage = 'Usage: npm run continue-prompts -- <checkpoint> <prompts.jsonl> --to <rows.jsonl> [options]';

/**
 * The command.
 * @throws ConfigError, CheckpointError or DataError with what is missing or taken
 */
export async function continuePrompts(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return say([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const [checkpoint, file, ...more] = positionals;
  const { to, samples, temperature, seed } = values;
  if (checkpoint === undefined || file === undefined || to === undefined || more.length > 0) {
    throw new ConfigError(`continue-prompts: expected a checkpoint, prompts and --to. ${usage}`);
  }
  if (existsSync(to)) throw new DataError(`--to ${to}: is there already; expected a new file. Choose another name.`);
  const parent = await openParent(checkpoint, { role: 'model' });
  const tokenizer = loadTokenizer(parent.folder);
  const { model } = loadModelFolder(parent.folder, { plan: trainNothing(), tokenizer, say });
  const maxNewTokens = values['max-new-tokens'];
  const room = model.dimensions.context - maxNewTokens;
  const source = { file, raw: true, encoding: 'utf-8', badRows: 1 } as const;
  const read = await readFilePrompts(source, tokenizer, room);
  for (const line of read.lines) say(line);
  const writer = await openJsonLinesWriter(to);
  const random = seededRandom(seed, 'continuations');
  const unused: Tally = {};
  for (const { id, split } of read.prompts) {
    if (!splits.includes(split)) countAt(tallyEntry(unused, `prompts of split "${split}"`), id);
  }
  let written = 0;
  for (const split of splits) {
    const prompts = read.prompts.filter((prompt) => prompt.split === split);
    const asked = prompts.flatMap((prompt) => Array.from({ length: samples }, (_, i) => ({ ...prompt, sample: i })));
    const options = { temperature, topK: 0, topP: 1, maxNewTokens, batchSize: 64 };
    // A story of llama2.c ends where the next begins: with BOS.
    const stop = {
      ...tokenizer,
      stopIds: [...tokenizer.stopIds, ...(tokenizer.bosId === null ? [] : [tokenizer.bosId])],
    };
    const drawn = await generate(
      model,
      asked.map(({ promptIds }) => promptIds),
      options,
      stop,
      random,
    );
    for (const [i, { ids }] of drawn.entries()) {
      const { id, prompt, sample } = asked[i] as (typeof asked)[number];
      const continuation = wholeSentences(tokenizer.decode(ids));
      if (continuation === '') {
        countAt(tallyEntry(unused, 'continuations without a whole sentence'), `${id}-${sample}`);
        continue;
      }
      writer.append({ id: `${id}-${sample}`, split, prompt, continuation });
      written += 1;
    }
  }
  await writer.close();
  disposeModel(model);
  say(`${written} continuations in ${to}`);
  for (const line of describeTally(unused)) say(`not written: ${line}`);
}

/** A text up to its last full stop, exclamation or question mark, with the quotation mark behind it. */
function wholeSentences(text: string): string {
  return (/^[\s\S]*[.!?]["”]?/.exec(text.trim())?.[0] ?? '').trim();
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  const isHelp = argv.includes('--help') || argv.includes('-h');
  if (!isHelp) await openLaneFor({ backend: 'auto', device: 'auto' }, progress);
  await continuePrompts(argv, (line) => progress.say(line));
});
