/** Which fields of a source are used, so that those that are not can be named. */
import { pickField } from './column-value.ts';
import { isRecord, isVoid } from './source-row.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A field that nothing reads. */
export interface UnusedField {
  /** Its name, or its path where something else under the same field is read: "input.tools". */
  name: string;
  /** Whether there is a value in this row. */
  isVoid: boolean;
}

/** Watches the fields of rows go by. */
export interface FieldUse {
  /** The fields of a row that nothing reads. */
  unused(fields: Fields): UnusedField[];
  /** Fields that were to be read and have stood in no row so far. */
  absent(): string[];
}

/** Fields that readers make. */
const made = ['$file', '$split', '$key'];

/**
 * @param read     fields that are read, as names or paths: "text", "input.messages", "answers.*.text"
 * @param expected those of them that some row should have
 */
export function openFieldUse(read: readonly string[], expected: readonly string[]): FieldUse {
  const names = new Set([...read, ...made]);
  const paths = read.filter((name) => name.includes('.')).map((name) => name.split('.'));
  const awaited = new Set(expected);
  return {
    unused: (fields) => {
      for (const name of awaited) if (pickField(fields, name) !== undefined) awaited.delete(name);
      const own = Object.entries(fields).filter(([name]) => !names.has(name));
      // Most mappings are plain names, and rows are many.
      if (paths.length === 0) return own.map(([name, value]) => ({ name, isVoid: isVoid(value) }));
      const found = new Map<string, boolean>();
      for (const [name, value] of own) collect({ name, step: name, value }, paths, found);
      return [...found].map(([name, isEmpty]) => ({ name, isVoid: isEmpty }));
    },
    absent: () => [...awaited],
  };
}

/** A value in a row: its path for people, and the last step of it. */
interface Place {
  name: string;
  step: string;
  value: unknown;
}

/** Adds what of a value no path reads; the first steps of `paths` are names of its siblings and itself. */
function collect(
  { name, step, value }: Place,
  paths: readonly (readonly string[])[],
  found: Map<string, boolean>,
): void {
  const inner = paths.filter(([first]) => first === step).map(([, ...rest]) => rest);
  if (inner.some((path) => path.length === 0)) return;
  if (inner.length === 0) {
    found.set(name, isVoid(value) && (found.get(name) ?? true));
  } else if (Array.isArray(value)) {
    // Which entries are read is what the path is for; what stands beside a field that is read of them is not.
    const within = inner.map(([, ...path]) => path);
    if (within.some((path) => path.length === 0)) return;
    for (const entry of value) collectWithin(`${name}.*`, entry, within, found);
  } else collectWithin(name, value, inner, found);
}

function collectWithin(
  name: string,
  value: unknown,
  paths: readonly (readonly string[])[],
  found: Map<string, boolean>,
): void {
  if (!isRecord(value)) return;
  for (const [step, inner] of Object.entries(value))
    collect({ name: `${name}.${step}`, step, value: inner }, paths, found);
}
