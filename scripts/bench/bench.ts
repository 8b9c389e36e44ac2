/**
 * How fast this machine is: tokens a second of an instruct step and of rollouts, and seconds of a PPO iteration, on
 * every lane that works here. The default model with random weights; default shapes of the stages.
 *
 *   Run      npm run bench [-- --lane wasm] [--model data/base] [--out data/build/bench.json]
 *            npm run bench -- --against torch --help, for a comparison with PyTorch instead
 *            npm run bench -- --check, for whether it is as fast as it was
 *   Writes   a table to the terminal, and machine, versions, date and numbers as JSON
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { ConfigError, errorMessage } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
import { formatNumber, formatTable } from '../../src/report/table.ts';
import { codeVersion } from '../../src/run/manifest.ts';
import { runMain } from '../../src/run/program.ts';
import type { Lane, LaneName } from '../../src/tensor/lane.ts';
import { laneNames, openLane } from '../../src/tensor/lane.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { againstTorch } from './against-torch.ts';
import { checkRatios } from './check.ts';
import type { Measure } from './measures.ts';
import { instructStep, ppoIteration, rollouts } from './measures.ts';

/** Numbers of one measure on one lane, in its unit. */
interface Result {
  readonly lane: LaneName;
  readonly device: string;
  readonly name: string;
  readonly unit: string;
  readonly shapes: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly repeats: number;
}

/** Lanes that train; webgpu cannot read results in between, and cpu takes minutes a step. Both can be named. */
const DEFAULT_LANES: readonly LaneName[] = ['tensorflow', 'wasm'];

/** Runs a measure once to warm up and then `repeats` times. */
async function time(measure: Measure, lane: Lane): Promise<Result> {
  await measure.run();
  const values: number[] = [];
  for (let i = 0; i < measure.repeats; i++) {
    const began = performance.now();
    const tokens = await measure.run();
    const seconds = (performance.now() - began) / 1000;
    values.push(measure.unit === 's' ? seconds : tokens / seconds);
  }
  values.sort((a, b) => a - b);
  const middle = (values.length - 1) / 2;
  const median = ((values[Math.floor(middle)] ?? 0) + (values[Math.ceil(middle)] ?? 0)) / 2;
  const { name, unit, shapes, repeats } = measure;
  const range = { min: values[0] ?? 0, max: values.at(-1) ?? 0 };
  return { lane: lane.name, device: lane.device, name, unit, shapes, median, ...range, repeats };
}

/** The stages' defaults; paths are not read. */
function defaults() {
  const [run, prompts] = [{ folder: 'bench' }, { tables: 'none', templates: 'none', split: 'ppo' }];
  const data = { tables: 'none', templates: 'none' };
  return {
    instruct: checkConfig(InstructConfig, { run, model: 'none', data }, 'bench'),
    // The configurations of the default chain sample at temperature 1.
    ppo: checkConfig(
      PpoConfig,
      {
        run,
        policy: 'none',
        reward: 'none',
        prompts,
        heldOut: { ...prompts, split: 'validation' },
        sampling: { temperature: 1 },
      },
      'bench',
    ),
  };
}

async function measureLane(lane: Lane, dimensions: ModelDimensions, say: (line: string) => void): Promise<Result[]> {
  const { instruct, ppo } = defaults();
  const makers = [
    () => instructStep(dimensions, instruct),
    () => rollouts(dimensions),
    () => ppoIteration(dimensions, ppo),
  ];
  const results: Result[] = [];
  for (const make of makers) {
    const measure = make();
    try {
      const result = await time(measure, lane);
      say(`  ${result.name}: ${formatNumber(result.median)} ${result.unit}`);
      results.push(result);
    } finally {
      measure.close();
    }
  }
  return results;
}

/** The lanes asked for; those of the defaults that cannot be opened are left out with a line that says why. */
async function measureLanes(
  names: readonly LaneName[],
  isNamed: boolean,
  dimensions: ModelDimensions,
  say: (line: string) => void,
): Promise<{ results: Result[]; versions: Record<string, Record<string, string>> }> {
  const results: Result[] = [];
  const versions: Record<string, Record<string, string>> = {};
  for (const name of names) {
    let lane: Lane;
    try {
      lane = await openLane({ backend: name, device: 'auto' });
    } catch (error) {
      if (isNamed) throw error;
      say(`lane ${name} is left out: ${errorMessage(error)}`);
      continue;
    }
    say(lane.note);
    versions[name] = lane.versions;
    results.push(...(await measureLane(lane, dimensions, say)));
  }
  return { results, versions };
}

function laneNamed(name: string): LaneName {
  const found = laneNames.find((lane) => lane === name);
  if (found !== undefined) return found;
  throw new ConfigError(`--lane: expected one of ${laneNames.join(', ')}, received "${name}". Correct it.`);
}

/** The options; what parseArgs does not know is a mistake of the caller, not a crash. */
function options(argv: readonly string[]) {
  const known = {
    lane: { type: 'string', multiple: true },
    model: { type: 'string' },
    out: { type: 'string' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options: known }).values;
  } catch (error) {
    throw new ConfigError(
      `bench: ${errorMessage(error)}; expected --lane, --model, --out, --against torch or --check.`,
      {
        cause: error,
      },
    );
  }
}

await runMain(import.meta.url, async (argv) => {
  if (argv.some((argument) => /^--against(=|$)/.test(argument))) return againstTorch(argv);
  if (argv.some((argument) => /^--check(=|$)/.test(argument))) return checkRatios(argv);
  const { lane: named, model = 'data/base', out = join('data', 'build', 'bench.json') } = options(argv);
  const { dimensions } = readModelConfig(join(model, 'config.json'));
  const parameters = parameterCount(dimensions, 'tokens');
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
  };
  say(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; ${parameters.toLocaleString('en-US')} parameters`);
  const lanes = named === undefined ? DEFAULT_LANES : named.map(laneNamed);
  const { results, versions } = await measureLanes(lanes, named !== undefined, dimensions, say);
  const rows = results.map(({ lane, name, shapes, unit, median, min, max }) => [
    lane,
    name,
    shapes,
    median,
    min,
    max,
    unit,
  ]);
  say(['', ...formatTable(['lane', 'measure', 'shapes', 'median', 'min', 'max', 'unit'], rows)].join('\n'));
  const report = { date: new Date().toISOString(), ...codeVersion(), machine, versions, parameters, results };
  await atomicWrite(out, `${JSON.stringify(report, null, 2)}\n`);
  say(`written to ${out}`);
});
