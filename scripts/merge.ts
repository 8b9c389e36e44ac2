/**
 * Merges a low-rank adapter into its base model.
 *
 *   Run      npm run merge -- data/models/gpt2 path/to/adapter --to data/models/gpt2-merged
 *   Reads    a base checkpoint, a PEFT folder (adapter_config.json, adapter_model.safetensors)
 *   Writes   a Hugging Face folder that needs neither: what merge_and_unload gives in PEFT, DoRA and modules saved whole included
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAdapterFolder } from '../src/checkpoint/adapter-folder.ts';
import type { MergedModel } from '../src/checkpoint/merged-model.ts';
import { loadMergedModel } from '../src/checkpoint/merged-model.ts';
import { readModelConfig } from '../src/checkpoint/model-config.ts';
import { ADAPTER_FOLDER, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { CheckpointError, ConfigError } from '../src/errors.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { makeAlone } from '../src/files/lock.ts';
import { disposeModel } from '../src/model/model.ts';
import { openParent } from '../src/run/parents.ts';
import { runMain } from '../src/run/program.ts';
import { openLaneFor } from '../src/run/stage.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { openProgress } from '../src/terminal/progress.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';

const flags = {
  to: { kind: 'path', description: 'Folder to write; it must not exist.' },
  dtype: { kind: 'text', default: 'float32', choices: ['float32', 'bfloat16'], description: 'Type of the weights.' },
} as const satisfies Flags;

const usage = 'Usage: npm run merge -- <base> <adapter> --to <folder> [--dtype bfloat16]';

/**
 * The command.
 * @throws ConfigError or CheckpointError with what is missing, taken, or does not fit
 */
export async function mergeCommand(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return say([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const [base, given, ...more] = positionals;
  const { to, dtype } = values;
  if (base === undefined || given === undefined || to === undefined || more.length > 0) {
    throw new ConfigError(`merge: expected a base, an adapter and --to. ${usage}`);
  }
  if (existsSync(to))
    throw new CheckpointError(`--to ${to}: is there already; expected a new folder. Choose another name.`);
  const adapter = adapterFolder(given, say);
  const parent = await openParent(base, { role: 'base model' });
  // A training program that added tokens or a chat template saved the tokenizer beside the adapter.
  const hasTokenizer = existsSync(join(adapter, 'tokenizer.json'));
  if (hasTokenizer) say(`the tokenizer is that of ${adapter}`);
  const tokenizer = loadTokenizer(hasTokenizer ? adapter : parent.folder);
  const merged = loadMergedModel(parent.folder, adapter, { tokenizer, say });
  const { model } = merged;
  const beside = join(adapter, '..', 'config.json');
  const made = existsSync(beside) ? readModelConfig(beside) : undefined;
  const normalisation = made?.isReward === true && made.head === model.head ? made.normalisation : undefined;
  const card = {
    made: 'A model with a low-rank adapter merged into it',
    base,
    data: { adapter: given },
    decisions: decisionsOf(merged),
    results: {},
  };
  const options = { tokenizer, ...(normalisation && { normalisation }), dtype: dtype as 'float32' | 'bfloat16', card };
  await makeAlone(to, { work: 'merge', say }, () => atomicFolder(to, (path) => writeModelFolder(path, model, options)));
  disposeModel(model);
  say(`merged ${describeMerge(merged)} into ${to}`);
}

/** One number, or the smallest and the largest. */
function range(values: readonly number[]): number | string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? least : `${least} to ${most}`;
}

function decisionsOf({ changed, replaced, tokenRows }: MergedModel): Record<string, string | number> {
  return {
    ...(changed.length > 0 && { rank: range(changed.map(({ rank }) => rank)) }),
    ...(changed.length > 0 && { scale: range(changed.map(({ scale }) => scale)) }),
    'changed weights': changed.length,
    ...(replaced.length > 0 && { 'replaced weights': replaced.length }),
    ...(tokenRows.length > 0 && { 'tables with rows replaced': tokenRows.length }),
  };
}

function describeMerge({ changed, replaced, tokenRows }: MergedModel): string {
  const parts = [
    ...(changed.length > 0 ? [`${changed.length} changes of rank ${range(changed.map(({ rank }) => rank))}`] : []),
    ...(replaced.length > 0 ? [`${replaced.length} saved whole`] : []),
    ...(tokenRows.length > 0 ? [`rows of ${tokenRows.join(', ')}`] : []),
  ];
  return parts.join(', ');
}

/**
 * A PEFT folder, a checkpoint of ours that has one within, or a folder with one adapter in a folder of its name, as PEFT
 * saves those that are not called "default".
 */
function adapterFolder(path: string, say: (line: string) => void): string {
  const usual = [path, ...[[], ['best'], ['model']].map((parts) => join(path, ...parts, ADAPTER_FOLDER))];
  const within = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(path, { withFileTypes: true }).filter((entry) => isAdapterFolder(join(path, entry.name)))
    : [];
  const named = within.map(({ name }) => name).filter((name) => name !== ADAPTER_FOLDER);
  const found = usual.find(isAdapterFolder);
  if (found !== undefined) {
    if (named.length > 0)
      say(`not merged: the adapters ${named.join(', ')} in ${path}; name one of those folders for it`);
    return found;
  }
  const [only, ...others] = named;
  if (only !== undefined && others.length === 0) {
    say(`the adapter is ${join(path, only)}`);
    return join(path, only);
  }
  if (only !== undefined) {
    throw new CheckpointError(
      `${path}: holds ${named.length} adapters (${named.join(', ')}); expected one. Name the folder of the one that is wanted.`,
    );
  }
  throw new CheckpointError(
    `${path}: has no adapter_config.json; expected a folder written by PEFT or by a run with tuning.method lora.`,
  );
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  const isHelp = argv.includes('--help') || argv.includes('-h');
  if (!isHelp) await openLaneFor({ backend: 'auto', device: 'auto' }, progress);
  await mergeCommand(argv, (line) => progress.say(line));
});
