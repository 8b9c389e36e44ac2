/** Conditions on other keys, as schemas carry them in `.meta({ readWhen: 'tuning.method=lora' })`. */

/** Another key, and the values of it with which a key is read, or is not. */
export interface Condition {
  readonly path: string;
  readonly values: readonly string[];
  readonly isRead: boolean;
}

/**
 * "a.b=c|d" and "a.b!=c|d"; a path that begins with a dot is that of a neighbour of the key at `prefix`.
 * @throws TypeError for another form, which is a mistake in a schema
 */
export function parseCondition(text: string, prefix = ''): Condition {
  const match = /^(\.?)([\w.]+?)(!?=)([\w.|-]+)$/.exec(text);
  if (match === null) throw new TypeError(`readWhen "${text}": expected "key=value|value" or "key!=value"`);
  const [, neighbour = '', path = '', relation = '=', values = ''] = match;
  return { path: (neighbour === '' ? '' : prefix) + path, values: values.split('|'), isRead: relation === '=' };
}

/** Makes the paths of a condition whole; `prefix` is the section it was declared in, with a dot at its end. */
export function resolveCondition(text: string, prefix: string): string {
  const { path, values, isRead } = parseCondition(text, prefix);
  return `${path}${isRead ? '=' : '!='}${values.join('|')}`;
}

/** "read with tuning.method lora", for help. */
export function describeCondition(text: string): string {
  const { path, values, isRead } = parseCondition(text);
  const shown = values.map((value) => (value === 'null' ? 'none' : value)).join(' or ');
  return isRead ? `${path} ${shown}` : `${path} other than ${shown}`;
}
