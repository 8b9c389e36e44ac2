/** Lists the keys of a configuration schema with their defaults and descriptions, for help, suggestions and comparisons. */

import { z } from 'zod';
import type { JsonSchema } from './json-schema.ts';
import { mergeVariants } from './json-schema.ts';
import { resolveCondition } from './read-conditions.ts';

/** One settable key of a schema, e.g. "optimizer.learningRate". */
export interface Field {
  readonly path: string;
  /** What values it takes, in words: "number above 0", "one of constant, linear". */
  readonly expects: string;
  readonly description: string;
  readonly required: boolean;
  /** Absent where the key has none (required, or optional and left out). */
  readonly default?: unknown;
  /** True for a file or folder name, and for a map of them (declared with `filePath` in sections.ts). */
  readonly isPath: boolean;
  /** What an argument's value is read as: text as it is, a list, a map of keys that the schema does not name, or YAML. */
  readonly kind: 'text' | 'list' | 'list of text' | 'map' | 'other';
  /** True where null is a value of its own, not the absence of one. */
  readonly isNullable: boolean;
  /** What a resumed run may do with it: change it, split updates otherwise, or grow by it. Absent where it must stay. */
  readonly resume?: 'free' | 'split' | 'length';
  /** With which values of other keys it is read, as "distill.alpha!=0"; all of them must hold. See unread-keys.ts. */
  readonly readWhen: readonly string[];
  /** True where only some variants of its section have the key. */
  readonly isOfVariant: boolean;
}

/** The leaf keys of an object schema in the order of their declaration. */
export function schemaFields(schema: z.ZodType): Field[] {
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const fields: Field[] = [];
  collect(root, { prefix: '', outerDefault: {}, present: true, readWhen: [], isOfVariant: false }, fields);
  return fields;
}

interface Place {
  readonly prefix: string;
  /** What a section's own `.prefault({...})` gives its keys; it wins over the keys' defaults. */
  readonly outerDefault: unknown;
  readonly present: boolean;
  readonly readWhen: readonly string[];
  readonly isOfVariant: boolean;
}

function collect(section: JsonSchema, { prefix, outerDefault, present, ...place }: Place, out: Field[]): void {
  for (const [key, declared] of Object.entries(section.properties ?? {})) {
    const path = prefix + key;
    const child = mergeVariants(declared, path);
    const given = isRecord(outerDefault) && Object.hasOwn(outerDefault, key) ? outerDefault[key] : child.default;
    const own = child.readWhen === undefined ? [] : [resolveCondition(child.readWhen, prefix)];
    const readWhen = [...place.readWhen, ...(child.variant === undefined ? [] : [child.variant]), ...own];
    const isOfVariant = place.isOfVariant || child.variant !== undefined;
    const isRequired = present && (section.required ?? []).includes(key);
    if (child.properties !== undefined) {
      // An optional section's keys are required only once the section is there.
      const inside = {
        prefix: `${path}.`,
        outerDefault: given ?? {},
        present: isRequired || given !== undefined,
        readWhen,
        isOfVariant,
      };
      collect(child, inside, out);
      continue;
    }
    out.push({
      path,
      expects: expectation(child),
      description: [child, ...alternatives(child)].find(({ description }) => description)?.description ?? '',
      required: isRequired && given === undefined,
      isPath: [child, ...alternatives(child), ...mapValues(child)].some(({ format }) => format === 'path'),
      kind: kindOf(child),
      readWhen,
      isOfVariant,
      isNullable: alternatives(child).some(({ type }) => type === 'null'),
      ...(child.resume === undefined ? {} : { resume: child.resume }),
      ...(given === undefined ? {} : { default: given }),
    });
  }
}

/** "text or null" as two schemas. */
function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(alternatives);
  return Array.isArray(schema.type) ? schema.type.map((type) => ({ ...schema, type })) : [schema];
}

function mapValues({ additionalProperties: values }: JsonSchema): readonly JsonSchema[] {
  return typeof values === 'object' ? [values] : [];
}

function kindOf(schema: JsonSchema): Field['kind'] {
  const values = alternatives(schema).filter(({ type }) => type !== 'null');
  const [first] = values;
  if (first !== undefined && values.every(({ type }) => type === 'string')) return 'text';
  if (first?.type === 'array') return first.items && kindOf(first.items) === 'text' ? 'list of text' : 'list';
  return first?.type === 'object' ? 'map' : 'other';
}

function expectation(schema: JsonSchema): string {
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  const values = alternatives(schema);
  if (values.length > 1) return values.map(expectation).join(' or ');
  if (schema.type === 'array') return schema.items ? `list of ${expectation(schema.items)}` : 'list';
  if (schema.type === 'object') return 'map';
  if (schema.type === 'boolean') return 'true or false';
  if (schema.format === 'path') return 'path';
  if (schema.type === 'number' || schema.type === 'integer') {
    return `${schema.type === 'integer' ? 'whole number' : 'number'}${range(schema)}`;
  }
  return typeof schema.type === 'string' ? schema.type : 'any value';
}

function range(schema: JsonSchema): string {
  const parts: string[] = [];
  if (schema.exclusiveMinimum !== undefined) parts.push(`above ${schema.exclusiveMinimum}`);
  // zod writes the safe-integer bounds into every whole number; they carry no information.
  if (schema.minimum !== undefined && schema.minimum > Number.MIN_SAFE_INTEGER)
    parts.push(`at least ${schema.minimum}`);
  if (schema.exclusiveMaximum !== undefined) parts.push(`below ${schema.exclusiveMaximum}`);
  if (schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) parts.push(`at most ${schema.maximum}`);
  return parts.length === 0 ? '' : ` ${parts.join(' and ')}`;
}

/** True for a plain object (not a list, not null). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every leaf of a configuration as "a.b.c" → value; lists and empty maps are leaves. */
export function flatten(value: unknown, prefix = ''): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  if (!isRecord(value)) return leaves;
  for (const [key, child] of Object.entries(value)) {
    if (child === undefined) continue;
    if (isRecord(child) && Object.keys(child).length > 0) {
      for (const [path, leaf] of flatten(child, `${prefix}${key}.`)) leaves.set(path, leaf);
    } else {
      leaves.set(prefix + key, child);
    }
  }
  return leaves;
}
