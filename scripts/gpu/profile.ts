/**
 * Where the time of one step goes, by op: TensorFlow's own trace of a run of the graph, with what the card did where
 * CUPTI can be loaded.
 *
 *   Run      node --import tsx scripts/gpu/profile.ts --case train-124m-long --ours "compiled bf16" [--to folder]
 *   Prints   a table; writes the trace as TensorFlow gives it (RunMetadata) with --to
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../../src/errors.ts';
import type { CApi, Pointer } from '../../src/graph/c-api.ts';
import { engine } from '../../src/graph/engine.ts';
import { formatTable } from '../../src/report/table.ts';
import { runMain } from '../../src/run/program.ts';
import { openLane } from '../../src/tensor/lane.ts';
import { defineStruct, loadKoffi } from '../../src/tensor/native-library.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { parseFlags } from '../../src/terminal/flags.ts';
import { casesNamed } from '../bench/cases.ts';
import { openOurs, ourVariants, settle } from '../bench/our-cases.ts';
import { opTimes } from './step-stats.ts';

const flags = {
  device: { kind: 'text', default: 'gpu', choices: ['gpu', 'cpu'], description: 'Where to compute.' },
  float32: { kind: 'text', default: 'f32', choices: ['f32', 'tf32'], description: 'What float32 is multiplied in.' },
  case: { kind: 'text', default: 'train-124m-long', description: 'Name of a case of the bench.' },
  ours: { kind: 'text', default: 'compiled bf16', choices: Object.keys(ourVariants), description: 'Our variant.' },
  xla: { kind: 'switch', description: 'Compiled by XLA too.' },
  to: { kind: 'path', description: 'Folder for the trace.' },
} as const satisfies Flags;

/** Steps before the one that is traced. */
const WARM_UPS = 3;
/** RunOptions with trace_level FULL_TRACE (tensorflow/core/protobuf/config.proto). */
const FULL_TRACE = Buffer.from([0x08, 3]);

/** Has every run of graphs traced from now on. @returns what takes the traces made so far, one a run */
function traceRuns(api: CApi): () => Buffer[] {
  const koffi = loadKoffi();
  const library = koffi.load('libtensorflow_cc.so.2');
  defineStruct(koffi, 'TF_Buffer', { data: 'void*', length: 'size_t', deallocator: 'void*' });
  const options = library.func('void* TF_NewBufferFromString(const void*, size_t)')(FULL_TRACE, FULL_TRACE.length);
  const newBuffer = library.func('void* TF_NewBuffer()');
  const deleteBuffer = library.func('void TF_DeleteBuffer(void*)');
  let found: Pointer[] = [];
  const { SessionRun: run } = api;
  type Given = Parameters<typeof run>;
  const traced = (given: Given): Given => {
    const metadata = newBuffer();
    found.push(metadata);
    const [session, , inputs, values, count, outputs, results, outputCount, targets, targetCount, , status] = given;
    const all = [session, options, inputs, values, count, outputs, results, outputCount, targets, targetCount];
    return [...all, metadata, status] as unknown as Given;
  };
  const replaced = Object.assign((...given: Given) => run(...traced(given)), {
    async: (...given: [...Given, (error: Error | null) => void]) => {
      const done = given.pop() as (error: Error | null) => void;
      run.async(...traced(given as unknown as Given), done);
    },
  });
  Object.assign(api, { SessionRun: replaced });
  return () => {
    const taken = found.map((buffer) => {
      const { data, length } = koffi.decode(buffer, 'TF_Buffer') as { data: Pointer; length: number };
      const bytes = Buffer.alloc(Number(length));
      api.copy(bytes, data, bytes.length);
      deleteBuffer(buffer);
      return bytes;
    });
    found = [];
    return taken;
  };
}

await runMain(import.meta.url, async (argv) => {
  const { values } = parseFlags(argv, flags);
  const [given] = casesNamed([values.case]);
  const options = ourVariants[values.ours];
  if (given === undefined || options?.compile !== 'on' || options.native) {
    throw new ConfigError(`profile: expected one case and a variant that is compiled, received "${values.ours}".`);
  }
  const device = values.device as 'gpu' | 'cpu';
  await openLane({ backend: 'tensorflow', device, precision: values.float32 as 'f32' | 'tf32' });
  const opened = openOurs(given, { ...options, xla: values.xla });
  const timed = async (): Promise<number> => {
    const began = performance.now();
    await opened.step();
    settle();
    return performance.now() - began;
  };
  for (let i = 0; i < WARM_UPS; i++) await timed();
  const plain = await timed();
  const take = traceRuns(engine().graph.api);
  await timed();
  take();
  const slowed = await timed();
  const traces = take();
  const times = opTimes(Buffer.concat(traces));
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(
    `${given.name} ${values.ours} ${values.float32}: ${plain.toFixed(1)} ms a step, ${slowed.toFixed(1)} while traced`,
  );
  for (const name of new Set(times.map(({ device: one }) => one))) {
    const here = times.filter(({ device: one }) => one === name);
    const sum = here.reduce((all, { ms }) => all + ms, 0);
    say(`\n${name}: ${sum.toFixed(1)} ms`);
    const rows = here.slice(0, 25).map(({ op, count, ms }) => [op, count, ms, (100 * ms) / sum]);
    say(formatTable(['op', 'nodes', 'ms', '%'], rows).join('\n'));
  }
  if (values.to === undefined) return;
  mkdirSync(values.to, { recursive: true });
  const name = `profile-${given.name}-${values.ours.replace(' ', '-')}-${values.float32}${values.xla ? '-xla' : ''}`;
  writeFileSync(join(values.to, `${name}.pb`), Buffer.concat(traces));
  say(`written to ${join(values.to, `${name}.pb`)}`);
});
