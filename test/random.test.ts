/** The generator against its authors' C code, and the draws made from it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RandomState } from '../src/random.ts';
import { randomFromState, seededRandom } from '../src/random.ts';

/**
 * First outputs of xoshiro128starstar.c for the state 1, 2, 3, 4, compiled with gcc; the same ten are the test vector of
 * the Rust crate rand_xoshiro.
 */
const published = [
  11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804, 337829053,
  2142557243,
];

const words = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const states = fc.tuple(words, words, words, words) as fc.Arbitrary<RandomState>;
const draws = (random: { uniform(): number }, count: number): number[] =>
  Array.from({ length: count }, () => random.uniform());

describe('xoshiro128**', () => {
  it('gives the published outputs: two words make one float64 of 53 bits', () => {
    const random = randomFromState([1, 2, 3, 4]);
    for (let i = 0; i < published.length; i += 2) {
      const [high, low] = [published[i]!, published[i + 1]!];
      expect(random.uniform()).toBe((Math.floor(high / 32) * 2 ** 26 + Math.floor(low / 64)) / 2 ** 53);
    }
  });

  it('stands in the state of the C code after a thousand outputs', () => {
    const random = randomFromState([1, 2, 3, 4]);
    draws(random, 500);
    expect(random.state()).toEqual([2954884481, 294556968, 2598411021, 550772539]);
  });

  it('continues from a saved state exactly, also through JSON', () => {
    fc.assert(
      fc.property(states, fc.integer({ min: 0, max: 20 }), (state, skipped) => {
        const random = randomFromState(state);
        draws(random, skipped);
        const saved = JSON.parse(JSON.stringify(random.state())) as RandomState;
        expect(draws(randomFromState(saved), 8)).toEqual(draws(random, 8));
      }),
      { seed: 1, numRuns: 50 },
    );
  });
});

describe('seededRandom', () => {
  it('repeats itself, and differs by seed, by label, and for seeds beyond 32 bits', () => {
    const starts = [
      seededRandom(1),
      seededRandom(2),
      seededRandom(-1),
      seededRandom(1 + 2 ** 32),
      seededRandom(1, 'a'),
      seededRandom(1, 'b'),
      seededRandom(1, 'ab'),
    ].map((random) => draws(random, 3).join());
    expect(new Set(starts).size).toBe(starts.length);
    expect(draws(seededRandom(7, 'x'), 5)).toEqual(draws(seededRandom(7, 'x'), 5));
  });

  it('draws numbers of mean 1/2 and variance 1/12 in [0, 1)', () => {
    const values = draws(seededRandom(3), 20_000);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    // Four standard errors: √(1/12/n) and √(1/180/n).
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / values.length));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / values.length));
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it('draws normal numbers with the moments of N(0, 1)', () => {
    const random = seededRandom(4);
    const values = Array.from({ length: 20_000 }, () => random.normal());
    const moment = (power: number): number => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    // Standard errors of the first four moments: √(1, 2, 15, 96 / n).
    for (const [power, expected, variance] of [[1, 0, 1], [2, 1, 2], [3, 0, 15], [4, 3, 96]] as const) // biome-ignore format: table
      expect(Math.abs(moment(power) - expected)).toBeLessThan(4 * Math.sqrt(variance / values.length));
    expect(values.every(Number.isFinite)).toBe(true);
  });

  it('draws every integer below the limit equally often', () => {
    const random = seededRandom(5);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 14_000; i++) {
      const at = random.integer(7);
      counts[at] = counts[at]! + 1;
    }
    // χ² with 6 degrees of freedom exceeds 22.46 once in a thousand times.
    expect(counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(22.46);
  });

  it('picks items of the list, all of them in time', () => {
    const random = seededRandom(6);
    const picked = Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c']));
    expect([...new Set(picked)].sort()).toEqual(['a', 'b', 'c']);
  });
});

describe('shuffle', () => {
  it('keeps the items and leaves the list alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer(), (items, seed) => {
        const before = [...items];
        expect(seededRandom(seed).shuffle(items).sort()).toEqual([...items].sort());
        expect(items).toEqual(before);
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('gives all 24 orders of four items equally often', () => {
    const random = seededRandom(8);
    const counts = new Map<string, number>();
    for (let i = 0; i < 24_000; i++) {
      const order = random.shuffle([1, 2, 3, 4]).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    // χ² with 23 degrees of freedom exceeds 49.73 once in a thousand times.
    expect([...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(49.73);
  });
});

describe('fork', () => {
  it('advances its parent by one word, whatever the label and however much the child draws', () => {
    const [a, b] = [randomFromState([1, 2, 3, 4]), randomFromState([1, 2, 3, 4])];
    draws(a.fork('long label'), 100);
    b.fork('');
    expect(a.state()).toEqual(b.state());
    // The parent goes on with the words after the first.
    expect(a.uniform()).toBe((0 * 2 ** 26 + Math.floor(published[2]! / 64)) / 2 ** 53);
  });

  it('gives streams that differ by label and by the time of the fork, and correlate with nothing', () => {
    const parent = seededRandom(9);
    const state = parent.state();
    const children = [
      draws(parent.fork('a'), 2000),
      draws(randomFromState(state).fork('b'), 2000),
      draws(parent.fork('a'), 2000),
      draws(parent, 2000),
    ];
    for (const [i, x] of children.entries())
      for (const y of children.slice(i + 1)) {
        const correlation = 12 * x.reduce((sum, value, t) => sum + (value - 0.5) * (y[t]! - 0.5), 0);
        expect(Math.abs(correlation / 2000)).toBeLessThan(4 / Math.sqrt(2000));
      }
  });
});
