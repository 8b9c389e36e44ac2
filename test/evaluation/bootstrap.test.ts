import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootstrapInterval, type Stratum } from '../../src/evaluation/bootstrap.ts';
import { seededRandom } from '../../src/random.ts';

const options = { samples: 4000, level: 0.95, random: seededRandom(1) };

interface Fixture {
  level: number;
  strata: Stratum[];
  mean: number;
  low: number;
  high: number;
}

describe('bootstrapInterval', () => {
  it('equals numpy on three tasks of rows with one to three questions', () => {
    // scripts/fixtures/bootstrap.py: 400,000 resamples
    const fixture = JSON.parse(readFileSync('test/fixtures/bootstrap.json', 'utf8')) as Fixture;
    const found = bootstrapInterval(fixture.strata, { ...options, samples: 40_000, level: fixture.level });
    expect(found.mean).toBeCloseTo(fixture.mean, 12);
    expect(Math.abs(found.low - fixture.low)).toBeLessThan(0.003);
    expect(Math.abs(found.high - fixture.high)).toBeLessThan(0.003);
  });

  it('of two rows is one of the three means that they can give', () => {
    // 0, 1/2, 1 with probability 1/4, 1/2, 1/4
    const strata = [[[0], [1]]];
    expect(bootstrapInterval(strata, options)).toEqual({ mean: 0.5, low: 0, high: 1 });
    expect(bootstrapInterval(strata, { ...options, level: 0.4 })).toEqual({ mean: 0.5, low: 0.5, high: 0.5 });
  });

  it('goes straight from one resample to the next, as numpy.quantile does', () => {
    const draws = [0, 0, 1, 1];
    const random = { ...seededRandom(1), integer: () => draws.shift() ?? Number.NaN };
    expect(bootstrapInterval([[[0], [1]]], { samples: 2, level: 0.5, random })).toEqual({
      mean: 0.5,
      low: 0.25,
      high: 0.75,
    });
  });

  it('draws the questions of a row together: 0 or 3/4 or 1, and nothing between', () => {
    const strata = [[[0], [1, 1, 1]]];
    expect(bootstrapInterval(strata, { ...options, level: 0.4 })).toEqual({ mean: 0.75, low: 0.75, high: 0.75 });
    expect(bootstrapInterval(strata, options)).toEqual({ mean: 0.75, low: 0, high: 1 });
  });

  it('is as wide for a row asked four times as for a row asked once', () => {
    const once = [0, 1, 1, 0, 1, 0, 0, 1];
    const own = { ...options, random: seededRandom(3) };
    const again = { ...options, random: seededRandom(3) };
    const single = bootstrapInterval([once.map((value) => [value])], own);
    expect(bootstrapInterval([once.map((value) => [value, value, value, value])], again)).toEqual(single);
  });

  it('weighs tasks alike, whatever their size, and draws within each', () => {
    const strata = [[[0], [1]], Array.from({ length: 50 }, () => [1]), []];
    expect(bootstrapInterval(strata, options)).toEqual({ mean: 0.75, low: 0.5, high: 1 });
  });

  it('of paired differences is narrow where two models fail on the same rows', () => {
    const base = [0, 1, 0, 1, 1, 0, 0, 1, 0, 1];
    const other = base.map((score, i) => (i === 0 ? 1 : score));
    const paired = bootstrapInterval([base.map((score, i) => [(other[i] ?? 0) - score])], options);
    expect(paired.mean).toBeCloseTo(0.1, 12);
    // Binomial(10, 0.1): 35 % none, 0.16 % five or more; the 97.5 % point is three of ten.
    expect([paired.low, paired.high]).toEqual([0, 0.3]);
  });

  it('lies between the quantiles of all resamples, counted out', () => {
    const rows = fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 4,
    });
    const law = fc.property(fc.array(rows, { minLength: 1, maxLength: 2 }), fc.integer(), (strata, seed) => {
      const found = bootstrapInterval(strata, { samples: 2000, level: 0.8, random: seededRandom(seed) });
      const all = allMeans(strata);
      const at = (share: number): number => all[Math.floor(share * (all.length - 1))] ?? Number.NaN;
      const slack = 1e-9;
      expect(found.low).toBeGreaterThanOrEqual(at(0.06) - slack);
      expect(found.low).toBeLessThanOrEqual(at(0.14 + 1 / all.length) + slack);
      expect(found.high).toBeGreaterThanOrEqual(at(0.86 - 1 / all.length) - slack);
      expect(found.high).toBeLessThanOrEqual(at(0.94 + 1 / all.length) + slack);
    });
    fc.assert(law, { numRuns: 60, seed: 5 });
  });
});

/** The statistic of every resample that can be drawn, sorted; each is equally likely. */
function allMeans(strata: readonly Stratum[]): number[] {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = strata.map((groups) => {
    let drawn: number[][] = [[]];
    for (let i = 0; i < groups.length; i++) drawn = drawn.flatMap((own) => groups.map((group) => [...own, ...group]));
    return drawn.map(mean);
  });
  let sums: number[][] = [[]];
  for (const own of means) sums = sums.flatMap((sum) => own.map((value) => [...sum, value]));
  return sums.map(mean).sort((a, b) => a - b);
}
