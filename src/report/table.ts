/** Tables as aligned plain text. */

/** A cell: numbers are shown to sensible digits, null as a dash. */
export type Cell = string | number | boolean | null | undefined;

export type Align = 'left' | 'right';

/**
 * Lines of a table: headers, a rule, rows. Columns stand two spaces apart; by default a column is right-aligned where
 * all its cells are numbers or dashes.
 *
 * formatTable(['task', 'accuracy'], [['trade', 0.75]])  ->  ['task   accuracy', '-----  --------', 'trade      0.75']
 */
export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly Cell[])[],
  options: { align?: readonly Align[] } = {},
): string[] {
  const texts = rows.map((row) => headers.map((_, column) => formatCell(row[column])));
  const widths = headers.map((header, column) =>
    Math.max(width(header), ...texts.map((row) => width(row[column] ?? ''))),
  );
  const align = headers.map((_, column) => options.align?.[column] ?? defaultAlign(rows.map((row) => row[column])));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const space = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
        return align[column] === 'right' ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  return [line(headers), line(widths.map((count) => '-'.repeat(count))), ...texts.map(line)];
}

/**
 * A number to sensible digits: whole numbers with thousands separators, others to three or four significant digits,
 * very small and very large ones in scientific form.
 */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return value === 0 ? '0' : value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 1e12 || size < 1e-3) return value.toExponential(2);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

function formatCell(cell: Cell): string {
  if (cell === null || cell === undefined) return '–';
  return typeof cell === 'number' ? formatNumber(cell) : String(cell);
}

function defaultAlign(cells: readonly Cell[]): Align {
  const isNumeric = cells.every((cell) => cell === null || cell === undefined || typeof cell === 'number');
  return isNumeric && cells.length > 0 ? 'right' : 'left';
}

/** Characters, not UTF-16 units, so that a name beyond the basic plane does not shift its row. */
function width(text: string): number {
  return [...text].length;
}
