/** Texts that grow side by side in columns, line by line: what is printed is never taken back. */

/** Columns that are being written. */
export interface Columns {
  /** Adds text to a column. */
  push(column: number, text: string): void;
  /** Says that nothing more comes for a column. */
  end(column: number): void;
}

const GAP = ' │ ';

/**
 * Opens columns of equal width. A row is printed as soon as every column has a whole line for it or has ended.
 * @param width characters of a whole row
 * @param write prints text; every call is one line with its end
 */
export function openColumns(titles: readonly string[], width: number, write: (line: string) => void): Columns {
  const count = titles.length;
  const each = Math.max(8, Math.floor((width - GAP.length * (count - 1)) / count));
  const columns = titles.map(() => ({ ready: [] as string[], rest: '', ended: false }));
  const row = (cells: readonly string[]): void => {
    write(
      `${cells
        .map((cell, i) => (i + 1 < count ? pad(cell, each) : cell))
        .join(GAP)
        .trimEnd()}\n`,
    );
  };
  const flush = (): void => {
    while (
      columns.every(({ ready, ended }) => ready.length > 0 || ended) &&
      columns.some(({ ready }) => ready.length > 0)
    ) {
      row(columns.map(({ ready }) => ready.shift() ?? ''));
    }
  };
  row(titles.map((title) => shortenLeft(title, each)));
  row(titles.map(() => '─'.repeat(each)));
  return {
    push: (index, text) => {
      const column = columns[index];
      if (column === undefined) return;
      const { lines, rest } = wholeLines(column.rest + text, each);
      column.ready.push(...lines);
      column.rest = rest;
      flush();
    },
    end: (index) => {
      const column = columns[index];
      if (column === undefined || column.ended) return;
      if (column.rest !== '') column.ready.push(column.rest);
      column.rest = '';
      column.ended = true;
      flush();
    },
  };
}

/**
 * Lines of a text that are certain whatever comes after, broken between words, and what is left over.
 *
 * "a long word" at width 6  ->  lines ["a long"], rest "word"
 */
export function wholeLines(text: string, width: number): { lines: string[]; rest: string } {
  const lines: string[] = [];
  const paragraphs = text.split('\n');
  let rest = '';
  paragraphs.forEach((paragraph, index) => {
    rest = paragraph;
    for (let cut = lineEnd(rest, width); cut < rest.length; cut = lineEnd(rest, width)) {
      lines.push(rest.slice(0, cut).trimEnd());
      rest = rest.slice(cut).trimStart();
    }
    if (index + 1 < paragraphs.length) lines.push(rest);
  });
  return { lines, rest };
}

/** Where the first line ends: after the last word that fits, or within a word that is too long for any line. */
function lineEnd(text: string, width: number): number {
  let used = 0;
  let lastBreak = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    used += segmentWidth(segment);
    if (used > width) {
      if (segment === ' ') return index;
      return lastBreak > 0 ? lastBreak : Math.max(index, segment.length);
    }
    if (segment === ' ') lastBreak = index + 1;
  }
  return text.length;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
/** East Asian wide and full-width characters, and emoji: two cells on a terminal. */
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]/u;

function segmentWidth(segment: string): number {
  return wide.test(segment) ? 2 : 1;
}

/** Cells a text takes on a terminal. */
export function displayWidth(text: string): number {
  let total = 0;
  for (const { segment } of graphemes.segment(text)) total += segmentWidth(segment);
  return total;
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

/** The end of a path is more informative than its beginning. */
function shortenLeft(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`;
}
