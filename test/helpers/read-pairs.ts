/** Reads one file of preference pairs, for tests. */
import { openPairs } from '../../src/examples/open-pairs.ts';
import type { LoadedPairs, PreferenceReader } from '../../src/examples/preference.ts';
import { loadPairs } from '../../src/examples/preference.ts';

export async function readPairs(
  path: string,
  reader: PreferenceReader,
  groupBy: string | null = null,
  badRows = 0,
): Promise<LoadedPairs> {
  return loadPairs(await openPairs(path, { badRows, groupBy }), { split: null, groupBy }, reader);
}
