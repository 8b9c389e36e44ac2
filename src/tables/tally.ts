/** Counting what happens to rows: by name, with the first places of each. */

/** How often something was met, and where first. */
export interface Counted {
  count: number;
  first: string[];
}

/** Counts by name. */
export type Tally = Record<string, Counted>;

const placesKept = 3;
/** Data may name things without end (ids as keys); beyond this many they are counted together. */
const namesKept = 100;
const others = 'others';

/** The entry of a name, made where there is none yet. */
export function tallyEntry(tally: Tally, name: string): Counted {
  const key = Object.hasOwn(tally, name) || Object.keys(tally).length < namesKept ? name : others;
  if (Object.hasOwn(tally, key)) return tally[key] as Counted;
  const entry: Counted = { count: 0, first: [] };
  // A plain assignment would take "__proto__" for something else.
  Object.defineProperty(tally, key, { value: entry, enumerable: true, configurable: true, writable: true });
  return entry;
}

/** Counts one more, and keeps its place where it is among the first. */
export function countAt(entry: Counted, place: string): void {
  entry.count++;
  if (entry.first.length < placesKept && !entry.first.includes(place)) entry.first.push(place);
}

/** "12 (a.jsonl:3, a.jsonl:7, a.jsonl:9)": the count with its first places, without what was wrong there. */
export function countAndPlaces({ count, first }: Readonly<Counted>): string {
  return `${count} (${first.map((place) => place.replace(/: .*/s, '')).join(', ')})`;
}

/** "too long: 12, first at a.jsonl:3, a.jsonl:7, a.jsonl:9" for each name. */
export function describeTally(tally: Readonly<Tally>): string[] {
  return Object.entries(tally).map(([name, { count, first }]) => `${name}: ${count}, first at ${first.join(', ')}`);
}
