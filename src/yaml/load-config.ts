/** Reads a configuration: schema defaults < YAML file < `key.path=value` arguments, with every mistake reported at once. */

import type { z } from 'zod';
import { ConfigError } from '../errors.ts';
import type { Origin } from './config-problems.ts';
import { describeIssues } from './config-problems.ts';
import { applyOverride, parseOverrides } from './overrides.ts';
import { schemaFields } from './schema-fields.ts';
import { unreadKeys } from './unread-keys.ts';
import { readYaml, type Source } from './yaml-source.ts';

/**
 * Loads and checks a YAML configuration.
 *
 * @param overrides  arguments such as "optimizer.learningRate=1e-3"; the last one for a key wins
 * @throws ConfigError with "file:line:column key: expected X, received Y." for every mistake found
 */
export function loadConfig<S extends z.ZodType>(
  schema: S,
  file: string,
  overrides: readonly string[] = [],
): z.infer<S> {
  const fields = schemaFields(schema);
  const parsed = parseOverrides(overrides, fields);
  const source = readYaml(file);
  let data = source.data;
  for (const override of parsed) data = applyOverride(data, override, fields);
  return checked(schema, { source, overrides: parsed, data, fields });
}

/**
 * Checks a configuration that was put together in a program; `origin` names it in messages.
 * @throws ConfigError with every mistake found
 */
export function checkConfig<S extends z.ZodType>(schema: S, data: z.input<S>, origin: string): z.infer<S> {
  const source: Pick<Source, 'locate' | 'locateKey'> = { locate: () => origin, locateKey: () => origin };
  return checked(schema, { source, overrides: [], data, fields: schemaFields(schema) });
}

/** The data as the schema makes it, where nothing is wrong with it and every key that was given is read. */
function checked<S extends z.ZodType>(schema: S, origin: Origin): z.infer<S> {
  const result = schema.safeParse(origin.data);
  if (!result.success) throw new ConfigError(describeIssues(result.error.issues, origin));
  const unread = unreadKeys(result.data, origin.fields).map((key) => ({
    ...key,
    code: 'custom' as const,
    path: [...key.path],
  }));
  if (unread.length > 0) throw new ConfigError(describeIssues(unread, origin));
  return result.data;
}
