/** The sweeps of growth.ts as an SVG: one panel each, both axes logarithmic, the share of the peak at every point. */
import { formatNumber } from '../../src/report/table.ts';

/** What a panel shows of a point. */
export interface PlotPoint {
  readonly sweep: string;
  readonly at: number;
  readonly tokensPerSecond: number;
  readonly share: number;
}

const PANEL = { width: 320, height: 260, left: 60, top: 50, right: 24, bottom: 50 };

/**
 * Panels side by side, in the order of their first points.
 * @returns the text of an SVG file
 */
export function growthPlot(points: readonly PlotPoint[], subtitle: string): string {
  const sweeps = [...new Set(points.map(({ sweep }) => sweep))];
  // One scale of speed for all panels, in whole decades.
  const speeds = points.map(({ tokensPerSecond }) => tokensPerSecond);
  const decades = { from: Math.floor(Math.log10(Math.min(...speeds))), to: Math.ceil(Math.log10(Math.max(...speeds))) };
  const panels = sweeps.map((sweep, i) => {
    const own = points.filter((point) => point.sweep === sweep);
    return `<g transform="translate(${i * PANEL.width} 40)">${panel(sweep, own, decades)}</g>`;
  });
  const [width, height] = [sweeps.length * PANEL.width, PANEL.height + 50];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="12" y="22" font-size="14">Training step: tokens/s, and percent of the matrix-product peak</text>`,
    `<text x="12" y="40" fill="#666">${escapeXml(subtitle)}</text>`,
    ...panels,
    '</svg>\n',
  ].join('\n');
}

function panel(sweep: string, points: readonly PlotPoint[], decades: { from: number; to: number }): string {
  const { width, height, left, top, right, bottom } = PANEL;
  const places = points.map(({ at }) => Math.log(at));
  const [first, last] = [Math.min(...places), Math.max(...places)];
  const x = (at: number): number =>
    round(left + 12 + ((Math.log(at) - first) / (last - first || 1)) * (width - left - right - 24));
  const y = (speed: number): number => {
    const share = (Math.log10(speed) - decades.from) / (decades.to - decades.from || 1);
    return round(height - bottom - share * (height - top - bottom));
  };
  const grid = Array.from({ length: decades.to - decades.from + 1 }, (_, i) => 10 ** (decades.from + i)).map(
    (speed) => {
      const line = `<line x1="${left}" x2="${width - right}" y1="${y(speed)}" y2="${y(speed)}" stroke="#ddd"/>`;
      const label = `<text x="${left - 6}" y="${y(speed) + 4}" text-anchor="end">${formatNumber(speed)}</text>`;
      return line + label;
    },
  );
  const path = points.map(({ at, tokensPerSecond }) => `${x(at)},${y(tokensPerSecond)}`).join(' ');
  const marks = points.map(({ at, tokensPerSecond, share }) => {
    const place = `cx="${x(at)}" cy="${y(tokensPerSecond)}"`;
    const percent = `<text x="${x(at)}" y="${y(tokensPerSecond) - 8}" text-anchor="middle">${Math.round(100 * share)} %</text>`;
    const tick = `<text x="${x(at)}" y="${height - bottom + 16}" text-anchor="middle">${compact(at)}</text>`;
    return `<circle ${place} r="3.5" fill="#1f6feb"/>${percent}${tick}`;
  });
  const name = `<text x="${(left + width - right) / 2}" y="${height - bottom + 36}" text-anchor="middle">${escapeXml(sweep)}</text>`;
  return [...grid, `<polyline points="${path}" fill="none" stroke="#1f6feb" stroke-width="2"/>`, ...marks, name].join(
    '',
  );
}

/** 12318720 -> "12M" */
function compact(value: number): string {
  return value.toLocaleString('en-US', { notation: 'compact', maximumSignificantDigits: 3 });
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
