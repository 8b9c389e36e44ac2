import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { apportion, mixtureRates, sampleMixture } from '../../src/data/mixture.ts';
import { loadTasks, type Task } from '../../src/data/tasks.ts';
import { seededRandom } from '../../src/random.ts';
import { sampleFolder } from './sample-task.ts';

const counts = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 12 });

/** Copies of a real task with other names and numbers of training rows. */
function tasksOf(...sizes: number[]): Task[] {
  const folder = sampleFolder();
  onTestFinished(() => folder.remove());
  const [task] = loadTasks(folder.seed, folder.templates);
  return sizes.map((size, i) => ({
    ...task!,
    name: `task${i}`,
    rows: Array.from({ length: size }, (_, r) => ({ ...task!.rows[0]!, id: `${i}-${r}` })),
  }));
}

describe('mixtureRates', () => {
  it('are proportional to examples up to the cap', () => {
    // arXiv:1910.10683 section 3.5.2: r_m = min(e_m, K) / sum of min(e_n, K)
    expect(mixtureRates([10, 100, 1000], 100)).toEqual([10 / 210, 100 / 210, 100 / 210]);
  });

  it('add up to one', () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 4000 }), (sizes, cap) => {
        expect(Math.abs(mixtureRates(sizes, cap).reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-12);
      }),
      { seed: 1 },
    );
  });

  it('refuse counts and caps below one', () => {
    expect(() => mixtureRates([10, 0], 0.5)).toThrowErrorMatchingInlineSnapshot(`
      [DataError: mixture: count 1: expected a whole number of at least 1, received 0. Mend it.
      mixture: cap: expected a whole number of at least 1, received 0.5. Mend it.]
    `);
  });
});

it('apportion gives whole numbers within one of each share, adding up', () => {
  fc.assert(
    fc.property(counts, fc.nat(10_000), (sizes, total) => {
      const rates = mixtureRates(sizes, 3000);
      const whole = apportion(rates, total);
      expect(whole.reduce((a, b) => a + b, 0)).toBe(total);
      for (const [i, rate] of rates.entries()) expect(Math.abs(whole[i]! - rate * total)).toBeLessThan(1 + 1e-6);
    }),
    { seed: 2 },
  );
});

describe('sampleMixture', () => {
  const options = (seed: number) => ({
    cap: 20,
    examples: 120,
    random: seededRandom(seed),
    templateChoice: 'round_robin' as const,
  });

  it('draws each task at its rate', () => {
    const items = sampleMixture(tasksOf(10, 20, 200), options(1));
    const drawn = [0, 1, 2].map((i) => items.filter(({ task }) => task.name === `task${i}`).length);
    expect(drawn).toEqual([24, 48, 48]); // rates 10/50, 20/50, 20/50 of 120
  });

  it('passes through all rows of a task before any comes again', () => {
    const items = sampleMixture(tasksOf(50), { ...options(2), examples: 100 });
    const times = new Map<string, number>();
    for (const { row } of items) times.set(row.id, (times.get(row.id) ?? 0) + 1);
    expect([...times.values()]).toEqual(Array(50).fill(2));
  });

  it('uses training templates only, each equally often in turn', () => {
    const items = sampleMixture(tasksOf(30), { ...options(3), examples: 60 });
    const ids = items.map(({ template }) => template.id);
    expect([...new Set(ids)].sort()).toEqual(['plain', 'who']);
    expect(ids.filter((id) => id === 'plain').length).toBe(30);
    const drawn = sampleMixture(tasksOf(30), { ...options(3), examples: 60, templateChoice: 'random' });
    expect(new Set(drawn.map(({ template }) => template.id))).toEqual(new Set(['plain', 'who']));
  });

  it('repeats itself from the same seed, and not from another', () => {
    const ids = (seed: number) => sampleMixture(tasksOf(10, 20, 200), options(seed)).map(({ row }) => row.id);
    expect(ids(4)).toEqual(ids(4));
    expect(ids(4)).not.toEqual(ids(5));
  });

  it('says which task has no rows to train on', () => {
    expect(() => sampleMixture(tasksOf(3), { ...options(1), split: 'later' })).toThrow(
      /trade\.jsonl: no rows of split "later"; expected at least one\. Add rows or leave the task out\.$/,
    );
  });
});
