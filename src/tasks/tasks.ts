/** Tasks: a dataset's rows together with its templates, checked against each other. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataError, hasCode } from '../errors.ts';
import { clusterFile, loadClusters } from './clusters.ts';
import { readTaskRows, type TaskRow } from './task-rows.ts';
import { loadTemplateFile, type TemplateFile } from './template-file.ts';
import { suggestion } from './template-patterns.ts';
import { type ConversationField, describeUnread, type UnreadField } from './unread-fields.ts';

export type { TaskRow } from './task-rows.ts';

/** A dataset with its templates. */
export interface Task {
  readonly name: string;
  readonly cluster: string;
  readonly description: string;
  readonly metric: TemplateFile['metric'];
  /** Path of the rows. */
  readonly path: string;
  readonly templates: TemplateFile;
  readonly rows: readonly TaskRow[];
  /** Parts of conversations that the rows have and the templates leave out, by `ignoreFields`. */
  readonly unread: readonly UnreadField[];
}

/**
 * Loads `<rowFolder>/<name>.jsonl` or `<name>.arrow` and `<templateFolder>/<name>.yaml` for each task, in order of name.
 *
 * @param names the tasks to load; all template files in the folder when left out
 * @param ignoreFields parts of conversations that templates may leave out; rows that have others are refused
 * @throws DataError with all problems of all tasks: unknown names, missing files, what `loadTemplateFile` and
 *   `readTaskRows` find, clusters that `clusters.yaml` leaves out
 */
export function loadTasks(
  rowFolder: string,
  templateFolder: string,
  names?: readonly string[],
  ignoreFields: readonly ConversationField[] = [],
): Task[] {
  const known = listTemplates(templateFolder);
  const problems: string[] = [];
  /** What an attempt returns; its problems are kept for later, so that all are reported together. */
  const attempt = <T>(act: () => T): T | undefined => {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };
  const clusters = attempt(() => loadClusters(templateFolder)) ?? new Map<string, never>();
  const wanted = [...new Set(names ?? known)].sort();
  const tasks = wanted.flatMap((name) => {
    const task = attempt(() => {
      if (known.includes(name))
        return loadTask(name, { rowFolder, templateFolder, ignoreFields }, [...clusters.keys()]);
      throw new DataError(`${templateFolder}: no task "${name}". ${suggestion(name, known)}`);
    });
    return task === undefined ? [] : [task];
  });
  if (problems.length > 0) throw new DataError(problems);
  return tasks;
}

/** The rows of one split. */
export function rowsOf(task: Task, split: string): TaskRow[] {
  return task.rows.filter((row) => row.split === split);
}

/** Lines on what the rows lose, by `ignoreFields`. */
export function describeLosses(tasks: readonly Task[]): string[] {
  return describeUnread(tasks.flatMap(({ unread }) => unread));
}

interface From {
  readonly rowFolder: string;
  readonly templateFolder: string;
  readonly ignoreFields: readonly ConversationField[];
}

function loadTask(name: string, { rowFolder, templateFolder, ignoreFields }: From, clusters: readonly string[]): Task {
  const templates = loadTemplateFile(join(templateFolder, `${name}.yaml`));
  const { cluster, description, metric } = templates;
  if (templates.dataset !== name) {
    throw new DataError(
      `${templates.path}: dataset: expected "${name}" as in the file's name, received "${templates.dataset}". Rename one.`,
    );
  }
  // A misspelt cluster would be held out alone, and its relatives would stay in training.
  if (clusters.length > 0 && !clusters.includes(cluster)) {
    throw new DataError(
      `${templates.path}: cluster "${cluster}" is not in ${clusterFile}. ${suggestion(cluster, clusters)}`,
    );
  }
  return { name, cluster, description, metric, templates, ...readTaskRows(rowFolder, templates, ignoreFields) };
}

function listTemplates(folder: string): string[] {
  const names = readNames(folder)
    .filter((name) => name.endsWith('.yaml') && name !== clusterFile)
    .map((name) => basename(name, '.yaml'))
    .sort();
  if (names.length > 0) return names;
  throw new DataError(`${folder}: no template files; expected <dataset>.yaml. Name the folder that holds them.`);
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return [];
    throw error;
  }
}
