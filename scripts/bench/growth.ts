/**
 * How the cost of our training step grows: tokens a second over model size, rows and length, and the share of the
 * machine's matrix-product speed that is reached.
 *
 *   Run      node --import tsx scripts/bench/growth.ts [--ours eager] [--repetitions 5]
 *   Writes   a table to the terminal; growth.json and growth.svg into data/build/bench
 */
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
import { formatTable } from '../../src/report/table.ts';
import { codeVersion } from '../../src/run/manifest.ts';
import { runMain } from '../../src/run/program.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { openBenchLane } from './against-torch.ts';
import type { Size, TrainCase } from './cases.ts';
import { SIZES, trainCase } from './cases.ts';
import { spreadOf } from './compare.ts';
import { growthPlot } from './growth-plot.ts';
import { operationsPerToken, productSpeed } from './operations.ts';
import type { OurOptions } from './our-cases.ts';
import { openOurs, ourVariants } from './our-cases.ts';

/** One point of a sweep. */
export interface Point {
  /** "model size", "rows" or "length": what grows. */
  readonly sweep: string;
  /** Its value here. */
  readonly at: number;
  readonly parameters: number;
  readonly rows: number;
  readonly length: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
  /** Useful arithmetic of the step, 10⁹ operations a second. */
  readonly gflops: number;
  /** The best that large matrix products reached between the steps: other programs only ever slow them. */
  readonly peakGflops: number;
  /** The first as a share of the second. */
  readonly share: number;
}

const BASE = SIZES['12m'];
const MODELS: readonly Partial<Size>[] = [
  { vocab: 512, dModel: 128, layers: 4, heads: 4, steps: 4 },
  { vocab: 2048, dModel: 256, layers: 4, heads: 4, steps: 2 },
  { ...BASE, steps: 1 },
  { vocab: 8192, dModel: 512, layers: 10, heads: 8, steps: 1 },
  { ...SIZES['124m'], rows: BASE.rows, steps: 1 },
];
const ROWS = [1, 2, 4, 8, 16];
const LENGTHS = [32, 64, 128, 256, 512];

const flags = {
  ours: { kind: 'text', default: 'eager', choices: Object.keys(ourVariants), description: 'How our step runs.' },
  repetitions: { kind: 'integer', default: 5, min: 1, description: 'Timed repetitions of each point.' },
  to: { kind: 'path', default: join('data', 'build', 'bench'), description: 'Folder for growth.json and growth.svg.' },
} as const satisfies Flags;

/** The cases of all sweeps; the middle of each is the 12 M model on 4 × 256 tokens. */
function sweeps(): { sweep: string; at: (given: TrainCase) => number; cases: TrainCase[] }[] {
  const make = (change: Partial<Size>): TrainCase => trainCase('growth', { ...BASE, steps: 1, ...change });
  const parameters = ({ dimensions }: TrainCase): number => parameterCount(dimensions, 'tokens');
  return [
    { sweep: 'model size', at: parameters, cases: MODELS.map(make) },
    { sweep: 'rows', at: ({ rows }) => rows.length, cases: ROWS.map((rows) => make({ rows })) },
    { sweep: 'length', at: ({ dimensions }) => dimensions.context, cases: LENGTHS.map((length) => make({ length })) },
  ];
}

/** Steps and products in turn, so that both meet the same machine. */
async function measure(given: TrainCase, options: OurOptions, repetitions: number) {
  const opened = openOurs(given, options);
  try {
    for (let warmUp = 0; warmUp < 2; warmUp++) await opened.step();
    productSpeed();
    const length = given.dimensions.context;
    const operations = operationsPerToken(given.dimensions, length) * given.tokens;
    const repetition = async () => {
      const peakGflops = productSpeed();
      const began = performance.now();
      for (let step = 0; step < given.steps; step++) await opened.step();
      return { ms: (performance.now() - began) / given.steps, peakGflops };
    };
    const runs: Awaited<ReturnType<typeof repetition>>[] = [];
    while (runs.length < repetitions) runs.push(await repetition());
    const { median: ms } = spreadOf(runs.map((run) => run.ms));
    const peakGflops = Math.max(...runs.map((run) => run.peakGflops));
    const gflops = operations / ms / 1e6;
    return { ms, gflops, peakGflops, share: gflops / peakGflops };
  } finally {
    opened.close();
  }
}

await runMain(import.meta.url, async (argv) => {
  const { values, positionals, help } = parseFlags(argv, flags);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (help) return say(['Usage: node --import tsx scripts/bench/growth.ts [options]', ...flagHelp(flags)].join('\n'));
  if (positionals.length > 0) throw new ConfigError(`growth: expected options only, received "${positionals[0]}".`);
  const options = ourVariants[values.ours] as OurOptions;
  const lane = await openBenchLane({ device: 'auto', float32: 'f32', threads: availableParallelism(), say });
  const cpu = cpus()[0]?.model ?? 'unknown CPU';
  say(`${cpu}, ${cpus().length} cores`);

  const points: Point[] = [];
  for (const { sweep, at, cases } of sweeps()) {
    for (const given of cases) {
      const measured = await measure(given, options, values.repetitions);
      const parameters = parameterCount(given.dimensions, 'tokens');
      const shape = { parameters, rows: given.rows.length, length: given.dimensions.context };
      const tokensPerSecond = (1000 * given.tokens) / measured.ms;
      points.push({ sweep, at: at(given), ...shape, ...measured, tokensPerSecond });
      say(`  ${sweep} ${at(given).toLocaleString('en-US')}: ${Math.round(tokensPerSecond)} tokens/s`);
    }
  }
  const headers = ['grows', 'parameters', 'rows', 'length', 'ms a step', 'tokens/s', 'GFLOP/s', 'peak', '% of it'];
  const rows = points.map(({ sweep, parameters, rows, length, ms, tokensPerSecond, ...speed }) => {
    const { gflops, peakGflops, share } = speed;
    return [sweep, parameters, rows, length, ms, Math.round(tokensPerSecond), gflops, peakGflops, 100 * share];
  });
  say(['', ...formatTable(headers, rows)].join('\n'));
  const report = { date: new Date().toISOString(), ...codeVersion(), cpu, versions: lane.versions, ...options, points };
  await atomicWrite(join(values.to, 'growth.json'), `${JSON.stringify(report, null, 2)}\n`);
  await atomicWrite(join(values.to, 'growth.svg'), growthPlot(points, `${values.ours}, ${cpu}`));
  say(`written to ${values.to}`);
});
