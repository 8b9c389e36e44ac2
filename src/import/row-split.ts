/** The split that a source itself gives a row, and the lines that say where splits came from. */

import { type SplitRule, splitsAreFound } from './choose-split.ts';
import type { SourceFile } from './files.ts';
import { splitOfWordAlone, splitsInName } from './split-names.ts';
import { listing } from './walk-folder.ts';

/** Splits of one import. */
export interface Splits {
  /**
   * The split of a row: what the configuration or a Hugging Face folder says of its file, else its own field "split",
   * else the key of a JSON object that it stands under, else the file's name or a folder's; "train" where none says.
   */
  of(file: SourceFile, fields: Readonly<Record<string, unknown>>): string;
  /** Where splits came from, once all rows are read. */
  notes(): string[];
}

/** @param rule  what the configuration says of splits; where it leaves aside what the source says, a note says so */
export function openSplits(files: readonly SourceFile[], rule: SplitRule): Splits {
  const inField = new Map<string, number>();
  const underKey = new Map<string, string>();
  const unknown = new Set<string>();
  const fromName = new Set<SourceFile>();
  const own = (fields: Readonly<Record<string, unknown>>): string | null => {
    const { split: value, $key: key } = fields;
    const split = typeof value === 'string' ? splitOfWordAlone(value.trim()) : null;
    if (split !== null) {
      inField.set(split, (inField.get(split) ?? 0) + 1);
      return split;
    }
    if (typeof value === 'string' && value.trim() !== '' && unknown.size < mostNamed) unknown.add(value.slice(0, 20));
    const [byKey, other] = typeof key === 'string' ? splitsInName(key) : [];
    if (byKey === undefined || other !== undefined) return null;
    underKey.set(String(key), byKey);
    return byKey;
  };
  return {
    of: (file, fields) => {
      if (file.split !== null) return file.split;
      const split = own(fields);
      if (split === null) fromName.add(file);
      return split ?? file.namedSplit ?? 'train';
    },
    notes: () => {
      const named = [...fromName].filter(({ namedSplit }) => namedSplit !== null);
      if (!splitsAreFound(rule)) {
        return rule.column === undefined ? unusedNotes(files, [...inField.keys()], [...underKey.keys()]) : [];
      }
      const notes: string[] = [];
      if (named.length > 0) notes.push(`splits by the names of files: ${byName([...fromName])}.`);
      if (inField.size > 0) {
        const counts = [...inField].map(([split, rows]) => `${split} ${rows}`);
        notes.push(`splits by the field "split": ${counts.join(', ')}.`);
      }
      if (underKey.size > 0) {
        notes.push(
          `splits by the keys of a JSON object: ${[...underKey].map(([key, split]) => (key === split ? key : `${key} is ${split}`)).join(', ')}.`,
        );
      }
      if (unknown.size > 0) {
        notes.push(
          `the field "split" holds other values too (${[...unknown].join(', ')}), which are not used; split.column: split would use them.`,
        );
      }
      return notes;
    },
  };
}

const mostNamed = 3;

/** "train from a.jsonl, b.jsonl; test from c.jsonl; no split in the name, so train: d.jsonl" */
function byName(files: readonly SourceFile[]): string {
  const groups = new Map<string, string[]>();
  for (const { namedSplit, path } of files) {
    const head = namedSplit === null ? 'no split in the name, so train:' : `${namedSplit} from`;
    groups.set(head, [...(groups.get(head) ?? []), path]);
  }
  return [...groups].map(([head, paths]) => `${head} ${listing(paths, mostNamed)}`).join('; ');
}

/** Splits that are there and are not asked for. */
function unusedNotes(files: readonly SourceFile[], inField: readonly string[], keys: readonly string[]): string[] {
  const said = files.filter(({ split, namedSplit }) => (split ?? namedSplit ?? 'train') !== 'train');
  const parts = [
    ...said.slice(0, mostNamed).map(({ path, split, namedSplit }) => `${path} (${split ?? namedSplit})`),
    ...(said.length > mostNamed ? [`${said.length - mostNamed} more files`] : []),
    ...(inField.some((split) => split !== 'train') ? [`the field "split" (${inField.join(', ')})`] : []),
    ...(keys.length > 0 ? [`keys (${keys.join(', ')})`] : []),
  ];
  if (parts.length === 0) return [];
  return [
    `split is set, so these do not count: ${parts.join(', ')}. To use them leave split out, or set split.column: $split.`,
  ];
}
