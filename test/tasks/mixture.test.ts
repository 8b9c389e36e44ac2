import { describe, expect, it, onTestFinished } from 'vitest';
import { seededRandom } from '../../src/random.ts';
import {
  drawMixture,
  type MixtureItem,
  type MixtureOptions,
  type MixturePart,
  planMixture,
} from '../../src/tasks/mixture.ts';
import type { Task } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { sampleFolder } from './sample-task.ts';

/** Copies of a real task with other names and numbers of training rows. */
function tasksOf(...sizes: number[]): Task[] {
  const folder = sampleFolder();
  onTestFinished(() => folder.remove());
  const [task] = loadTasks(folder.tables, folder.templates);
  return sizes.map((size, i) => ({
    ...task!,
    name: `task${i}`,
    rows: Array.from({ length: size }, (_, r) => ({ ...task!.rows[0]!, id: `${i}-${r}` })),
  }));
}

type Proportional = MixtureOptions & { rule: 'proportional' };

const plain: MixturePart = { share: 1, kinds: ['direct', 'inverted'], shots: [0] };
const optionsOf = (changes: Partial<Proportional> = {}): Proportional => ({
  examples: 120,
  rule: 'proportional',
  cap: 20,
  temperature: 1,
  maximumRate: null,
  rowCap: null,
  templateChoice: 'round_robin',
  parts: { plain },
  ...changes,
});

function draw(tasks: readonly Task[], changes: Partial<Proportional> = {}, seed = 1): MixtureItem[] {
  const options = optionsOf(changes);
  return drawMixture(planMixture(tasks, options), options.templateChoice, seededRandom(seed));
}

const count = <T>(items: readonly T[], of: (item: T) => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const item of items) counts[of(item)] = (counts[of(item)] ?? 0) + 1;
  return counts;
};

describe('a mixture', () => {
  it('draws each task at its rate', () => {
    const items = draw(tasksOf(10, 20, 200));
    // Rates 10/50, 20/50 and 20/50 of 120.
    expect(count(items, ({ task }) => task.name)).toEqual({ task0: 24, task1: 48, task2: 48 });
  });

  it('passes through all rows of a task before any comes again', () => {
    const items = draw(tasksOf(50), { examples: 100 });
    expect(Object.values(count(items, ({ row }) => row.id))).toEqual(Array(50).fill(2));
  });

  it('uses the first rows of a dataset only, where it has a row cap', () => {
    const ids = new Set(draw(tasksOf(50), { rowCap: 3 }).map(({ row }) => row.id));
    expect([...ids].sort()).toEqual(['0-0', '0-1', '0-2']);
    // The cap comes before the rates: 3 and 3 rows instead of 3 and 50.
    expect(planMixture(tasksOf(3, 50), optionsOf({ rowCap: 3 })).map(({ rate }) => rate)).toEqual([0.5, 0.5]);
  });

  it('uses training templates only, each equally often in turn', () => {
    expect(count(draw(tasksOf(30), { examples: 60 }), ({ template }) => template.id)).toEqual({ plain: 30, who: 30 });
  });

  it('draws templates at random within sampling error of equal shares', () => {
    const items = draw(tasksOf(30), { examples: 4000, templateChoice: 'random' });
    // Binomial with p = 1/2: standard deviation sqrt(4000 / 4) = 31.6; four of them are exceeded once in 16,000 seeds.
    const { plain: drawn = 0 } = count(items, ({ template }) => template.id);
    expect(Math.abs(drawn - 2000)).toBeLessThan(4 * 31.6);
    expect(drawn).not.toBe(2000);
  });

  it('repeats itself from the same seed, and not from another', () => {
    const ids = (seed: number) => draw(tasksOf(10, 20, 200), {}, seed).map(({ row }) => row.id);
    expect(ids(4)).toEqual(ids(4));
    expect(ids(4)).not.toEqual(ids(5));
  });
});

