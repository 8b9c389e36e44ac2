/** Where preference pairs come from: a table of pairs, or a file, a folder or a pattern whose rows are recognized. */
import { statSync } from 'node:fs';
import { DataError } from '../errors.ts';
import { readStart } from '../import/bytes.ts';
import { isPattern } from '../import/files.ts';
import { readPairRows } from '../import/pair-rows.ts';
import type { PairSelection, PairTable } from './pair-table.ts';
import { isPairTable, readPairTable, splitsOfTable } from './pair-table.ts';

/** Pairs that can be read by split. */
export interface PairFile {
  readonly path: string;
  /** The path as it was asked for; of a pattern the files it matches. */
  readonly inputs: readonly string[];
  readonly splits: readonly string[];
  /** What the rows were taken for and what of them was left out, for people; of a table of pairs nothing. */
  readonly lines: readonly string[];
  /** @throws DataError where there is none of the split, or a column is missing */
  read(selection: PairSelection): PairTable;
}

/** The commands that make tables of pairs, for errors. */
export const PAIRS_MADE_BY = 'node --import tsx stages/preferences.ts or npm run import';

/** How rows are read that are no table of pairs. */
export interface OwnRows {
  /** Largest share of them that may be unusable. */
  readonly badRows: number;
  /** Field to group pairs by. */
  readonly groupBy: string | null;
}

/**
 * Opens a table, or reads a file, a folder or a pattern of another kind whole.
 * @throws DataError where it is missing, is nothing that is known, or has more rows that cannot be used than is allowed
 */
export async function openPairs(path: string, { badRows, groupBy }: OwnRows): Promise<PairFile> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined && !isPattern(path)) {
    throw new DataError(`${path}: there is no such file or folder; expected preference pairs. Correct the path.`);
  }
  const start = stats?.isFile() === true ? readStart(path, 8).toString('latin1') : undefined;
  if (start !== undefined && isPairTable(path, start, PAIRS_MADE_BY)) {
    return {
      path,
      inputs: [path],
      splits: splitsOfTable(path, PAIRS_MADE_BY),
      lines: [],
      read: (selection) => readPairTable(path, selection, PAIRS_MADE_BY),
    };
  }
  const { rows, inputs, lines } = await readPairRows(path, { groupBy, badRows });
  const splits = [...new Set(rows.map(({ split }) => split))];
  return {
    path,
    inputs,
    splits,
    lines,
    read: ({ split }) => {
      const wanted = rows.filter((row) => split === null || row.split === split);
      if (wanted.length === 0) {
        const known = splits.toSorted().join(', ');
        throw new DataError(`${path}: no pairs of split "${split}"; expected one of ${known}. Correct the split.`);
      }
      const unjudged = { tokens: null, gold_chosen: null, gold_rejected: null, flipped: null };
      return { rows: wanted.map((row) => ({ ...row, ...unjudged })), tokenizer: undefined, problems: [], badRows };
    },
  };
}
