/** Tasks: a dataset's rows together with its templates, checked against each other. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataError, hasCode } from '../errors.ts';
import { type JsonLine, readJsonLines } from './jsonl.ts';
import { rowOptions } from './template.ts';
import { loadTemplateFile, type TemplateFile } from './template-file.ts';

/** One row of a task. `fields` holds everything in its JSONL line. */
export interface TaskRow extends JsonLine {
  id: string;
  split: string;
}

/** A dataset with its templates. */
export interface Task {
  name: string;
  cluster: string;
  metric: TemplateFile['metric'];
  /** Path of the JSONL file. */
  path: string;
  templates: TemplateFile;
  rows: TaskRow[];
}

const writtenBy = 'npx tsx scripts/build-seed.ts';

/**
 * Loads `<seedFolder>/<name>.jsonl` and `<templateFolder>/<name>.yaml` for each task, in order of name.
 *
 * @param names the tasks to load; all template files in the folder when left out
 * @throws DataError with all problems of all tasks: unknown names, missing files, rows without id, split or a declared
 *   column, rows without target, answers that are not among the options, doubled ids
 */
export function loadTasks(seedFolder: string, templateFolder: string, names?: readonly string[]): Task[] {
  const known = listTemplates(templateFolder);
  const problems: string[] = [];
  const tasks: Task[] = [];
  for (const name of [...(names ?? known)].sort()) {
    try {
      if (!known.includes(name)) {
        throw new DataError(
          `${templateFolder}: no task "${name}"; expected one of ${known.join(', ')}. Correct the name.`,
        );
      }
      tasks.push(loadTask(name, seedFolder, templateFolder));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new DataError(problems);
  return tasks;
}

/** The rows of one split. */
export function rowsOf(task: Task, split: string): TaskRow[] {
  return task.rows.filter((row) => row.split === split);
}

function listTemplates(folder: string): string[] {
  const names = readNames(folder)
    .filter((name) => name.endsWith('.yaml'))
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

function loadTask(name: string, seedFolder: string, templateFolder: string): Task {
  const templates = loadTemplateFile(join(templateFolder, `${name}.yaml`));
  if (templates.dataset !== name) {
    throw new DataError(
      `${templates.path}: dataset: expected "${name}" as in the file's name, received "${templates.dataset}". Rename one.`,
    );
  }
  const path = join(seedFolder, `${name}.jsonl`);
  const problems: string[] = [];
  const ids = new Set<string>();
  const rows = readJsonLines(path, writtenBy).map((line): TaskRow => {
    const { id, split } = line.fields;
    problems.push(...checkRow(templates, line));
    if (typeof id === 'string' && ids.has(id))
      problems.push(`${line.where}: id "${id}" stands twice. Give each row its own.`);
    ids.add(String(id));
    return { ...line, id: String(id), split: String(split) };
  });
  if (problems.length > 0) throw new DataError(problems);
  return { name, cluster: templates.cluster, metric: templates.metric, path, templates, rows };
}

function checkRow(templates: TemplateFile, line: JsonLine): string[] {
  const problems: string[] = [];
  const { fields, where } = line;
  for (const name of ['id', 'split']) {
    if (typeof fields[name] !== 'string') problems.push(`${where}: no "${name}"; expected text. Mend the row.`);
  }
  const isPromptOnly = templates.prompt_only.includes(String(fields.split));
  const answer = fields[templates.answer.column];
  const hasAnswer = (typeof answer === 'string' && answer.trim() !== '') || typeof answer === 'number';
  if (!isPromptOnly && !hasAnswer) {
    problems.push(
      `${where}: row without target; expected text in "${templates.answer.column}", ` +
        `received ${JSON.stringify(answer) ?? 'nothing'}. Mend the row or name its split in prompt_only of ${templates.path}.`,
    );
  }
  for (const name of templates.columns) {
    if (name !== templates.answer.column && fields[name] === undefined) {
      problems.push(`${where}: no "${name}"; expected it, as a column of ${templates.path}. Mend the row.`);
    }
  }
  if (problems.length > 0 || !hasAnswer) return problems;
  try {
    const options = rowOptions(templates, line);
    if (options.length > 0 && !options.includes(String(answer))) {
      problems.push(
        `${where}: answer "${answer}" is not among the options; expected one of ${options.join(', ')}. Mend the row.`,
      );
    }
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    problems.push(...error.problems);
  }
  return problems;
}
