/** Keys that were given a value but are not read beside the others: `.meta({ readWhen: 'tuning.method=lora' })` in a schema. */

import type { Condition } from './read-conditions.ts';
import { describeCondition, parseCondition } from './read-conditions.ts';
import type { Field } from './schema-fields.ts';
import { isRecord } from './schema-fields.ts';

/** One key that nothing reads, with the reason in words. */
export interface UnreadKey {
  readonly path: readonly string[];
  readonly message: string;
}

/**
 * The keys of a checked configuration that have another value than their default, and that nothing reads. A key at its
 * default says nothing, so that a configuration with all defaults written out is right.
 */
export function unreadKeys(config: unknown, fields: readonly Field[]): UnreadKey[] {
  return fields.flatMap((field) => {
    const value = valueAt(config, field.path);
    if (value === undefined || JSON.stringify(value) === JSON.stringify(field.default)) return [];
    const unmet = field.readWhen.find((text) => !holds(parseCondition(text), config));
    if (unmet === undefined) return [];
    return [
      {
        path: field.path.split('.'),
        message: noEffect(field.path, unmet, valueAt(config, parseCondition(unmet).path)),
      },
    ];
  });
}

/** Why nothing reads the key at `path`: its condition does not hold, as `other`, the value it speaks of, is another. */
export function noEffect(path: string, condition: string, other: unknown): string {
  const { path: key } = parseCondition(condition);
  const has = other === undefined || other === null ? `${key} is left out` : `${key} is ${String(other)}`;
  return `has no effect: it is read only with ${describeCondition(condition)}, and ${has}. Change one of the two; ${path}=null takes this key out on the command line`;
}

function holds({ path, values, isRead }: Condition, config: unknown): boolean {
  return values.includes(String(valueAt(config, path) ?? null)) === isRead;
}

function valueAt(config: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((part, key) => (isRecord(part) && Object.hasOwn(part, key) ? part[key] : undefined), config);
}
