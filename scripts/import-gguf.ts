/**
 * Turns a GGUF file into a Hugging Face folder: weights dequantised, tokenizer and chat template rebuilt.
 *
 *   Run      npm run import-gguf -- model.gguf --to data/models/x [--dtype bfloat16]
 *   Writes   config.json, model.safetensors, tokenizer and generation files: every stage here starts from it, and
 *            AutoModelForCausalLM and AutoTokenizer load it
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CheckpointError, ConfigError, errorMessage } from '../src/errors.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { makeAlone } from '../src/files/lock.ts';
import type { GgufImport } from '../src/gguf/import-gguf.ts';
import { importGguf } from '../src/gguf/import-gguf.ts';
import { runMain } from '../src/run/program.ts';
import type { Phase, Progress } from '../src/terminal/progress.ts';
import { openProgress } from '../src/terminal/progress.ts';

const USAGE = [
  'Turns a GGUF file (llama.cpp, Ollama, LM Studio) into a folder that every stage can start from.',
  '',
  'Usage: npm run import-gguf -- <file.gguf> --to data/models/name [--dtype float32|bfloat16]',
  '',
  '  --to     a new folder',
  '  --dtype  float32 (as it is left out) holds every value of the file; bfloat16 is half as large and rounds',
].join('\n');

/** What was typed. */
export interface ImportGgufArguments {
  readonly file: string;
  readonly folder: string;
  readonly dtype: GgufImport['dtype'];
}

/**
 * Reads the command line; undefined where help was asked for.
 * @throws ConfigError where it names no file, no folder or something unknown
 */
export function readImportGgufArguments(argv: readonly string[]): ImportGgufArguments | undefined {
  const { values, positionals } = parse(argv);
  if (values.help) return undefined;
  const [file, ...more] = positionals;
  const { to, dtype = 'float32' } = values;
  if (file === undefined || more.length > 0 || to === undefined || to === '') {
    throw new ConfigError(`import-gguf: expected a file and --to with a new folder.\n${USAGE}`);
  }
  if (dtype !== 'float32' && dtype !== 'bfloat16') {
    throw new ConfigError(`import-gguf --dtype: expected float32 or bfloat16, received ${JSON.stringify(dtype)}.`);
  }
  return { file, folder: to, dtype };
}

function parse(argv: readonly string[]): {
  values: { to?: string; dtype?: string; help?: boolean };
  positionals: string[];
} {
  const options = { to: { type: 'string' }, dtype: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new ConfigError(`import-gguf: ${errorMessage(error)}\n${USAGE}`, { cause: error });
  }
}

/** @throws CheckpointError where the folder is there already */
export function checkFree(folder: string): void {
  if (!existsSync(folder)) return;
  throw new CheckpointError(`${folder}: is there already; expected a new folder. Choose another with --to.`);
}

/**
 * Imports a file and says what to do next.
 * @throws CheckpointError where the file cannot be used, or the folder is there already
 */
export async function importFile({ file, folder, dtype }: ImportGgufArguments, progress: Progress): Promise<void> {
  checkFree(folder);
  const millions = (values: number): number => Math.round(values / 1e6);
  let phase: Phase | undefined;
  const wrote = (values: number, of: number): void => {
    phase ??= progress.phase('import-gguf', millions(of), { unit: 'M values' });
    phase.update(millions(values));
  };
  const { chats } = await makeAlone(folder, { work: 'import-gguf', say: progress.say }, () =>
    atomicFolder(folder, (into) => importGguf(file, into, { dtype, say: progress.say, wrote })),
  );
  phase?.finish(dtype);
  const next = chats ? `npm run chat -- ${folder}` : `npm run generate -- ${folder} --raw --prompt "Once upon a time"`;
  progress.say(`wrote ${folder}. Next: ${next}`);
}

await runMain(import.meta.url, async (argv) => {
  const given = readImportGgufArguments(argv);
  if (given === undefined) return console.log(USAGE);
  const progress = openProgress();
  try {
    await importFile(given, progress);
  } finally {
    progress.close();
  }
});
