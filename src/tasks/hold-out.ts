/** What is kept out of training: whole clusters with their kin, datasets, templates. */
import { DataError } from '../errors.ts';
import type { Cluster } from './clusters.ts';
import type { Task } from './task.ts';
import { suggestion } from './template-patterns.ts';

/** Names of what is held out. */
export interface HoldOut {
  readonly clusters: readonly string[];
  readonly datasets: readonly string[];
  /** "dataset/template". */
  readonly templates: readonly string[];
}

/** A task that is not trained, and why. */
export interface HeldOutTask {
  readonly task: Task;
  readonly reason: string;
}

/**
 * Divides tasks into trained and held-out ones. With a cluster its related clusters leave too: FLAN counts a dataset as
 * unseen only where no dataset of its kind was trained on (arXiv:2109.01652 section 2.2). Held-out templates of trained
 * tasks are marked unseen.
 *
 * @throws DataError with all names that do not exist, and where nothing is left to train on
 */
export function divideTasks(
  tasks: readonly Task[],
  clusters: ReadonlyMap<string, Cluster>,
  holdOut: HoldOut,
): { trained: Task[]; heldOut: HeldOutTask[] } {
  const known = {
    clusters: [...new Set([...clusters.keys(), ...tasks.map(({ cluster }) => cluster)])],
    datasets: tasks.map(({ name }) => name),
    templates: tasks.flatMap((task) => task.templates.templates.map(({ id }) => `${task.name}/${id}`)),
  };
  const problems = (['clusters', 'datasets', 'templates'] as const).flatMap((key) => {
    return holdOut[key]
      .filter((name) => !known[key].includes(name))
      .map((name) => `holdOut.${key}: "${name}" is not there. ${suggestion(name, known[key])}`);
  });
  if (problems.length > 0) throw new DataError(problems);
  const heldOut: HeldOutTask[] = [];
  const trained = tasks.flatMap((task) => {
    const reason = reasonFor(task, clusters, holdOut);
    if (reason === undefined) return [withUnseen(task, holdOut.templates)];
    heldOut.push({ task, reason });
    return [];
  });
  if (trained.length === 0) throw new DataError('holdOut: every task is held out; expected at least one to train on.');
  return { trained, heldOut };
}

function reasonFor(task: Task, clusters: ReadonlyMap<string, Cluster>, holdOut: HoldOut): string | undefined {
  if (holdOut.datasets.includes(task.name)) return 'dataset';
  if (holdOut.clusters.includes(task.cluster)) return `cluster ${task.cluster}`;
  const kin = holdOut.clusters.find((cluster) => clusters.get(cluster)?.related.includes(task.cluster));
  return kin === undefined ? undefined : `cluster ${task.cluster} is related to ${kin}`;
}

function withUnseen(task: Task, held: readonly string[]): Task {
  const templates = task.templates.templates.map((template) =>
    held.includes(`${task.name}/${template.id}`) ? { ...template, split: 'unseen' as const } : template,
  );
  return { ...task, templates: { ...task.templates, templates } };
}
