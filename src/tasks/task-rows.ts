/** The rows of a task: read from JSONL or Arrow, and checked against the columns of its template file. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../errors.ts';
import { inspectTable } from '../tables/arrow-file.ts';
import { type JsonLine, readJsonLines } from '../tables/jsonl.ts';
import { isPromptOnly, isText, rowOptions } from './template.ts';
import type { TemplateFile } from './template-file.ts';
import { placeholders, suggestion } from './template-patterns.ts';
import { type ConversationField, findUnread, unreadProblems } from './unread-fields.ts';

/** One row of a task. `fields` holds everything in its line or Arrow row. */
export interface TaskRow extends JsonLine {
  readonly id: string;
  readonly split: string;
}

/** The splits that any task may have; a template file names further ones under prompt_only. */
const commonSplits = ['train', 'validation', 'test'];
const mostProblems = 10;
const writtenBy = 'node --import tsx scripts/build-seed.ts or npm run import';

/**
 * The file of a dataset's rows: `<folder>/<name>.jsonl`, or `<name>.arrow` as the importer writes it.
 * @throws DataError where both are there
 */
export function rowFile(folder: string, name: string): string {
  const jsonl = join(folder, `${name}.jsonl`);
  const arrow = join(folder, `${name}.arrow`);
  if (existsSync(jsonl) && existsSync(arrow)) {
    throw new DataError(`${jsonl}: ${name}.arrow stands beside it; expected one of them. Remove the older one.`);
  }
  return existsSync(arrow) ? arrow : jsonl;
}

/**
 * Reads a dataset's rows with their ids and splits.
 *
 * @param templates the template file that they are for, which may name further splits; null where they have none
 * @param check     what is wrong with one row besides, as sentences
 * @throws DataError where the file is missing, damaged or empty; or for the rows (the first ten problems, and how many in all)
 */
export function readRowFile(
  path: string,
  templates: TemplateFile | null,
  check: (row: TaskRow) => string[],
): TaskRow[] {
  const lines = path.endsWith('.arrow') ? readArrowRows(path) : readJsonLines(path, writtenBy);
  const rows = lines.map((line) => ({ ...line, id: String(line.fields.id), split: String(line.fields.split) }));
  const places = new Map<unknown, string>();
  const problems = rows.flatMap((row) => {
    const own = [...nameProblems(templates, row), ...check(row)];
    const { id } = row.fields;
    const first = places.get(id);
    if (first === undefined) places.set(id, row.where);
    else if (isText(id)) own.push(`${row.where}: id "${id}" stands twice, first at ${first}. Give each row its own.`);
    return own;
  });
  throwProblems(path, problems);
  return rows;
}

/** @throws DataError with the first ten problems of a file, and how many there are in all, where there are any */
function throwProblems(path: string, problems: readonly string[]): void {
  if (problems.length > mostProblems) {
    const rest = `${path}: ${problems.length} problems in all; expected none. Mend these first.`;
    throw new DataError([...problems.slice(0, mostProblems), rest]);
  }
  if (problems.length > 0) throw new DataError([...problems]);
}

/**
 * Reads the rows that a template file is for, and checks each against its columns.
 *
 * @throws DataError when there is no such file, or both; or for the rows (the first ten problems, and how many in all):
 *   no id, doubled ids, unknown splits, missing columns and values that are not text, rows without answer, answers that
 *   are not among the options, parts of conversations that some template leaves out
 */
export function readTaskRows(folder: string, file: TemplateFile): { path: string; rows: TaskRow[] } {
  const path = rowFile(folder, file.dataset);
  const hasTexts = file.columns.includes('messages');
  const rows = readRowFile(path, file, (row) => {
    if (row.fields.messages !== undefined && !hasTexts) return [conversationProblem(file, row)];
    const values = valueProblems(file, row);
    return values.length > 0 ? values : answerProblems(file, row);
  });
  const unread = findUnread(path, rows, columnsOfAll(file));
  throwProblems(
    path,
    unreadProblems(unread, (field) => remedyFor(file, field)),
  );
  return { path, rows };
}

function conversationProblem({ path, dataset }: TemplateFile, { where }: TaskRow): string {
  return (
    `${where}: a conversation ("messages"), which no template of ${path} renders. Conversations need none: remove that ` +
    `file and name ${dataset} in data.tasks, or take "messages" out of the rows.`
  );
}

