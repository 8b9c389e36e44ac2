/** Arguments of calls by position and by name. */
import { TemplateError } from './template-error.ts';
import { type Arguments, isKind, numberOf, refuseUndefined, textOf, typeName, type Value } from './values.ts';

/**
 * Arguments in the order of their names; undefined where one is left out.
 * @param callee names the function in errors
 * @param names  with "/" in front: by position only
 * @throws TemplateError where there are too many, or one has an unknown name
 */
export function take(
  callee: string,
  names: readonly string[],
  { positional, named }: Arguments,
): (Value | undefined)[] {
  if (positional.length > names.length) {
    throw new TemplateError(`${callee}() takes at most ${names.length} arguments (${positional.length} given)`);
  }
  const values: (Value | undefined)[] = names.map((_, i) => positional[i]);
  for (const [name, value] of named) {
    const at = names.indexOf(name);
    if (at === -1) throw new TemplateError(`${callee}() got an unexpected keyword argument '${name}'`);
    if (at < positional.length) throw new TemplateError(`${callee}() got multiple values for argument '${name}'`);
    values[at] = value;
  }
  return values;
}

/** @throws TemplateError where the argument is left out */
export function required(callee: string, name: string, value: Value | undefined): Value {
  if (value === undefined) throw new TemplateError(`${callee}() missing 1 required argument: '${name}'`);
  return value;
}

/** A str argument. */
export function textArgument(callee: string, value: Value | undefined): string {
  const text = value === undefined ? undefined : textOf(value);
  if (text !== undefined) return text;
  if (value !== undefined) refuseUndefined(value);
  throw new TemplateError(
    `${callee}() argument must be str, not ${value === undefined ? 'left out' : typeName(value)}`,
  );
}

/** An int argument. */
export function integerArgument(callee: string, value: Value | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  const number = numberOf(value);
  if (typeof number === 'bigint') return Number(number);
  refuseUndefined(value);
  throw new TemplateError(`${callee}(): '${typeName(value)}' object cannot be interpreted as an integer`);
}

/** A str or a tuple of them. */
export function textsArgument(callee: string, value: Value | undefined): readonly string[] {
  if (value !== undefined && isKind(value, 'tuple')) return value.items.map((one) => textArgument(callee, one));
  return [textArgument(callee, value)];
}
