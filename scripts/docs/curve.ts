/** The curve of a chain's PPO stage as an SVG: what is trained on, and what is only measured. */
import type { RecordedChain } from './figures.ts';
import { provenance } from './figures.ts';

const PANEL = { width: 300, height: 190, left: 46, top: 30, right: 16, bottom: 36 };

/**
 * Two panels over the rollouts: the reward-model score, which PPO raises, and gold, which it never sees.
 * @returns the text of an SVG file
 */
export function ppoCurve({ curve, measured }: Pick<RecordedChain, 'curve' | 'measured'>): string {
  const points = (name: 'reward' | 'gold') => curve.map((at) => ({ x: at.step, y: at[name] }));
  const [width, height] = [2 * PANEL.width, PANEL.height + 18];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    panel('reward-model score (trained on)', points('reward'), { from: -0.5, to: 2, step: 0.5 }, '#1f6feb'),
    `<g transform="translate(${PANEL.width} 0)">${panel('gold score (hidden)', points('gold'), { from: 0.5, to: 1, step: 0.1 }, '#b35900')}</g>`,
    `<text x="${width / 2}" y="${height - 6}" text-anchor="middle" fill="#666" font-size="10">${provenance(measured).replaceAll('`', '')}</text>`,
    '</svg>\n',
  ].join('\n');
}

/** One panel; the axis widens in whole steps where the points leave it. */
function panel(
  title: string,
  points: readonly { readonly x: number; readonly y: number }[],
  axis: { readonly from: number; readonly to: number; readonly step: number },
  colour: string,
): string {
  const { width, height, left, top, right, bottom } = PANEL;
  const values = points.map(({ y }) => y);
  const from = Math.min(axis.from, Math.floor(Math.min(...values) / axis.step) * axis.step);
  const to = Math.max(axis.to, Math.ceil(Math.max(...values) / axis.step) * axis.step);
  const last = Math.max(...points.map(({ x }) => x));
  const round = (value: number): number => Math.round(10 * value) / 10;
  const across = (x: number): number => round(left + (x / last) * (width - left - right));
  const up = (y: number): number => round(height - bottom - ((y - from) / (to - from)) * (height - top - bottom));
  const ticks = Array.from({ length: Math.round((to - from) / axis.step) + 1 }, (_, i) => from + i * axis.step);
  const grid = ticks.map((y) => {
    const line = `<line x1="${left}" x2="${width - right}" y1="${up(y)}" y2="${up(y)}" stroke="#ddd"/>`;
    return `${line}<text x="${left - 6}" y="${up(y) + 4}" text-anchor="end">${round(y)}</text>`;
  });
  const marks = points.map(({ x, y }) => {
    const tick = `<text x="${across(x)}" y="${height - bottom + 15}" text-anchor="middle">${x}</text>`;
    return `<circle cx="${across(x)}" cy="${up(y)}" r="3" fill="${colour}"/>${tick}`;
  });
  const path = points.map(({ x, y }) => `${across(x)},${up(y)}`).join(' ');
  return [
    `<text x="${left}" y="18" font-size="12">${title}</text>`,
    ...grid,
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...marks,
    `<text x="${(left + width - right) / 2}" y="${height - bottom + 30}" text-anchor="middle">rollouts</text>`,
  ].join('');
}
