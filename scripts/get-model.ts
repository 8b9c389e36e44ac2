/**
 * Fetches a model from the Hugging Face Hub: settings, tokenizer and safetensors weights, checked by their hashes.
 *
 *   Reads   HF_ENDPOINT (a mirror), HF_TOKEN (private and gated models)
 *   Writes  data/models/<name>, whole or not at all; what came before an interrupt waits beside it
 *   Run     npm run get-model -- HuggingFaceTB/SmolLM2-135M [--to data/models/smol]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readModelConfig } from '../src/checkpoint/model-config.ts';
import { ConfigError, errorMessage } from '../src/errors.ts';
import { makeAlone } from '../src/files/lock.ts';
import type { FetchedModel } from '../src/hub/get-model.ts';
import { getModel } from '../src/hub/get-model.ts';
import type { Hub, ModelName } from '../src/hub/source.ts';
import { hubFrom, parseModelName } from '../src/hub/source.ts';
import { runMain } from '../src/run/program.ts';
import { watchInterrupts } from '../src/terminal/interrupts.ts';
import type { Phase, Progress } from '../src/terminal/progress.ts';
import { openProgress } from '../src/terminal/progress.ts';

const USAGE = [
  'Fetches a model from the Hugging Face Hub into a folder that every stage can start from.',
  '',
  'Usage: npm run get-model -- org/name[@revision] [--to data/models/name]',
  '',
  '  HF_ENDPOINT  another server with the same API',
  '  HF_TOKEN     for private and gated models',
].join('\n');

/** What was typed. */
export interface GetModelArguments {
  readonly model: ModelName;
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
  const model = parseModelName(name);
  return { model, folder: values.to ?? join('data', 'models', model.repository.split('/').at(-1) ?? '') };
}

function parse(argv: readonly string[]): { values: { to?: string; help?: boolean }; positionals: string[] } {
  const options = { to: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new ConfigError(`get-model: ${errorMessage(error)}\n${USAGE}`, { cause: error });
  }
}

/** Fetches a model and shows how far it is. */
async function fetchModel(
  { model, folder }: GetModelArguments,
  hub: Hub,
  progress: Progress,
  signal: AbortSignal,
): Promise<FetchedModel> {
  const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
  let phase: Phase | undefined;
  let before = 0;
  const result = await getModel({
    hub,
    model,
    folder,
    signal,
    say: progress.say,
    begins: (total, here) => {
      before = here;
      if (here > 1e6) progress.say(`${megabytes(here)} of ${megabytes(total)} MB are here already`);
      phase = progress.phase(model.repository, megabytes(total), { unit: 'MB', start: megabytes(here) });
    },
    received: (bytes, file) => phase?.update(megabytes(bytes), { file }, Math.max(0, bytes - before) / 1e6),
    checkConfig: (path) => void readModelConfig(path),
  });
  phase?.finish(`commit ${result.commit.slice(0, 12)}`);
  return result;
}

await runMain(import.meta.url, async (argv) => {
  const given = readGetModelArguments(argv);
  if (given === undefined) return console.log(USAGE);
  const hub = hubFrom(process.env);
  const progress = openProgress();
  const stop = new AbortController();
  const watch = watchInterrupts(
    () => stop.abort(),
    () => process.exit(130),
  );
  try {
    const { fetched, files } = await makeAlone(given.folder, { work: 'get-model', say: progress.say }, () =>
      fetchModel(given, hub, progress, stop.signal),
    );
    progress.say(
      fetched ? `wrote ${given.folder}` : `${given.folder}: is there already, all ${files.length} files as listed`,
    );
  } catch (error) {
    progress.close();
    if (!stop.signal.aborted) throw error;
    console.error('stopped; what came is kept. The same command goes on from there.');
    process.exit(130);
  } finally {
    watch.stop();
  }
});
