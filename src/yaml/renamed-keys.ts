/** Keys that configurations had under other names: the old one is an error that names the new one and its value. */

/** Reads a setting by its key, with dots. */
type Read = (key: string) => unknown;

/** What a key is called now, and what its value becomes where that is not the value itself. */
interface Renamed {
  readonly key: string;
  /** The value under the new key; undefined where the settings give none. */
  readonly value?: (old: unknown, read: Read) => unknown;
}

/** Old key → new key, both with dots from the top of a configuration. */
const RENAMED: Readonly<Record<string, Renamed>> = {
  evaluateEverySteps: { key: 'evaluation.everySteps' },
  'data.seed': { key: 'data.tables' },
  'prompts.seed': { key: 'prompts.tables' },
  'heldOut.seed': { key: 'heldOut.tables' },
  'evaluation.everyIterations': { key: 'evaluation.everySteps' },
  ppo: { key: 'policies.ppo' },
  'training.accumulate': { key: 'training.microBatch', value: rowsOfPiece },
  'training.microBatchPairs': { key: 'training.microBatch' },
  'updates.microBatchRows': { key: 'updates.microBatch' },
};

/** Keys that are gone, and what to do instead. */
const REMOVED: Readonly<Record<string, string>> = {
  'data.ignoreFields':
    'conversations are trained whole: import them with shape: messages, and name them in data.tasks; they need no templates.',
};

/** What to do instead of a key that configurations had; undefined for others. */
export function removedKey(key: string): string | undefined {
  return Object.hasOwn(REMOVED, key) ? REMOVED[key] : undefined;
}

/** `accumulate` counted the pieces of a batch, `microBatch` counts the rows of a piece. */
function rowsOfPiece(pieces: unknown, read: Read): unknown {
  if (pieces === 1) return null;
  const rows = Number(read('training.rows')) / Number(pieces);
  return Number.isInteger(rows) && rows > 0 ? rows : undefined;
}

/** The key that a configuration with the keys `known` has in place of `key`, and its value; undefined where it has none. */
export function renamedKey(
  key: string,
  old: unknown,
  known: readonly string[],
  read: Read,
): { readonly key: string; readonly value: unknown } | undefined {
  const renamed = Object.hasOwn(RENAMED, key) ? RENAMED[key] : undefined;
  // A key within a map is known by the map.
  const isKnown = known.some((name) => renamed?.key === name || renamed?.key.startsWith(`${name}.`));
  if (renamed === undefined || !isKnown) return undefined;
  return { key: renamed.key, value: renamed.value === undefined ? old : renamed.value(old, read) };
}

/** Settings as "a.b.c" → value, those with old keys under the new ones; a run that was begun with old keys has such. */
export function underNewKeys(settings: ReadonlyMap<string, unknown>, known: readonly string[]): Map<string, unknown> {
  return new Map(
    [...settings]
      .filter(([key]) => removedKey(key) === undefined)
      .map(([key, old]) => {
        const renamed = renamedKey(key, old, known, (other) => settings.get(other));
        return renamed === undefined ? [key, old] : [renamed.key, renamed.value];
      }),
  );
}
