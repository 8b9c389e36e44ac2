/** The dataset of stage 1: mixture, rendering and tokens, made once for each content and kept in a cache. */
import { join } from 'node:path';
import { hashFile } from '../files/hash.ts';
import { seededRandom } from '../random.ts';
import { readTable, writeTable } from '../tables/arrow-file.ts';
import { openRandomAccess } from '../tables/arrow-random-access.ts';
import { loadClusters } from '../tasks/clusters.ts';
import { divideTasks, type HoldOut } from '../tasks/hold-out.ts';
import { type HeldOutRows, holdOutRows } from '../tasks/hold-out-share.ts';
import {
  drawMixture,
  type MixtureOptions,
  type MixtureShare,
  planMixture,
  type WeightedTask,
  withFiles,
} from '../tasks/mixture.ts';
import type { Task } from '../tasks/task.ts';
import { loadTasks } from '../tasks/tasks.ts';
import type { LearnedAnswers } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { cachedFolder } from './dataset-cache.ts';
import type { FileTask } from './file-tasks.ts';
import { type TokenStatistics, writeInstruct } from './instruction-table.ts';
import { type Fit, type MixtureRow, mixtureColumns, renderMixture } from './render-mixture.ts';

/** What the dataset is made from. */
export interface InstructSource {
  readonly data: {
    /** None where all rows come from files of one's own. */
    readonly tables?: string | undefined;
    readonly templates?: string | undefined;
    readonly tasks?: readonly string[] | undefined;
    readonly learn: LearnedAnswers;
  };
  readonly holdOut: HoldOut;
  readonly mixture: MixtureOptions;
}

/** How much of each row of its tasks, and where they are held out of training for validation. */
interface Validation {
  readonly share: number;
  readonly seed: number;
}

/** Tasks divided into trained and held-out ones, and what is drawn from each. */
export interface InstructPlan {
  readonly trained: readonly Task[];
  readonly heldOut: ReturnType<typeof divideTasks>['heldOut'];
  readonly shares: readonly MixtureShare[];
  /** Those of the trained tasks that are files of one's own, with hash and sequences of their rows. */
  readonly files: readonly (WeightedTask & Pick<FileTask, 'hash' | 'whole'>)[];
  /** Rows held out of trained tasks that have no validation rows. */
  readonly validation: Pick<HeldOutRows, 'held' | 'notes'>;
}

/** A dataset on disk. */
export interface InstructDataset {
  /** Folder with `instruct.arrow` and `mixture.arrow`. */
  readonly path: string;
  /** False where it was there already. */
  readonly fresh: boolean;
  readonly statistics: TokenStatistics;
  readonly mixture: readonly MixtureRow[];
}

/**
 * Loads and checks tasks, hold-outs and shares.
 *
 * @param validation share of the rows to hold out of trained tasks without validation rows, and what seeds the choice
 * @param files rows of one's own: each is learned as often as its weight says, whatever the mixture of the tasks
 * @throws DataError with all problems of each step
 */
export function planInstruct(
  { data, holdOut, mixture }: InstructSource,
  { share, seed }: Validation = { share: 0, seed: 0 },
  files: readonly FileTask[] = [],
): InstructPlan {
  const { tables, templates = '' } = data;
  const divided =
    tables === undefined
      ? { trained: [], heldOut: [] }
      : divideTasks(loadTasks(tables, templates, data.tasks), loadClusters(templates), holdOut);
  const given = [...divided.trained, ...files.map(({ task }) => task)];
  const rows = holdOutRows(given, share, (task) => seededRandom(seed, `validation rows of ${task}`));
  const { tasks: trained, ...rest } = rows;
  const mixed = trained.slice(0, divided.trained.length);
  const shares = tables === undefined ? [] : planMixture(mixed, mixture);
  const own = files.map(({ weight, hash, whole }, i) => {
    return { task: trained[mixed.length + i] as Task, weight, hash, whole };
  });
  return { trained, heldOut: divided.heldOut, shares: withFiles(shares, own), files: own, validation: rest };
}

/**
 * The dataset of a plan, from the cache or made now.
 *
 * @param cache folder of prepared datasets
 * @throws DataError naming rows that cannot be rendered or do not fit
 */
export async function prepareInstruct(
  source: InstructSource,
  plan: InstructPlan,
  tokenizer: Tokenizer,
  { cache, seed, fit }: { cache: string; seed: number; fit: Fit },
): Promise<InstructDataset> {
  // Only what the content depends on: a run's folder or learning rate must not make the same dataset again.
  const { holdOut, mixture: settings } = source;
  const parts: Record<string, string> = {
    settings: JSON.stringify({ holdOut, settings, seed, fit }),
    tokenizer: tokenizer.hash,
  };
  for (const { task, weight, hash } of plan.files) parts[`file ${task.name}`] = JSON.stringify([weight, hash]);
  const own = new Set(plan.files.map(({ task }) => task));
  for (const task of [...plan.trained, ...plan.heldOut.map((held) => held.task)]) {
    if (own.has(task)) continue;
    parts[`rows ${task.name}`] = await hashFile(task.path);
    parts[`templates ${task.name}`] = await hashFile(task.templates.path);
  }
  const reasons = plan.heldOut.map(({ task, reason }) => [task.name, reason]);
  parts['held out'] = JSON.stringify(reasons);
  parts['validation rows'] = JSON.stringify([...plan.validation.held]);
  const { path, fresh } = await cachedFolder(cache, parts, async (folder) => {
    const items = drawMixture(plan.shares, source.mixture.templateChoice, seededRandom(seed, 'mixture'));
    const whole = new Map(plan.files.map((file) => [file.task, file.whole]));
    const rendering = renderMixture(plan.shares, plan.heldOut, items, tokenizer, fit, whole);
    await writeInstruct(join(folder, 'instruct.arrow'), rendering.rows(), tokenizer, fit.learn);
    await writeTable(join(folder, 'mixture.arrow'), mixtureColumns, rendering.table());
  });
  // The tokens are on disk by now; while a model trains, memory is short.
  for (const { whole } of plan.files) whole.clear();
  const table = openRandomAccess(join(path, 'instruct.arrow'), 'node --import tsx stages/1-instruct.ts');
  table.close();
  const { rows: mixture } = readTable(join(path, 'mixture.arrow'), mixtureColumns, 'stage 1');
  return { path, fresh, statistics: JSON.parse(table.metadata.statistics ?? '{}') as TokenStatistics, mixture };
}
