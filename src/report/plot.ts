/** Series as small plots of braille characters: a dot is half a character wide and a quarter high. */
import { formatNumber } from './table.ts';

/** What is drawn as one line. */
export interface Curve {
  readonly title: string;
  readonly points: readonly { readonly step: number; readonly value: number }[];
}

/** Characters of a plot with its axis, of which two and a gap stand in 80 columns, and lines of its field. */
const SIZE = { width: 37, height: 8 };
const GAP = '   ';

/** Bits of the dots of a braille character (Unicode U+2800), by column, from the top. */
const DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
];

/** Curves in pairs next to each other, each with a scale of its own; those without a point are left out. */
export function plotCurves(curves: readonly Curve[], size = SIZE): string[] {
  const plots = curves.filter(({ points }) => points.length > 0).map((curve) => plotCurve(curve, size));
  const lines: string[] = [];
  for (let first = 0; first < plots.length; first += 2) {
    const [left = [], right = []] = plots.slice(first, first + 2);
    if (first > 0) lines.push('');
    lines.push(...left.map((line, i) => (line.padEnd(size.width) + GAP + (right[i] ?? '')).trimEnd()));
  }
  return lines;
}

/** One curve: its title, the field with the highest and the lowest value beside it, and the first and the last step below. */
function plotCurve({ title, points }: Curve, { width, height }: typeof SIZE): string[] {
  const values = points.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  // By the line of the field that they stand beside; a value that never changes is drawn in the middle.
  const labels = new Map(
    low === high
      ? [[height >> 1, formatNumber(low)]]
      : [
          [0, formatNumber(high)],
          [height - 1, formatNumber(low)],
        ],
  );
  const margin = Math.max(...[...labels.values()].map((label) => label.length));
  const columns = width - margin - 2;
  const field = drawLine(points, [low, high], columns, height).map((row, i) => {
    const label = labels.get(i) ?? '';
    return `${label.padStart(margin)} ${label === '' ? '│' : '┤'}${row}`;
  });
  const [first, last] = [points[0]?.step, points.at(-1)?.step].map(String) as [string, string];
  const steps = first === last ? first : first + last.padStart(columns - first.length);
  return [title, ...field, ' '.repeat(margin + 2) + steps].map((line) => line.trimEnd());
}

/** The field: the points in their places, joined by straight lines. A line without height runs through the middle. */
function drawLine(points: Curve['points'], [low, high]: [number, number], columns: number, rows: number): string[] {
  const bits = Array.from({ length: rows }, () => new Uint8Array(columns));
  const [right, bottom] = [2 * columns - 1, 4 * rows - 1];
  const [start, end] = [points[0]?.step ?? 0, points.at(-1)?.step ?? 0];
  const places = points.map(({ step, value }) => ({
    x: start === end ? 0 : Math.round((right * (step - start)) / (end - start)),
    y: Math.round(low === high ? bottom / 2 : (bottom * (high - value)) / (high - low)),
  }));
  places.forEach(({ x, y }, i) => {
    const from = places[Math.max(0, i - 1)] ?? { x, y };
    const count = Math.max(1, Math.abs(x - from.x), Math.abs(y - from.y));
    for (let k = 0; k <= count; k++) {
      const dotX = Math.round(from.x + (k * (x - from.x)) / count);
      const dotY = Math.round(from.y + (k * (y - from.y)) / count);
      const [row, column] = [bits[dotY >> 2] as Uint8Array, dotX >> 1];
      row[column] = (row[column] as number) | ((DOTS[dotX & 1] as readonly number[])[dotY & 3] as number);
    }
  });
  return bits.map((row) => Array.from(row, (dots) => (dots === 0 ? ' ' : String.fromCharCode(0x2800 + dots))).join(''));
}
