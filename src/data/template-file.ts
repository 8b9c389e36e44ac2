/** Reading a dataset's template file (YAML): its patterns, columns and answer, each problem with file, line and column. */
import { readFileSync } from 'node:fs';
import { isMap, isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { DataError, hasCode } from '../errors.ts';

const Template = z.strictObject({
  id: z.string().min(1).describe('Names the template within its dataset.'),
  split: z.enum(['train', 'unseen']).describe('"unseen" templates are never trained on.'),
  inverted: z.boolean().default(false).describe('True where the input is asked for, given the target.'),
  input: z.string().describe('The pattern of the prompt; {column} stands for a field, {options_} for the options.'),
  target: z.string().describe('The pattern of the answer.'),
});

const TemplateFileSchema = z.strictObject({
  dataset: z.string().min(1).describe('Name of the dataset; its rows are in <dataset>.jsonl.'),
  cluster: z.string().min(1).describe('Kind of task. Datasets of one cluster are held out together.'),
  columns: z.array(z.string()).min(1).describe('Fields that every row has and templates may use.'),
  options: z
    .union([z.strictObject({ list: z.array(z.string()).min(2) }), z.strictObject({ column: z.string() })])
    .optional()
    .describe('The possible answers, the same for all rows or a field of each row. Absent for free text.'),
  answer: z.strictObject({ column: z.string() }).describe('The field that holds the right answer.'),
  prompt_only: z.array(z.string()).default([]).describe('Splits whose rows are prompts without an answer.'),
  metric: z.enum(['accuracy', 'exact_match', 'gold']).describe('How answers are judged.'),
  templates: z.array(Template).min(1),
});

/** One pattern of a dataset. `where` is "path:line:column" of its entry. */
export type Template = z.infer<typeof Template> & { where: string };

/** A checked template file. */
export type TemplateFile = Omit<z.infer<typeof TemplateFileSchema>, 'templates'> & {
  path: string;
  templates: Template[];
};

/** Finds the place of a value in the YAML text: its own, or that of the nearest thing around it. */
type Locate = (path: readonly PropertyKey[]) => string;

/** The fields a pattern names, `options_` included. */
export function placeholders(pattern: string): string[] {
  return Array.from(pattern.matchAll(/\{(\w+)\}/g), (match) => match[1] ?? '');
}

/**
 * Reads and checks one template file.
 *
 * @throws DataError with all problems: YAML syntax, unknown or missing keys, doubled ids, unknown placeholders, stray
 *   braces, more than three inverted templates, no template to train on
 */
export function loadTemplateFile(path: string): TemplateFile {
  const text = readText(path);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new DataError(
      document.errors.map(
        (error) => `${place(error.pos[0])}: not YAML: ${error.message.split('\n')[0]} Mend the file.`,
      ),
    );
  }
  const locate: Locate = (keys) => {
    for (let depth = keys.length; depth > 0; depth--) {
      const node = document.getIn(keys.slice(0, depth), true);
      if (isNode(node) && node.range) return place(node.range[0]);
    }
    return place(0);
  };
  const parsed = TemplateFileSchema.safeParse(document.toJS());
  if (!parsed.success) {
    throw new DataError(
      parsed.error.issues.map((issue) => {
        const at = issue.code === 'unrecognized_keys' ? keyPlace(document, issue, place) : null;
        return `${at ?? locate(issue.path)}: ${issue.path.join('.') || 'template file'}: ${issue.message}. Mend the file.`;
      }),
    );
  }
  const problems = [...checkFields(parsed.data, locate), ...checkTemplates(parsed.data, locate)];
  if (problems.length > 0) throw new DataError(problems);
  const templates = parsed.data.templates.map((template, i) => ({ ...template, where: locate(['templates', i]) }));
  return { ...parsed.data, path, templates };
}

/** Where the first unknown key stands; values have nodes of their own, keys only inside their map. */
function keyPlace(
  document: ReturnType<typeof parseDocument>,
  issue: z.core.$ZodIssueUnrecognizedKeys,
  place: (offset: number) => string,
): string | null {
  const map = issue.path.length === 0 ? document.contents : document.getIn(issue.path as string[], true);
  if (!isMap(map)) return null;
  const pair = map.items.find((item) => String(item.key) === issue.keys[0]);
  return isNode(pair?.key) && pair.key.range ? place(pair.key.range[0]) : null;
}

function checkFields(file: z.infer<typeof TemplateFileSchema>, locate: Locate): string[] {
  const named: [string[], string][] = [[['answer', 'column'], file.answer.column]];
  if (file.options !== undefined && 'column' in file.options) named.push([['options', 'column'], file.options.column]);
  const columns = file.columns.join(', ');
  return named
    .filter(([, name]) => !file.columns.includes(name))
    .map(([path, name]) => {
      return `${locate(path)}: ${path.join('.')}: expected one of the columns ${columns}, received "${name}". Add it to columns.`;
    });
}

function checkTemplates({ templates, columns, options }: z.infer<typeof TemplateFileSchema>, locate: Locate): string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  for (const [i, template] of templates.entries()) {
    const at = locate(['templates', i, 'id']);
    if (ids.has(template.id)) problems.push(`${at}: template id "${template.id}" stands twice. Give each its own id.`);
    ids.add(template.id);
    for (const part of ['input', 'target'] as const) {
      const where = `${locate(['templates', i, part])}: template "${template.id}", ${part}`;
      const pattern = template[part];
      if (pattern.trim() === '') problems.push(`${where}: empty; expected a pattern. Write one.`);
      if (/[{}]/.test(pattern.replace(/\{\w+\}/g, ''))) {
        problems.push(`${where}: a brace that is no placeholder; expected {column} or {options_}. Remove it.`);
      }
      for (const name of placeholders(pattern)) {
        if (name === 'options_' && options !== undefined && part === 'input') continue;
        if (columns.includes(name)) continue;
        const expected = [...columns, ...(options !== undefined && part === 'input' ? ['options_'] : [])].join(', ');
        problems.push(`${where}: unknown placeholder {${name}}; expected one of ${expected}. Correct the name.`);
      }
    }
  }
  const inverted = templates.filter((template) => template.inverted).length;
  if (inverted > 3) {
    problems.push(`${locate(['templates'])}: ${inverted} inverted templates; expected at most 3. Remove some.`);
  }
  if (!templates.some((template) => template.split === 'train')) {
    problems.push(`${locate(['templates'])}: no template to train on; expected one with "split: train". Add one.`);
  }
  return problems;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new DataError(`${path}: the file is missing; expected a template file. Add it or leave the task out.`, {
      cause: error,
    });
  }
}
