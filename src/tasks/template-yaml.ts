/** Reading YAML content (templates, clusters) against a schema: every problem in words, with file, line and column. */
import { existsSync } from 'node:fs';
import type { z } from 'zod';
import { ConfigError, DataError } from '../errors.ts';
import { describeIssues } from '../yaml/config-problems.ts';
import { type Field, isRecord, schemaFields } from '../yaml/schema-fields.ts';
import { readYaml, type Source } from '../yaml/yaml-source.ts';

/** A checked file, with the places of its parts. */
export interface Content<S extends z.ZodType> {
  data: z.output<S>;
  source: Source;
}

/**
 * Reads a YAML file and checks it against a schema.
 *
 * @param what names the kind of file in errors, e.g. "a template file"
 * @param lists the schema of the entries of each list or map ("" is the file itself), so that their keys are known by name too
 * @throws DataError with all problems: a missing file, YAML syntax, unknown, missing and wrong keys
 */
export function readContent<S extends z.ZodType>(
  path: string,
  what: string,
  schema: S,
  lists: Readonly<Record<string, z.ZodType>> = {},
): Content<S> {
  if (!existsSync(path)) {
    throw new DataError(`${path}: the file is missing; expected ${what}. Add it or leave it out.`);
  }
  const source = readSource(path);
  const result = schema.safeParse(source.data);
  if (result.success) return { data: result.data, source };
  const fields = [...schemaFields(schema), ...entryFields(source.data, lists)];
  throw new DataError(describeIssues(result.error.issues, { source, overrides: [], data: source.data, fields }));
}

function entryFields(data: unknown, lists: Readonly<Record<string, z.ZodType>>): Field[] {
  return Object.entries(lists).flatMap(([list, entry]) => {
    const entries: unknown = list === '' ? data : isRecord(data) ? data[list] : null;
    const prefix = list === '' ? '' : `${list}.`;
    const fields = schemaFields(entry);
    return Object.keys(Object(entries)).flatMap((key) =>
      fields.map((field) => ({ ...field, path: `${prefix}${key}.${field.path}` })),
    );
  });
}

function readSource(path: string): Source {
  try {
    return readYaml(path);
  } catch (error) {
    if (error instanceof ConfigError) throw new DataError(error.problems, { cause: error });
    throw error;
  }
}
