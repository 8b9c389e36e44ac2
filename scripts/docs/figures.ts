/** The figures of the documents: the JSON files of docs/results as Markdown, each with the commit, date and machine it was measured on. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../src/errors.ts';
import { meanAndDeviation } from '../../src/evaluation/statistics.ts';

/** Where and when a figure was measured. */
export interface Measured {
  readonly commit: string;
  readonly date: string;
  readonly machine: string;
  readonly lane: string;
  readonly note?: string;
}

/** A table as docs/results keeps it: numbers as they were measured, a format for each column. */
interface MeasuredTable {
  readonly measured: Measured;
  readonly columns: readonly { readonly title: string; readonly format: string }[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

/** A run of the default chain (docs/results/chain.json), as `npm run docs -- <run folder>` writes it down. */
export interface RecordedChain {
  readonly measured: Measured;
  readonly seconds: number;
  /** What the chain printed at its end: a table of each stage before and after. */
  readonly printed: readonly string[];
  readonly curve: readonly {
    readonly step: number;
    readonly gold: number;
    readonly reward: number;
    readonly kl: number;
  }[];
  readonly prompt: string;
  readonly answers: readonly { readonly model: string; readonly response: string; readonly gold: number }[];
}

/** What summary.json of a chain says of it, as far as the documents show it. */
export interface SeedRun {
  readonly seed: number;
  readonly lane: string;
  readonly seconds: number;
  readonly instruct: {
    readonly accuracyBase: number;
    readonly accuracy: number;
    readonly accuracyUnseenTemplates: number;
  };
  readonly reward: {
    readonly heldOutAccuracy: number;
    readonly 'accuracy: truth alone': number;
    readonly ece: number;
  };
  readonly ppo: {
    readonly rightBefore: number;
    readonly rightAfter: number;
    readonly goldBefore: number;
    readonly goldAfter: number;
    readonly klPerResponse: number;
    readonly winRate: number;
    readonly accuracyAfter: number;
  };
}

/** Chains of several seeds (docs/results/seeds.json), as `npm run docs -- <run folders>` writes them down. */
export interface Seeds {
  readonly measured: Measured;
  readonly runs: readonly SeedRun[];
}

const FORMATS: Readonly<Record<string, (value: number) => string>> = {
  percent: (value) => `${(100 * value).toFixed(1)} %`,
  integer: (value) => value.toLocaleString('en-US'),
  fixed1: (value) => value.toFixed(1),
  fixed2: (value) => value.toFixed(2),
  fixed3: (value) => value.toFixed(3),
};
const shown = (format: keyof typeof FORMATS, value: number): string =>
  (FORMATS[format]?.(value) ?? '').replace('-', '−');

/** A JSON file of docs/results, or of another folder of the project. */
export function readResult<Result>(root: string, name: string, folder = 'docs/results'): Result {
  const path = join(root, folder, `${name}.json`);
  if (!existsSync(path)) throw new DataError(`${path}: is missing; expected measured figures. Restore it from git.`);
  return JSON.parse(readFileSync(path, 'utf8')) as Result;
}

/**
 * All figures by the name that documents give in `<!-- figure name -->`, as lines of Markdown.
 * @throws DataError where a file is missing, or a table has an unknown format or rows of another width than its columns
 */
export function figures(root: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const file of ['results', 'speed', 'models']) {
    for (const [name, table] of Object.entries(readResult<Record<string, MeasuredTable>>(root, file)))
      found.set(`${file}/${name}`, figureTable(`docs/results/${file}.json ${name}`, table));
  }
  const chain = readResult<RecordedChain>(root, 'chain');
  const seeds = readResult<Seeds>(root, 'seeds');
  found.set('chain/printed', ['```', ...chain.printed, '```']);
  found.set('chain/answers', answerLines(chain));
  found.set('chain/curve', curveLines(chain));
  found.set('seeds/runs', seedLines(seeds));
  found.set('seeds/mean', meanLines(seeds));
  found.set('speed/growth', growthLines(readResult(root, 'growth', 'scripts/bench/results')));
  return found;
}

/** "Measured at commit …": the line below every figure. */
export function provenance({ commit, date, machine, lane, note }: Measured): string {
  return `Commit \`${commit}\`, ${date}, ${machine}, lane ${lane}${note === undefined ? '' : `; ${note}`}.`;
}

function markdownTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  isNumber: (column: number) => boolean = (column) => column > 0,
): string[] {
  const rule = headers.map((_, column) => (isNumber(column) ? '---:' : '---'));
  return [headers, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

/**
 * A table of docs/results as Markdown.
 * @param where what to call it in errors
 * @throws DataError where a column has an unknown format, or a row does not fit the columns
 */
export function figureTable(where: string, { measured, columns, rows }: MeasuredTable): string[] {
  for (const { title, format } of columns) {
    if (format === 'text' || Object.hasOwn(FORMATS, format)) continue;
    const known = ['text', ...Object.keys(FORMATS)].join(', ');
    throw new DataError(`${where}: column "${title}" has the format "${format}"; expected one of ${known}.`);
  }
  const cells = rows.map((row, index) => {
    if (row.length !== columns.length)
      throw new DataError(`${where}: row ${index} has ${row.length} cells; expected ${columns.length}.`);
    return row.map((cell, at) => {
      const format = columns[at]?.format ?? '';
      if (cell === null) return '';
      if ((typeof cell === 'number') === (format !== 'text'))
        return typeof cell === 'number' ? shown(format, cell) : cell;
      throw new DataError(`${where}: row ${index}, "${columns[at]?.title}": expected ${format}, received ${cell}.`);
    });
  });
  const headers = columns.map(({ title }) => title);
  const isNumber = columns.map(({ format }) => format !== 'text');
  return [...markdownTable(headers, cells, (column) => isNumber[column] === true), '', provenance(measured)];
}

function answerLines({ prompt, answers }: RecordedChain): string[] {
  const rows = answers.map(({ model, response, gold }) => [model, response, shown('fixed2', gold)]);
  return [
    `> ${prompt.replaceAll('\n', ' / ')}`,
    '',
    ...markdownTable(['model', 'answer', 'gold'], rows, (column) => column === 2),
  ];
}

function curveLines({ measured, curve }: RecordedChain): string[] {
  const rows = curve.map(({ step, gold, reward, kl }) => [
    String(step),
    shown('fixed3', gold),
    shown('fixed2', reward),
    shown('fixed2', kl),
  ]);
  const headers = ['rollouts', 'gold on held-out prompts', 'reward-model score', 'KL a response, nats'];
  return [...markdownTable(headers, rows), '', provenance(measured)];
}

/** What is shown of a chain: its name, and each value of a run as text. */
const SEED_ROWS: readonly (readonly [string, (run: SeedRun) => string])[] = [
  ['accuracy on unseen rows: base', ({ instruct }) => shown('percent', instruct.accuracyBase)],
  ['the same: instruct', ({ instruct }) => shown('percent', instruct.accuracy)],
  ['instruct with unseen templates', ({ instruct }) => shown('percent', instruct.accuracyUnseenTemplates)],
  ['accuracy after PPO', ({ ppo }) => shown('percent', ppo.accuracyAfter)],
  ['reward model on held-out pairs, without label noise', ({ reward }) => shown('percent', reward.heldOutAccuracy)],
  [
    'the same on pairs that differ in being right alone',
    ({ reward }) => shown('percent', reward['accuracy: truth alone']),
  ],
  ['its calibration error', ({ reward }) => shown('fixed3', reward.ece)],
  ['right answers: instruct', ({ ppo }) => shown('percent', ppo.rightBefore)],
  ['right answers: PPO', ({ ppo }) => shown('percent', ppo.rightAfter)],
  ['gold: instruct', ({ ppo }) => shown('fixed3', ppo.goldBefore)],
  ['gold: PPO', ({ ppo }) => shown('fixed3', ppo.goldAfter)],
  ['win rate against instruct, by gold', ({ ppo }) => shown('percent', ppo.winRate)],
  ['KL a response, nats', ({ ppo }) => shown('fixed1', ppo.klPerResponse)],
  ['time, seconds', ({ seconds }) => shown('integer', Math.round(seconds))],
];

function seedLines({ measured, runs }: Seeds): string[] {
  const headers = ['', ...runs.map(({ seed, lane }) => `seed ${seed}, ${lane}`)];
  const rows = SEED_ROWS.map(([name, text]) => [name, ...runs.map(text)]);
  return [...markdownTable(headers, rows), '', provenance(measured)];
}

/** Mean ± standard deviation (n − 1) over the seeds of the tensorflow lane. */
function meanLines({ measured, runs }: Seeds): string[] {
  const own = runs.filter(({ lane }) => lane === 'tensorflow');
  const cell = (value: (run: SeedRun) => number, digits: number, unit = ''): string => {
    const { mean, deviation } = meanAndDeviation(own.map(value));
    return `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}${unit}`;
  };
  const percent = (value: (run: SeedRun) => number): string => cell((run) => 100 * value(run), 1, ' %');
  const rows = [
    [
      'accuracy on unseen rows, by stage 1',
      percent(({ instruct }) => instruct.accuracyBase),
      percent(({ instruct }) => instruct.accuracy),
    ],
    ['the same, by PPO', percent(({ instruct }) => instruct.accuracy), percent(({ ppo }) => ppo.accuracyAfter)],
    ['reward model on held-out pairs', '50 %', percent(({ reward }) => reward.heldOutAccuracy)],
    ['right answers to held-out prompts', percent(({ ppo }) => ppo.rightBefore), percent(({ ppo }) => ppo.rightAfter)],
    ['gold of them', cell(({ ppo }) => ppo.goldBefore, 3), cell(({ ppo }) => ppo.goldAfter, 3)],
    ['win rate against instruct, by gold', '50 %', percent(({ ppo }) => ppo.winRate)],
    ['KL a response, nats', '0', cell(({ ppo }) => ppo.klPerResponse, 1)],
  ];
  const seeds = `mean ± standard deviation of seeds ${own.map(({ seed }) => seed).join(', ')}`;
  const told = {
    ...measured,
    lane: 'tensorflow',
    note: [seeds, ...(measured.note === undefined ? [] : [measured.note])].join('; '),
  };
  return [...markdownTable(['measure', 'before', 'after'], rows), '', provenance(told)];
}

/** The file of scripts/bench/growth.ts. */
interface Growth {
  readonly date: string;
  readonly gitCommit: string;
  readonly cpu: string;
  readonly native?: boolean;
  readonly points: readonly {
    readonly sweep: string;
    readonly parameters: number;
    readonly rows: number;
    readonly length: number;
    readonly share: number;
    readonly tokensPerSecond: number;
  }[];
}

function growthLines({ date, gitCommit, cpu, native = false, points }: Growth): string[] {
  const rows = points.map(({ sweep, parameters, rows, length, tokensPerSecond, share }) => [
    sweep,
    `${(parameters / 1e6).toFixed(1)} M`,
    `${rows} × ${length}`,
    shown('integer', Math.round(tokensPerSecond)),
    `${Math.round(100 * share)} %`,
  ]);
  const headers = ['what grows', 'parameters', 'rows × tokens', 'tokens/s', 'of the matrix-product peak'];
  const measured = {
    commit: gitCommit,
    date: date.slice(0, 10),
    machine: cpu,
    lane: 'tensorflow',
    note: `training step, ${native ? 'native ops' : 'compiled'}, float32`,
  };
  return [...markdownTable(headers, rows, (column) => column > 2), '', provenance(measured)];
}
