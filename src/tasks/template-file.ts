/** A dataset's template file (YAML): its columns, answer, metric and patterns. The registry of datasets is these files. */
import { DataError } from '../errors.ts';
import { templateProblems } from './template-problems.ts';
import { type RawTemplateFile, TemplateEntry, TemplateFileSchema, type TemplateKind } from './template-schema.ts';
import { readContent } from './template-yaml.ts';

/** One pattern of a dataset. */
export interface Template {
  readonly id: string;
  readonly split: 'train' | 'unseen';
  readonly kind: TemplateKind;
  /** Patterns; more than one for a dialogue only. */
  readonly turns: readonly { readonly input: string; readonly target: string }[];
  /** This template's wording of each answer. */
  readonly choices?: Readonly<Record<string, string>>;
  /** "path:line:column" of its entry. */
  readonly where: string;
}

/** A checked template file. */
export type TemplateFile = Omit<RawTemplateFile, 'templates'> & {
  readonly path: string;
  readonly templates: readonly Template[];
};

/**
 * Reads and checks one template file.
 *
 * @throws DataError with all problems, each with file, line and column: YAML syntax, unknown, missing or wrong keys;
 *   where there are none, what `templateProblems` finds
 */
export function loadTemplateFile(path: string): TemplateFile {
  const { data, source } = readContent(path, 'a template file', TemplateFileSchema, { templates: TemplateEntry });
  const problems = templateProblems(data, source.locate);
  if (problems.length > 0) throw new DataError(problems);
  const templates = data.templates.map(({ id, split, kind, turns, choices, input = '', target = '' }, i): Template => {
    const where = source.locate(['templates', i]);
    const template = { id, split, kind, turns: turns ?? [{ input, target }], where };
    return choices === undefined ? template : { ...template, choices };
  });
  return { ...data, path, templates };
}
