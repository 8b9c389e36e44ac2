/** Tasks: a dataset's rows together with its templates, checked against each other. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataError, hasCode } from '../errors.ts';
import { clusterFile, loadClusters } from './clusters.ts';
import { hasRows, loadConversations } from './conversations.ts';
import type { Task } from './task.ts';
import { readTaskRows } from './task-rows.ts';
import { loadTemplateFile } from './template-file.ts';
import { suggestion } from './template-patterns.ts';

/**
 * Loads `<rowFolder>/<name>.jsonl` or `<name>.arrow` and `<templateFolder>/<name>.yaml` for each task, in order of name. Of
 * a name without template file the rows are conversations.
 *
 * @param names the tasks to load; all template files in the folder when left out
 * @throws DataError with all problems of all tasks: unknown names, missing files, what `loadTemplateFile` and
 *   `readTaskRows` find, clusters that `clusters.yaml` leaves out
 */
export function loadTasks(rowFolder: string, templateFolder: string, names?: readonly string[]): Task[] {
  const known = listTemplates(templateFolder, names === undefined);
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
      if (known.includes(name)) return loadTask(name, rowFolder, templateFolder, [...clusters.keys()]);
      if (hasRows(rowFolder, name)) return loadConversations(rowFolder, name, templateFolder);
      throw new DataError(`${templateFolder}: no task "${name}". ${suggestion(name, known)}`);
    });
    return task === undefined ? [] : [task];
  });
  if (problems.length > 0) throw new DataError(problems);
  return tasks;
}

function loadTask(name: string, rowFolder: string, templateFolder: string, clusters: readonly string[]): Task {
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
  return { name, cluster, description, metric, templates, ...readTaskRows(rowFolder, templates) };
}

function listTemplates(folder: string, expected: boolean): string[] {
  const names = readNames(folder)
    .filter((name) => name.endsWith('.yaml') && name !== clusterFile)
    .map((name) => basename(name, '.yaml'))
    .sort();
  if (names.length > 0 || !expected) return names;
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
