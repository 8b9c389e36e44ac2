/** Reads metadata one key at a time, and knows which were read: the others are named or refused. */
import type { GgufFile } from './open-gguf.ts';
import type { MetadataValue } from './read-header.ts';

/** Metadata of a file; problems are collected. A key that is missing gives undefined. */
export interface MetadataKeys {
  /** A whole number from 1. */
  count(key: string): number | undefined;
  /** A finite number as the shortest decimal with the same float32: 1e-5, not 0.000009999999747378752. */
  number(key: string): number | undefined;
  flag(key: string): boolean | undefined;
  text(key: string): string | undefined;
  texts(key: string): readonly string[] | undefined;
  numbers(key: string): readonly number[] | undefined;
  /** A key that has to be there: gives the value, and says what is missing. */
  required<Value>(key: string, read: (key: string) => Value | undefined, otherwise: Value): Value;
  /** What is wrong with a key. */
  problem(key: string, what: string): void;
  readonly problems: readonly string[];
  /** Keys that nothing has read. */
  unread(): string[];
  /** A value that nobody has read yet, for what is said of it. */
  peek(key: string): MetadataValue | undefined;
}

/** A file whose keys are read. */
export interface ModelSource {
  readonly keys: MetadataKeys;
  readonly file: GgufFile;
  /** The key of its architecture: "block_count" is "llama.block_count". */
  readonly own: (key: string) => string;
}

/** @param where names the file in problems */
export function metadataKeys(metadata: ReadonlyMap<string, MetadataValue>, where: string): MetadataKeys {
  const read = new Set<string>();
  const problems: string[] = [];
  const problem = (key: string, what: string): void => {
    problems.push(`${where}: ${key}: ${what}`);
  };
  const take = <Value extends MetadataValue>(
    key: string,
    expected: string,
    fits: (value: MetadataValue) => boolean,
  ): Value | undefined => {
    read.add(key);
    const value = metadata.get(key);
    if (value === undefined || fits(value)) return value as Value | undefined;
    problem(key, `expected ${expected}, received ${shown(value)}.`);
    return undefined;
  };
  const isList = (value: MetadataValue, type: string): boolean =>
    typeof value === 'object' && value.every((one) => typeof one === type);
  return {
    count: (key) => take(key, 'a whole number from 1', (value) => Number.isSafeInteger(value) && Number(value) >= 1),
    number: (key) => {
      const value = take<number>(key, 'a finite number', Number.isFinite);
      return value === undefined ? undefined : shortest(value);
    },
    flag: (key) => take(key, 'true or false', (value) => typeof value === 'boolean'),
    text: (key) => take(key, 'a text', (value) => typeof value === 'string'),
    texts: (key) => take(key, 'a list of texts', (value) => isList(value, 'string')),
    numbers: (key) => take(key, 'a list of numbers', (value) => isList(value, 'number')),
    required: (key, reader, otherwise) => {
      if (!metadata.has(key)) problem(key, 'is missing. The file holds no whole model: take another one.');
      return reader(key) ?? otherwise;
    },
    problem,
    problems,
    unread: () => [...metadata.keys()].filter((key) => !read.has(key)),
    peek: (key) => metadata.get(key),
  };
}

/** A value for people: lists are long. */
export function shown(value: MetadataValue): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** The shortest decimal that is the same number in float32; the number itself where it is not one of those. */
function shortest(value: number): number {
  if (Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
