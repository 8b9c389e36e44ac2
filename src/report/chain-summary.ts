/** The numbers of a finished chain, gathered from the manifests of its stages as their declarations say. */
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { TableRow } from '../evaluation/evaluation-tables.ts';
import type { Figure, Kind, Output } from '../run/declaration.ts';
import { type Manifest, readManifest } from '../run/manifest.ts';
import type { Stage, StageConfig } from '../run/stage.ts';

type AnyStage = Stage<StageConfig>;

/** The content of summary.json. Each stage that has figures adds those with a name, under its own name. */
export interface ChainSummary {
  /** The lane the stages ran on; several, in the order of their first use, where a chain was continued on another. */
  readonly lane: string;
  /** Of all stages, without set-up. */
  readonly seconds: number;
  readonly secondsByStage: Readonly<Record<string, number>>;
  /** The largest of the stages' processes. */
  readonly peakRssMb: number;
  readonly seed: number;
  /** The evaluation's table: a line a model. */
  readonly table: readonly TableRow[];
  readonly [stage: string]: unknown;
}

/** What a stage adds to the report. */
export interface StageFigures {
  readonly stage: string;
  readonly figures: readonly Figure[];
}

/**
 * @param folder run folder of the chain
 * @param stages those of the chain, in order
 * @throws CheckpointError when a stage has not finished, or numbers that figures are made of are missing
 */
export function chainSummary(
  folder: string,
  seed: number,
  stages: readonly AnyStage[],
): { summary: ChainSummary; figures: readonly StageFigures[] } {
  const manifests = new Map(stages.map(({ name }) => [name, finishedManifest(join(folder, name))]));
  const own = (stage: string): Record<string, unknown> => manifests.get(stage)?.summary ?? {};
  const judge = stageThatMakes(stages, 'evaluation table').stage.name;
  const table = (own(judge).table ?? []) as readonly TableRow[];
  const missing = new Set<string>();
  const number = (value: unknown, otherwise: string): number => {
    if (typeof value === 'number') return value;
    missing.add(otherwise);
    return Number.NaN;
  };
  const figures = stages.flatMap(({ name: stage, figures: declared }) => {
    if (declared === undefined) return [];
    const lineOf = (model: string): Readonly<Record<string, unknown>> | undefined =>
      table.find((row) => row.model === model);
    const of = (model: string, column: string): number => {
      const line = lineOf(model);
      return number(line?.[column], `${judge}: ${line === undefined ? 'line' : column} of ${model}`);
    };
    const told = (model: string, column: string): number | null => {
      const value = lineOf(model)?.[column];
      return typeof value === 'number' ? value : null;
    };
    const ownNumber = (name: string): number => number(own(stage)[name], `${stage}: ${name}`);
    const ownStarting = (start: string): Record<string, number> =>
      Object.fromEntries(
        Object.entries(own(stage)).filter((entry): entry is [string, number] => entry[0].startsWith(start)),
      );
    return [{ stage, figures: declared({ own: ownNumber, ownStarting, of, told }) }];
  });
  if (missing.size > 0) {
    throw new CheckpointError(
      `${folder}: its report lacks numbers (${[...missing].join(', ')}). ` +
        'Give the evaluation these models, prompts and a reward model, and tasks that were trained.',
    );
  }
  const all = [...manifests.values()];
  const lanes = all.flatMap(({ sessions, lane }) => [...sessions.map((session) => session.lane), lane]);
  const summary: ChainSummary = {
    lane: [...new Set(lanes)].join(', '),
    seconds: Math.round(10 * all.reduce((sum, { seconds }) => sum + seconds, 0)) / 10,
    secondsByStage: Object.fromEntries([...manifests].map(([name, { seconds }]) => [name, seconds])),
    peakRssMb: Math.max(...all.map(({ peakRssMb }) => peakRssMb)),
    seed,
    ...Object.fromEntries(figures.map((each) => [each.stage, namedNumbers(each.figures)])),
    table,
  };
  return { summary, figures };
}

/** The stage of a chain, and its output, that is of a kind. */
export function stageThatMakes(stages: readonly AnyStage[], kind: Kind): { stage: AnyStage; output: Output } {
  for (const stage of stages) {
    const output = Object.values(stage.outputs).find((made) => made.kind === kind);
    if (output !== undefined) return { stage, output };
  }
  throw new CheckpointError(`the chain has no stage that makes ${kind}; its report needs one. Name one under stages.`);
}

function finishedManifest(folder: string): Manifest {
  const manifest = readManifest(folder);
  if (manifest?.status === 'finished') return manifest;
  throw new CheckpointError(`${folder}: this stage has not finished. Give the same command again to go on.`);
}

function namedNumbers(figures: readonly Figure[]): Record<string, number> {
  const sides = figures.flatMap(({ before, after }) => [before, after]);
  return Object.assign({}, ...sides.filter((side) => typeof side === 'object'));
}
