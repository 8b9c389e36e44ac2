/**
 * Writes a model as one GGUF file, for llama.cpp and the programs that are built on it.
 *
 *   Run      npm run export-gguf -- data/runs/tiny/ppo --type q8_0 --to valley.gguf
 *   Reads    a checkpoint: a run folder or a Hugging Face folder; merge an adapter of others first (npm run merge)
 *   Writes   the weights, the tokenizer and the chat template, whole or not at all
 */
import { existsSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { CheckpointError, ConfigError } from '../src/errors.ts';
import { exportGguf } from '../src/gguf/export-gguf.ts';
import { openParent } from '../src/run/parents.ts';
import { runMain } from '../src/run/program.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { openProgress } from '../src/terminal/progress.ts';

const TYPES = { f16: 'F16', bf16: 'BF16', q8_0: 'Q8_0' } as const;

const flags = {
  type: { kind: 'text', choices: Object.keys(TYPES), description: 'Type of the matrices; vectors stay float32.' },
  to: { kind: 'path', description: 'File to write; it must not exist. <name>-<type>.gguf where left out.' },
} as const satisfies Flags;

const usage = 'Usage: npm run export-gguf -- <checkpoint> --type f16|bf16|q8_0 [--to file.gguf]';

/**
 * The command.
 * @throws ConfigError or CheckpointError with what is missing, taken, or cannot be read by llama.cpp
 */
export async function exportGgufCommand(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return say([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const [given, ...more] = positionals;
  const { type } = values;
  if (given === undefined || type === undefined || more.length > 0)
    throw new ConfigError(`export-gguf: expected a checkpoint and --type. ${usage}`);
  const { folder } = await openParent(given, { role: 'checkpoint' });
  const name = basename(resolve(given));
  const to = values.to ?? `${name}-${type}.gguf`;
  if (existsSync(to))
    throw new CheckpointError(`--to ${to}: is there already; expected a new file. Choose another name.`);
  const { tensors, notes } = await exportGguf(folder, TYPES[type as keyof typeof TYPES], to, name);
  for (const note of notes) say(note);
  say(`${folder} → ${to}: ${tensors} tensors, ${(statSync(to).size / 1e6).toFixed(1)} MB`);
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  await exportGgufCommand(argv, (line) => progress.say(line));
});
