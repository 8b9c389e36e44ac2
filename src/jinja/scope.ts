/** The names that a template knows at a place. */
import type { Value } from './values.ts';

/** Names of a block, and of those around it. */
export interface Scope {
  readonly names: Map<string, Value>;
  readonly around: Scope | undefined;
}

export function openScope(around: Scope | undefined, names: Iterable<readonly [string, Value]> = []): Scope {
  return { names: new Map(names), around };
}

/** The value of a name; undefined where nothing has it. */
export function look(scope: Scope, name: string): Value | undefined {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.around) {
    const value = at.names.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}
