/** What is read of the JSON Schema that zod writes, and discriminated unions in it: sections whose keys depend on one of them. */

/** The part of JSON Schema that is read. */
export interface JsonSchema {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  default?: unknown;
  description?: string;
  format?: string;
  resume?: 'free' | 'split' | 'length';
  readWhen?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  /** The condition of a key that only some variants have; from `mergeVariants`. */
  variant?: string;
  items?: JsonSchema | false;
  /** Of a map: what its values are. */
  additionalProperties?: JsonSchema | boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

/**
 * A union of sections as one section with the keys of all: those that only some variants have carry the condition "path=value"
 * of these. Every other schema is returned as it is.
 *
 * @param path of the section, with dots from the top of the configuration
 */
export function mergeVariants(schema: JsonSchema, path: string): JsonSchema {
  const variants = schema.oneOf ?? [];
  const [first] = variants;
  const tag = Object.keys(first?.properties ?? {}).find((key) =>
    variants.every((one) => constantOf(one, key) !== undefined),
  );
  if (first === undefined || tag === undefined) return schema;
  const named = variants.map((one) => ({ value: String(constantOf(one, tag)), section: one }));
  const { properties = {}, required = [] } = mergeSections(named, `${path}.${tag}`);
  const { const: _, ...choice } = first.properties?.[tag] ?? {};
  const tagged = { ...properties, [tag]: { ...choice, enum: named.map(({ value }) => value) } };
  const { oneOf: _variants, ...rest } = schema;
  return { ...rest, type: 'object', properties: tagged, required };
}

interface Variant {
  readonly value: string;
  readonly section: JsonSchema;
}

function mergeSections(variants: readonly Variant[], tag: string): JsonSchema {
  const keys = new Set(variants.flatMap(({ section }) => Object.keys(section.properties ?? {})));
  const properties: Record<string, JsonSchema> = {};
  for (const key of keys) {
    const owners = variants.flatMap(({ value, section }) => {
      const child = section.properties?.[key];
      return child === undefined ? [] : [{ value, section: child }];
    });
    const [{ section: child }] = owners as [Variant];
    if (owners.length < variants.length) {
      properties[key] = { ...child, variant: `${tag}=${owners.map(({ value }) => value).join('|')}` };
    } else properties[key] = child.properties === undefined ? child : { ...child, ...mergeSections(owners, tag) };
  }
  return { properties, required: variants.flatMap(({ section }) => section.required ?? []) };
}

function constantOf(section: JsonSchema, key: string): unknown {
  return section.properties?.[key]?.const;
}
