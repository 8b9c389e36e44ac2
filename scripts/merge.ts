/**
 * Merges a low-rank adapter into its base model.
 *
 *   Run      npm run merge -- data/models/gpt2 path/to/adapter --to data/models/gpt2-merged
 *   Reads    a base checkpoint, a PEFT folder (adapter_config.json, adapter_model.safetensors)
 *   Writes   a Hugging Face folder that needs neither: W + scale · B · A in place of each changed W
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isAdapterFolder, readAdapterFolder } from '../src/checkpoint/adapter-folder.ts';
import { NO_NORMALISATION, readModelConfig } from '../src/checkpoint/model-config.ts';
import { ADAPTER_FOLDER, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { CheckpointError, ConfigError } from '../src/errors.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { makeAlone } from '../src/files/lock.ts';
import { adaptModel, disposeModel, trainNothing } from '../src/model/model.ts';
import { type Flags, flagHelp, parseFlags } from '../src/run/flags.ts';
import { openParent } from '../src/run/parents.ts';
import { runMain } from '../src/run/program.ts';
import { openProgress } from '../src/run/progress.ts';
import { openLaneFor } from '../src/run/stage.ts';
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
  const adapter = adapterFolder(given);
  const parent = await openParent(base, { role: 'base model' });
  const tokenizer = loadTokenizer(parent.folder);
  const { model } = loadModelFolder(parent.folder, { plan: trainNothing(), tokenizer });
  const { plan, head, read } = readAdapterFolder(adapter, model.dimensions);
  const merged = adaptModel(model, head, plan, read);
  const beside = join(adapter, '..', 'config.json');
  const normalisation =
    head === 'score' && existsSync(beside) ? readModelConfig(beside).normalisation : NO_NORMALISATION;
  const card = {
    made: 'A model with a low-rank adapter merged into it',
    base,
    data: { adapter: given },
    decisions: { rank: plan.rank, scale: plan.scale, 'changed weights': plan.places.length },
    results: {},
  };
  const options = { tokenizer, normalisation, dtype: dtype as 'float32' | 'bfloat16', card };
  await makeAlone(to, { work: 'merge', say }, () =>
    atomicFolder(to, (path) => writeModelFolder(path, merged, options)),
  );
  disposeModel(merged);
  say(`merged ${plan.places.length} changes of rank ${plan.rank} into ${to}`);
}

/** A PEFT folder, or a checkpoint of ours that has one within. */
function adapterFolder(path: string): string {
  for (const folder of [
    path,
    join(path, ADAPTER_FOLDER),
    join(path, 'best', ADAPTER_FOLDER),
    join(path, 'model', ADAPTER_FOLDER),
  ]) {
    if (isAdapterFolder(folder)) return folder;
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
