/** Rows of files as ranges: "a.jsonl:2-5,9". */

/** Ranges kept; a source with more has its rest counted only. */
const rangesKept = 1000;

/** Collects the places of rows, in the order in which they are read. */
export interface RowRanges {
  /** @param where "path:line" or "path: row n"; other places have no row and are kept as they are */
  add(where: string): void;
  /** One text a file; the last one ends in … where there were more. */
  list(): string[];
}

/** No rows yet. */
export function openRowRanges(): RowRanges {
  const files = new Map<string, { first: number; last: number }[]>();
  let count = 0;
  let isCut = false;
  return {
    add: (where) => {
      const [, file = where, row] = /^(.*?:)(?: row )?(\d+)$/s.exec(where) ?? [];
      const ranges = files.get(file) ?? [];
      const last = ranges.at(-1);
      if (row !== undefined && last?.last === Number(row) - 1) last.last++;
      else if (count === rangesKept) isCut = true;
      else {
        count++;
        if (row !== undefined) ranges.push({ first: Number(row), last: Number(row) });
        files.set(file, ranges);
      }
    },
    list: () => {
      const texts = [...files].map(([file, ranges]) => {
        return file + ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
      });
      return isCut ? [...texts, '…'] : texts;
    },
  };
}
