/**
 * What to run on a machine with a GPU: sets up TensorFlow, checks that it computes rightly there and in the precision
 * asked for, measures training and generation in float32, TensorFloat-32 and bfloat16, and prints a table for docs/speed.md.
 *
 *   Run      npm run gpu [-- check | measure] [--python .venv/bin/python] [--to folder]
 *            npm run gpu -- --device cpu --cases train-1m --repetitions 2, to try these scripts without a GPU
 *   Needs    an NVIDIA driver; for the comparison a Python with scripts/bench/torch/requirements.txt
 *   Writes   check.json and a file for each case and precision; started again, it measures what has none
 */
import { join } from 'node:path';
import { ConfigError, InvariantError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { formatTable } from '../../src/report/table.ts';
import { codeVersion } from '../../src/run/manifest.ts';
import { runMain } from '../../src/run/program.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { casesNamed } from '../bench/cases.ts';
import type { Float32 } from '../bench/compare.ts';
import { findingsOf } from './check.ts';
import type { Gpu } from './machine.ts';
import { gpuOf, prepare, runScript } from './machine.ts';
import { measure } from './measure.ts';
import type { Numbers, Precision } from './numbers.ts';
import { markdownTable } from './table.ts';

const CASES = [
  'train-124m-long',
  'train-350m-long',
  'generate-124m',
  'ppo-12m',
  'train-12m',
  'generate-12m',
  'train-1m',
];
/** PyTorch's without max-autotune, which takes minutes for each case. */
const TORCH = ['eager', 'compile', 'bf16', 'bf16-compile'];
/** From this compute capability on a GPU has TensorFloat-32. */
const AMPERE = 8;

const flags = {
  device: { kind: 'text', default: 'gpu', choices: ['gpu', 'cpu'], description: 'cpu is for trying these scripts.' },
  cases: { kind: 'text', default: CASES.join(','), description: 'Names of the bench’s cases, with commas between.' },
  repetitions: { kind: 'integer', default: 7, min: 2, description: 'Timed repetitions.' },
  python: { kind: 'text', description: 'Python with PyTorch and transformers, to compare with.' },
  float32: { kind: 'text', default: 'f32,tf32', description: 'What float32 is multiplied in; bf16 comes with f32.' },
  torch: { kind: 'text', default: TORCH.join(','), description: 'PyTorch’s variants, with commas between.' },
  to: { kind: 'path', default: join('data', 'build', 'gpu'), description: 'Folder for the numbers.' },
} as const satisfies Flags;

type Say = (line: string) => void;

/**
 * Compares numbers of this device and of the CPU; writes check.json.
 * @throws InvariantError naming everything that does not hold
 */
async function check(device: 'gpu' | 'cpu', gpu: Gpu | null, to: string, say: Say): Promise<void> {
  const numbers = (where: string, precision: Precision, ...more: string[]): Numbers =>
    JSON.parse(runScript('numbers.ts', ['--device', where, '--precision', precision, ...more], { isRead: true }));
  say('checking: a few steps in each precision, and on the CPU');
  const here = { f32: numbers(device, 'f32'), tf32: numbers(device, 'tf32'), bf16: numbers(device, 'bf16') };
  const cpu = device === 'cpu' ? here.f32 : numbers('cpu', 'f32');
  const xla = device === 'cpu' ? null : numbers(device, 'f32', '--xla');
  say(here.f32.lane.note);
  const known = gpu === null ? null : gpu.computeCapability >= AMPERE;
  const findings = findingsOf(here, { cpu, xla }, device === 'cpu' ? false : known);
  const rows = findings.map(({ what, expected, received, holds }) => [what, expected, received, holds ? 'yes' : 'NO']);
  say(formatTable(['what', 'expected', 'received', 'holds'], rows).join('\n'));
  const report = {
    date: new Date().toISOString(),
    ...codeVersion(),
    device,
    gpu,
    findings,
    numbers: { ...here, cpu, xla },
  };
  await atomicWrite(join(to, 'check.json'), `${JSON.stringify(report, null, 2)}\n`);
  const wrong = findings.filter(({ holds }) => !holds);
  if (wrong.length === 0) return;
  throw new InvariantError([
    ...wrong.map(({ what, expected, received }) => `${what}: expected ${expected}, received ${received}.`),
    `All numbers are in ${join(to, 'check.json')}. To measure in spite of this: npm run gpu -- measure`,
  ]);
}

/** @throws ConfigError naming what is no precision of float32 */
function float32sNamed(names: string): Float32[] {
  return names.split(',').map((name) => {
    if (name === 'f32' || name === 'tf32') return name;
    throw new ConfigError(`--float32: expected f32, tf32 or both, received "${name}".`);
  });
}

await runMain(import.meta.url, async (argv) => {
  const { values, positionals, help } = parseFlags(argv, flags);
  const say: Say = (line) => void process.stdout.write(`${line}\n`);
  if (help) return say(['Usage: npm run gpu -- [check | measure] [options]', ...flagHelp(flags)].join('\n'));
  const [only, extra] = positionals;
  if (extra !== undefined || (only !== undefined && only !== 'check' && only !== 'measure')) {
    throw new ConfigError(`gpu: expected check, measure or nothing (for both), received "${positionals.join(' ')}".`);
  }
  const { to, repetitions, python } = values;
  const device = values.device as 'gpu' | 'cpu';
  const cases = casesNamed(values.cases.split(',')).map(({ name }) => name);
  await prepare(device, say);
  const gpu = device === 'gpu' ? gpuOf() : null;
  if (gpu !== null) say(`${gpu.name}, ${gpu.memory}, driver ${gpu.driver}`);
  if (only !== 'measure') await check(device, gpu, to, say);
  if (only === 'check') return;
  const plan = {
    to,
    device,
    cases,
    repetitions,
    python,
    torch: values.torch.split(','),
    float32: float32sNamed(values.float32),
  };
  measure(plan, say);
  say(['', ...markdownTable(plan)].join('\n'));
});
