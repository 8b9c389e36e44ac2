/** Keys that configurations had under other names: the old one is an error that tells the new one. */

/** Old key → new key, both with dots from the top of a configuration. */
const RENAMED: Readonly<Record<string, string>> = {
  evaluateEverySteps: 'evaluation.everySteps',
};

/** The name by which a configuration with these keys has an old one, where it has it. */
export function newNameOf(key: string, known: readonly string[]): string | undefined {
  const name = Object.hasOwn(RENAMED, key) ? RENAMED[key] : undefined;
  return name !== undefined && known.includes(name) ? name : undefined;
}