/** Columns that stand in every template. */
function columnsOfAll({ columns, templates }: TemplateFile): string[] {
  const used = templates.map(({ turns }) => turns.flatMap(({ input, target }) => placeholders(input + target)));
  return columns.filter((column) => used.every((names) => names.includes(column)));
}

function remedyFor(file: TemplateFile, field: ConversationField): string {
  const use = field === 'history' ? '' : `use {${field}} in every template of ${file.path}, or `;
  return `To train on whole conversations import them with shape: messages, which need no templates; else ${use}leave the column out.`;
}

/** Null in a table is what a missing key is in JSON; whole numbers of 64 bits become plain ones. */
function readArrowRows(path: string): JsonLine[] {
  const { rowCount, row } = inspectTable(path);
  if (rowCount === 0) throw new DataError(`${path}: the file has no rows; expected at least one. Run ${writtenBy}.`);
  return Array.from({ length: rowCount }, (_, index) => {
    const entries = Object.entries(row(index)).filter(([, value]) => value !== null && value !== undefined);
    const fields = Object.fromEntries(
      entries.map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
    );
    return { where: `${path}: row ${index}`, fields };
  });
}

/** What is wrong with id and split. */
function nameProblems(templates: TemplateFile | null, { fields, where }: TaskRow): string[] {
  const problems: string[] = [];
  if (!isText(fields.id) || isBlank(fields.id)) {
    problems.push(`${where}: id: expected text, received ${show(fields.id)}. Give the row one.`);
  }
  const splits = [...new Set([...commonSplits, ...(templates?.prompt_only ?? [])])];
  if (typeof fields.split !== 'string') {
    problems.push(`${where}: split: expected one of ${splits.join(', ')}, received ${show(fields.split)}. Add it.`);
  } else if (!splits.includes(fields.split)) {
    const others = templates === null ? '' : ` Others must stand under prompt_only in ${templates.path}.`;
    problems.push(`${where}: unknown split "${fields.split}". ${suggestion(fields.split, splits)}${others}`);
  }
  return problems;
}

/** Every declared column holds text or a number; the options' column a list. Rows of prompts may lack answer and reason. */
function valueProblems(file: TemplateFile, line: JsonLine): string[] {
  const { fields, where } = line;
  const optionColumn = file.options !== undefined && 'column' in file.options ? file.options.column : undefined;
  const learned = [file.answer.column, file.rationale?.column];
  return file.columns.flatMap((name) => {
    const value = fields[name];
    const isLearned = learned.includes(name);
    if (name === optionColumn || (isLearned && isBlank(value) && isPromptOnly(file, line))) return [];
    const at = `${where}: field "${name}"`;
    if (!isText(value)) return [`${at}: expected text or a number, received ${show(value)}. Mend the row.`];
    if (/\p{Surrogate}/u.test(String(value))) {
      return [`${at}: half a character (a lone surrogate) in ${show(value)}; expected whole ones. Mend the row.`];
    }
    if (!isLearned || !isBlank(value)) return [];
    return [
      `${at}: empty; expected text to learn from. Mend the row, or name its split in prompt_only of ${file.path}.`,
    ];
  });
}

function answerProblems(file: TemplateFile, line: JsonLine): string[] {
  const answer = line.fields[file.answer.column];
  try {
    const options = rowOptions(file, line);
    const unworded = file.templates.flatMap(({ id, choices, where }) => {
      const lost = choices === undefined ? undefined : options.find((option) => !Object.hasOwn(choices, option));
      return lost === undefined
        ? []
        : [`${line.where}: template "${id}" (${where}) has no wording for "${lost}". Add one.`];
    });
    if (unworded.length > 0) return unworded;
    if (isBlank(answer) || options.length === 0 || options.includes(String(answer))) return [];
    const expected = options.length > 10 ? `${options.slice(0, 10).join(', ')}, …` : options.join(', ');
    return [`${line.where}: answer "${answer}" is not among the options; expected one of ${expected}. Mend the row.`];
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return [...error.problems];
  }
}

function isBlank(value: unknown): boolean {
  return value === undefined || String(value).trim() === '';
}

function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
