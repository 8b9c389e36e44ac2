/** Reads a configuration: schema defaults < YAML file < `key.path=value` arguments, with every mistake reported at once. */

import type { z } from 'zod';
import { ConfigError } from '../errors.ts';
import { describeIssues } from './config-problems.ts';
import { applyOverride, parseOverrides } from './overrides.ts';
import { schemaFields } from './schema-fields.ts';
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
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw new ConfigError(describeIssues(result.error.issues, { source, overrides: parsed, data, fields }));
}

/**
 * Checks a configuration that was put together in a program; `origin` names it in messages.
 * @throws ConfigError with every mistake found
 */
export function checkConfig<S extends z.ZodType>(schema: S, data: z.input<S>, origin: string): z.infer<S> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const source: Pick<Source, 'locate' | 'locateKey'> = { locate: () => origin, locateKey: () => origin };
  throw new ConfigError(
    describeIssues(result.error.issues, { source, overrides: [], data, fields: schemaFields(schema) }),
  );
}
