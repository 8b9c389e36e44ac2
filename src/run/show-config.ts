/** Prints configurations: what differs from the defaults, the whole as YAML, and the help of a program. */

import { stringify } from 'yaml';
import type { z } from 'zod';
import { describeCondition } from '../yaml/read-conditions.ts';
import { flatten, schemaFields } from '../yaml/schema-fields.ts';

/**
 * One line for every value that differs from its default, e.g. "optimizer.learningRate  0.001  (default 0.0003)".
 * Required keys have no default and are always listed.
 */
export function describeChanges<S extends z.ZodType>(schema: S, config: z.infer<S>): string[] {
  const defaults = new Map<string, unknown>();
  for (const field of schemaFields(schema)) {
    const value = field.default;
    if (value !== undefined) for (const [path, leaf] of leavesOf(field.path, value)) defaults.set(path, leaf);
  }
  const rows: [string, string, string][] = [];
  for (const [path, value] of flatten(config)) {
    const known = defaults.get(path);
    if (JSON.stringify(known) === JSON.stringify(value)) continue;
    rows.push([path, showValue(value), known === undefined ? '' : `(default ${showValue(known)})`]);
  }
  const [first, second] = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map(([path, value, note]) =>
    `${path.padEnd(first ?? 0)}  ${value.padEnd(second ?? 0)}  ${note}`.trimEnd(),
  );
}

/** The configuration as YAML that `loadConfig` reads back to the same values. */
export function stringifyConfig(config: unknown): string {
  return stringify(config, { lineWidth: 0 });
}

/** One line for every key: path, what it takes, default, description. */
export function configHelp(schema: z.ZodType): string[] {
  return schemaFields(schema).flatMap((field) => {
    const fallback =
      field.default === undefined ? (field.required ? 'required' : 'optional') : `default ${showValue(field.default)}`;
    const condition = field.readWhen.map((text) => `; read only with ${describeCondition(text)}`).join('');
    const lines = [`  ${field.path}  (${field.expects}; ${fallback}${condition})`];
    return field.description === '' ? lines : [...lines, `      ${field.description}`];
  });
}

function leavesOf(path: string, value: unknown): Map<string, unknown> {
  const leaves = flatten(value, `${path}.`);
  return leaves.size > 0 ? leaves : new Map([[path, value]]);
}

function showValue(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : (JSON.stringify(value) ?? 'none');
}
