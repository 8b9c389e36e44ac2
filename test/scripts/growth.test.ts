/** The growth benchmark: its arithmetic, and its plot. */
import { expect, it } from 'vitest';
import { growthPlot } from '../../scripts/bench/growth-plot.ts';
import { operationsPerToken } from '../../scripts/bench/operations.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';

it('counts six operations a weight of a matrix product, and attention', () => {
  const dimensions = gpt2Style({ vocab: 10, dModel: 4, layers: 2, heads: 1, context: 8 });
  // Two layers of 4·4·12 + 4·4 + 4·16 + 16·4 weights, a head of 4·10; 12 operations · 2 layers · 4 · 8 positions.
  expect(operationsPerToken(dimensions, 8)).toBe(6 * (2 * (48 + 16 + 64 + 64) + 40) + 12 * 2 * 4 * 8);
});

it('draws a panel for each sweep, with every point in it', () => {
  const point = (sweep: string, at: number, tokensPerSecond: number) => ({ sweep, at, tokensPerSecond, share: 0.5 });
  const svg = growthPlot([point('rows', 1, 10), point('rows', 4, 100), point('length', 64, 1000)], 'a & b');
  expect(svg.match(/<circle/g)).toHaveLength(3);
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain('a &amp; b');
  // 10 of 10…1000 lies on the lowest line, 100 in the middle.
  expect(svg).toContain('<polyline points="72,210 284,130"');
  expect(svg).toContain('>50 %<');
});
