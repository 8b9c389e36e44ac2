/** The dataset of stage 1: mixture, rendering and tokens, made once for each content and kept in a cache. */
import { join } from 'node:path';
import { hashFile } from '../files/hash.ts';
import { seededRandom } from '../random.ts';
import { readTable, writeTable } from '../tables/arrow-file.ts';
import { openRandomAccess } from '../tables/arrow-random-access.ts';
import { loadClusters } from '../tasks/clusters.ts';
import { divideTasks, type HoldOut } from '../tasks/hold-out.ts';
import { type HeldOutRows, holdOutRows } from '../tasks/hold-out-share.ts';
import { drawMixture, type MixtureOptions, type MixtureShare, planMixture } from '../tasks/mixture.ts';
import type { Task } from '../tasks/task.ts';
import { loadTasks } from '../tasks/tasks.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { cachedFolder } from './dataset-cache.ts';
import { type TokenStatistics, writeInstruct } from './instruction-table.ts';
import { type Fit, type MixtureRow, mixtureColumns, renderMixture } from './render-mixture.ts';

/** What the dataset is made from. */
export interface InstructSource {
  readonly data: {
    readonly tables: string;
    readonly templates: string;
    readonly tasks?: readonly string[] | undefined;
  };
  readonly holdOut: HoldOut;
  readonly mixture: MixtureOptions;
}

/** Tasks divided into trained and held-out ones, and what is drawn from each. */
export interface InstructPlan {
  readonly trained: readonly Task[];
  readonly heldOut: ReturnType<typeof divideTasks>['heldOut'];
  readonly shares: readonly MixtureShare[];
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
 * @throws DataError with all problems of each step
 */
export function planInstruct(
  { data, holdOut, mixture }: InstructSource,
  validation: { readonly share: number; readonly seed: number } = { share: 0, seed: 0 },
): InstructPlan {
  const tasks = loadTasks(data.tables, data.templates, data.tasks);
  const divided = divideTasks(tasks, loadClusters(data.templates), holdOut);
  const { share, seed } = validation;
  const rows = holdOutRows(divided.trained, share, (task) => seededRandom(seed, `validation rows of ${task}`));
  const { tasks: trained, ...rest } = rows;
  return { trained, heldOut: divided.heldOut, shares: planMixture(trained, mixture), validation: rest };
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
  for (const task of [...plan.trained, ...plan.heldOut.map((held) => held.task)]) {
    parts[`rows ${task.name}`] = await hashFile(task.path);
    parts[`templates ${task.name}`] = await hashFile(task.templates.path);
  }
  const reasons = plan.heldOut.map(({ task, reason }) => [task.name, reason]);
  parts['held out'] = JSON.stringify(reasons);
  parts['validation rows'] = JSON.stringify([...plan.validation.held]);
  const { path, fresh } = await cachedFolder(cache, parts, async (folder) => {
    const items = drawMixture(plan.shares, source.mixture.templateChoice, seededRandom(seed, 'mixture'));
    const rendering = renderMixture(plan.shares, plan.heldOut, items, tokenizer, fit);
    await writeInstruct(join(folder, 'instruct.arrow'), rendering.rows(), tokenizer);
    await writeTable(join(folder, 'mixture.arrow'), mixtureColumns, rendering.table());
  });
  const table = openRandomAccess(join(path, 'instruct.arrow'), 'node --import tsx stages/1-instruct.ts');
  table.close();
  const { rows: mixture } = readTable(join(path, 'mixture.arrow'), mixtureColumns, 'stage 1');
  return { path, fresh, statistics: JSON.parse(table.metadata.statistics ?? '{}') as TokenStatistics, mixture };
}
