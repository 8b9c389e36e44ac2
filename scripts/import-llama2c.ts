/**
 * Turns a llama2.c model and its vocabulary into a Hugging Face folder.
 *
 *   Run      npm run import-llama2c -- stories260K.bin tok512.bin data/models/stories260k
 *   Writes   config.json, model.safetensors, tokenizer and generation files: every stage here starts from it, and
 *            AutoModelForCausalLM and AutoTokenizer load it. The tables grow by a row for a PAD of its own
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Llama2cFile, openLlama2c } from '../src/checkpoint/llama2c.ts';
import { readLlama2cTokenizer } from '../src/checkpoint/llama2c-tokenizer.ts';
import { huggingFaceConfig } from '../src/checkpoint/model-config.ts';
import { loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { writeWeightFiles } from '../src/checkpoint/weight-files.ts';
import { fileTensors } from '../src/checkpoint/weight-names.ts';
import { CheckpointError, ConfigError } from '../src/errors.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { makeAlone } from '../src/files/lock.ts';
import { disposeModel, trainNothing } from '../src/model/model.ts';
import { runMain } from '../src/run/program.ts';
import { openLaneFor } from '../src/run/stage.ts';
import { openProgress } from '../src/terminal/progress.ts';
import { llama2cTokenizerFiles } from '../src/tokenizer/llama2c-files.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';

const usage = 'Usage: npm run import-llama2c -- <model.bin> <tokenizer.bin> <folder>';

/**
 * The command.
 * @throws ConfigError or CheckpointError where a file is missing or not what it should be, or the folder is there already
 */
export async function importLlama2c(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const [modelPath, tokenizerPath, to, ...more] = argv;
  if (modelPath === undefined || tokenizerPath === undefined || to === undefined || more.length > 0) {
    throw new ConfigError(`import-llama2c: expected a model, a tokenizer and a folder. ${usage}`);
  }
  const missing = [modelPath, tokenizerPath].filter((path) => !existsSync(path));
  if (missing.length > 0)
    throw new CheckpointError(missing.map((path) => `${path}: there is no such file. Correct the path.`));
  if (existsSync(to)) throw new CheckpointError(`${to}: is there already; expected a new folder. Choose another name.`);
  const fill = (folder: string): void => {
    writeAsItIs(folder, modelPath, tokenizerPath);
    // Read again with a PAD, which grows the tables, and written whole.
    const tokenizer = loadTokenizer(folder);
    const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer });
    for (const name of ['model.safetensors', 'config.json']) rmSync(join(folder, name));
    const card = { made: basename(modelPath), base: basename(modelPath), data: {}, decisions: {}, results: {} };
    writeModelFolder(folder, model, { tokenizer, card });
    disposeModel(model);
  };
  await makeAlone(to, { work: 'import-llama2c', say }, () => atomicFolder(to, fill));
  say(`${modelPath} → ${to}`);
}

/** The folder as it would be published: without a PAD. */
function writeAsItIs(folder: string, modelPath: string, tokenizerPath: string): void {
  const file = openLlama2c(modelPath);
  try {
    writeFiles(folder, file, tokenizerPath);
  } finally {
    file.close();
  }
}

function writeFiles(folder: string, { dimensions, read }: Llama2cFile, tokenizerPath: string): void {
  const { pieces } = readLlama2cTokenizer(readFileSync(tokenizerPath), dimensions.vocab, tokenizerPath);
  const files = llama2cTokenizerFiles(pieces, dimensions.context, tokenizerPath);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const special = { padId: 0, bosId: 1, eosId: 2 };
  const options = { dtype: 'float32' } as const;
  const config = { ...huggingFaceConfig(dimensions, 'tokens', special, options), pad_token_id: null };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  // The last one is kept: files ask for its parts in turn.
  let last: { name: string; values: Float32Array } | undefined;
  const tensors = fileTensors(dimensions, 'tokens', (name) => {
    if (last?.name !== name) last = { name, values: read(name) };
    return last.values;
  });
  writeWeightFiles(folder, tensors, { dtype: 'F32' });
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  if (argv.includes('--help') || argv.includes('-h')) return progress.say(usage);
  await openLaneFor({ backend: 'auto', device: 'auto' }, progress);
  await importLlama2c(argv, (line) => progress.say(line));
});
