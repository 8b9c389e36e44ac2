/** Long lists of tensors in few words: those of a layer stand for those of every layer. */

/** Groups a message names before it only counts. */
const SHOWN = 12;

/** A name with the numbers of layers left open: "model.layers.N.mlp.up_proj.weight". */
export function patternOf(name: string): string {
  return name.replaceAll(/(?<=^|\.)\d+(?=\.|$)/g, 'N');
}

/** Values by a key, in the order they come in. */
export function groupBy<Value>(values: Iterable<Value>, keyOf: (value: Value) => string): Map<string, Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const key = keyOf(value);
    groups.set(key, [...(groups.get(key) ?? []), value]);
  }
  return groups;
}

/** '24 × "model.layers.N.self_attn.q_norm.weight", "extra.weight"'; of many groups the first, and how many more. */
export function describeNames(names: Iterable<string>): string {
  const groups = [...groupBy(names, patternOf)].map(([pattern, [first, ...more]]) =>
    more.length === 0 ? `"${first}"` : `${more.length + 1} × "${pattern}"`,
  );
  const rest = groups.length - SHOWN;
  return [...groups.slice(0, SHOWN), ...(rest > 0 ? [`and ${rest} more kinds`] : [])].join(', ');
}
