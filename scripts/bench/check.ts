/**
 * Whether native ops are still as much faster than TensorFlow's as they were on this kind of CPU, and ours than PyTorch's.
 * Ratios of programs that run in turn barely depend on the machine's clock or load, so they can be kept.
 *
 *   Run      npm run bench -- --check [--python .venv/bin/python] [--write]
 *   Fails    where a ratio is worse than the committed one by more than 5 %, or the machine is too busy to tell
 *   Writes   with --write, the ratios into scripts/bench/results/ratios.json
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ConfigError, LaneError, UserError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import type { Cell } from '../../src/report/table.ts';
import { formatTable } from '../../src/report/table.ts';
import { codeVersion } from '../../src/run/manifest.ts';
import { usesNativeOps } from '../../src/tensor/native-ops.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { openBenchLane, split } from './against-torch.ts';
import { casesNamed } from './cases.ts';
import type { Against } from './compare.ts';
import { CALM } from './compare.ts';
import { cpuKind } from './cpu-kind.ts';
import { measureCase } from './measure-case.ts';

/** How many times as fast as something else our native steps are in one case. */
export interface CaseRatio {
  readonly case: string;
  readonly against: Against;
  readonly times: number;
}

/** One that was kept, with where and when it was measured. */
export interface KeptRatio extends CaseRatio {
  readonly commit: string | null;
  readonly date: string;
}

/** The committed ratios by kind of CPU. */
export type KeptRatios = Readonly<Record<string, readonly KeptRatio[]>>;

const FILE = fileURLToPath(new URL('results/ratios.json', import.meta.url));
/** Less than this share of the committed ratio is a regression. */
const ENOUGH = 0.95;
const CASES = ['train-1m', 'train-12m', 'generate-1m', 'generate-12m', 'ppo-1m'];
const OURS = ['native', 'compiled'];
const TORCH = ['eager', 'compile'];
const KEPT: readonly Against[] = ['our compiled', "PyTorch's best"];

const flags = {
  check: { kind: 'switch', description: 'Compare with the committed ratios of this kind of CPU.' },
  write: { kind: 'switch', description: 'Put what is measured in their place.' },
  cases: { kind: 'text', default: CASES.join(','), description: 'Names of cases, with commas between.' },
  model: { kind: 'path', description: 'Folder of SmolLM2-135M, for the cases that are called after it.' },
  repetitions: { kind: 'integer', default: 9, min: 2, description: 'Timed repetitions, after two that are not.' },
  patience: {
    kind: 'integer',
    default: 4,
    min: 1,
    description: 'Turns made at most while others disturb, as a multiple.',
  },
  threads: { kind: 'integer', default: availableParallelism(), min: 1, description: 'Threads of each side.' },
  python: { kind: 'text', description: 'Python with PyTorch and transformers; without it ours alone is measured.' },
} as const satisfies Flags;

/** The check as a command. */
export async function checkRatios(argv: readonly string[]): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (help) return say(['Usage: npm run bench -- --check [options]', ...flagHelp(flags)].join('\n'));
  if (positionals.length > 0) throw new ConfigError(`bench: expected options only, received "${positionals[0]}".`);
  const { threads, repetitions, patience, python = null } = values;
  const cases = casesNamed(split(values.cases), values.model);
  const kind = cpuKind(threads);
  say(`this kind of CPU: ${kind}`);
  const kept = readRatios();
  const lane = await openBenchLane({ device: 'cpu', float32: 'f32', threads, say });
  if (!usesNativeOps()) {
    throw new LaneError(
      `bench --check: expected native ops, received lane ${lane.name} without. Run npm run setup, then npm run doctor.`,
    );
  }
  const measured: CaseRatio[] = [];
  const busy: string[] = [];
  for (const given of cases) {
    const how = {
      python,
      llama: null,
      device: 'cpu',
      float32: 'f32',
      xla: false,
      threads,
      repetitions,
      patience,
    } as const;
    const { name, ratios, others, failed } = await measureCase(given, { ...how, ours: OURS, torch: TORCH, say });
    for (const { side, variant, why } of failed) say(`  ${side} ${variant} is left out: ${why}`);
    const most = Math.max(...others);
    if (most > CALM)
      busy.push(`${name}: other programs took up to ${most.toFixed(1)} cores; expected at most ${CALM}.`);
    for (const { ours, against, median } of ratios) {
      if (ours.variant === 'native' && KEPT.includes(against)) measured.push({ case: name, against, times: median });
    }
  }
  const own = kept[kind] ?? [];
  const { rows, worse } = compareRatios(own, measured);
  say(
    ['', ...formatTable(['case', 'native against', 'times as fast', 'committed', 'at', 'verdict'], rows), ''].join(
      '\n',
    ),
  );
  if (busy.length > 0) throw new UserError([...busy, 'Such a ratio says little. Run it again when they are done.']);
  if (values.write) return writeRatios(kept, kind, measured, say);
  if (own.length === 0)
    say(`no ratios are committed for this kind of CPU. To keep these: npm run bench -- --check --write`);
  if (worse.length > 0) throw new UserError(worse);
}

/**
 * What is measured beside what is committed for the same case and comparison.
 * @returns rows of a table, and a sentence for each ratio that is worse by more than 5 %
 */
export function compareRatios(
  kept: readonly KeptRatio[],
  measured: readonly CaseRatio[],
): { rows: Cell[][]; worse: string[] } {
  const worse: string[] = [];
  const rows = measured.map(({ case: name, against, times }): Cell[] => {
    const before = kept.find((one) => one.case === name && one.against === against);
    if (before === undefined) return [name, against, times, null, null, 'nothing committed'];
    const isWorse = times < ENOUGH * before.times;
    if (isWorse) {
      worse.push(
        `${name}: native is ${times.toFixed(2)} times as fast as ${against}; expected at least ${(ENOUGH * before.times).toFixed(2)}, ` +
          `95 % of what it was at ${before.commit}. Find what made it slower, or where it has to be so: --write.`,
      );
    }
    return [name, against, times, before.times, before.commit, isWorse ? 'worse' : 'as fast'];
  });
  return { rows, worse };
}

/** The committed ratios with those measured in their places; others of this kind of CPU stay. */
export function withRatios(kept: KeptRatios, kind: string, measured: readonly KeptRatio[]): KeptRatios {
  const isNew = (old: KeptRatio): boolean =>
    measured.some((one) => one.case === old.case && one.against === old.against);
  return { ...kept, [kind]: [...(kept[kind] ?? []).filter((old) => !isNew(old)), ...measured] };
}

function readRatios(): KeptRatios {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as KeptRatios) : {};
}

async function writeRatios(
  kept: KeptRatios,
  kind: string,
  measured: readonly CaseRatio[],
  say: (line: string) => void,
): Promise<void> {
  const [commit, date] = [codeVersion().gitCommit, new Date().toISOString().slice(0, 10)];
  const rounded = measured.map((one): KeptRatio => ({ ...one, times: Number(one.times.toFixed(3)), commit, date }));
  await atomicWrite(FILE, `${JSON.stringify(withRatios(kept, kind, rounded), null, 2)}\n`);
  say(`written to scripts/bench/results/ratios.json. Commit it.`);
}