describe('parts of a mixture', () => {
  const parts = {
    plain: { ...plain, share: 3 },
    few: { share: 1, kinds: ['direct'], shots: [1, 3], tasks: ['task1'] },
  } satisfies Record<string, MixturePart>;

  it('have their shares, and tasks their rates within them', () => {
    const items = draw(tasksOf(10, 20), { parts });
    // 90 of 120 for the plain part, a third and two thirds of it; 30 for the other, all of one task.
    const expected = { 'plain task0': 30, 'plain task1': 60, 'few task1': 30 };
    expect(count(items, ({ part, task }) => `${part} ${task.name}`)).toEqual(expected);
    const rates = planMixture(tasksOf(10, 20), optionsOf({ parts })).map(({ rate }) => rate);
    for (const [i, rate] of [0.25, 0.5, 0.25].entries()) expect(rates[i]).toBeCloseTo(rate, 12);
  });

  it('use templates of their kinds only', () => {
    const few = draw(tasksOf(10, 20), { parts }).filter(({ part }) => part === 'few');
    expect(count(few, ({ template }) => template.id)).toEqual({ plain: 30 });
  });

  it('show as many solved examples as they say, all different, never the question itself', () => {
    const few = draw(tasksOf(10, 20), { parts, examples: 8000 }).filter(({ part }) => part === 'few');
    for (const { row, task, shots } of few) {
      expect(new Set([row, ...shots]).size).toBe(shots.length + 1);
      expect(shots.every((shot) => task.rows.includes(shot) && shot.split === 'train')).toBe(true);
    }
    const numbers = count(few, ({ shots }) => String(shots.length));
    expect(Object.keys(numbers)).toEqual(['1', '3']);
    // 2,000 draws of one of two numbers: standard deviation sqrt(2000 / 4) = 22.4.
    expect(Math.abs((numbers['1'] ?? 0) - 1000)).toBeLessThan(4 * 22.4);
  });

  it('show every other row where a task has fewer rows than solved examples', () => {
    const [item] = draw(tasksOf(3), { parts: { few: { share: 1, kinds: ['direct'], shots: [5] } }, examples: 1 });
    expect(item!.shots).toHaveLength(2);
  });
});

describe('what cannot be mixed', () => {
  it('is named all at once: tasks without rows, parts without tasks, weights of unknown tasks', () => {
    const parts = {
      thought: { share: 1, kinds: ['chain_of_thought'], shots: [0] },
      some: { ...plain, tasks: ['task0', 'task9'] },
    } satisfies Record<string, MixturePart>;
    const act = () => planMixture(tasksOf(2, 0), { ...optionsOf({ parts }), rule: 'weights', weights: { taks0: 1 } });
    expect(act).toThrow(
      /trade\.jsonl: no rows of split "train"; expected at least one\. Add rows or leave the task out\.\n/,
    );
    expect(act).toThrow('mixture.weights: "taks0" is not a task that is trained. Did you mean task0?\n');
    expect(act).toThrow(
      'mixture.parts.thought: no task is in it; expected tasks that are trained and have training templates of kind ' +
        'chain_of_thought. Change kinds or tasks, or leave the part out.\n',
    );
    expect(act).toThrow('mixture.parts.some: task9 cannot be in it; expected tasks that are trained');
  });

  it('is named with its part where the rates of several parts are wrong', () => {
    const parts = { one: plain, two: { ...plain, tasks: ['task0'] } };
    expect(() => planMixture(tasksOf(2, 2), optionsOf({ parts, maximumRate: 0.4 }))).toThrow(
      'mixture.parts.one: maximumRate: 2 tasks of at most 0.4 do not add up to 1; expected at least 0.500. Raise it.\n' +
        'mixture.parts.two: maximumRate: 1 tasks of at most 0.4 do not add up to 1; expected at least 1.000. Raise it.',
    );
  });
});
