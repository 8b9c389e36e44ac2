/** Shares that are held out: how many, what stays together, and tasks that need one. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/random.ts';
import { holdOutRows, holdOutShare } from '../../src/tasks/hold-out-share.ts';
import type { Task } from '../../src/tasks/task.ts';

const random = (seed = 1) => seededRandom(seed, 'test');
const different = (count: number): string[] => Array.from({ length: count }, (_, i) => `row ${i}`);

describe('a share', () => {
  it.each([
    [100, 0.05, 5],
    [16, 0.05, 1],
    [2, 0.05, 1],
    [2, 0.99, 1],
    [10, 0.25, 3],
  ])('of %d items, %d of them, is %d', (count, share, expected) => {
    const held = holdOutShare(different(count), share, random());
    expect(held.size).toBe(expected);
    expect([...held].every((index) => index >= 0 && index < count)).toBe(true);
  });

  it('is nothing where it is 0, and where nothing would be left', () => {
    expect(holdOutShare(different(10), 0, random()).size).toBe(0);
    expect(holdOutShare(['only'], 0.5, random()).size).toBe(0);
    expect(holdOutShare(['same', 'same', 'same'], 0.5, random()).size).toBe(0);
    expect(holdOutShare([], 0.5, random()).size).toBe(0);
  });

  it('is the same for the same seed, and another for another', () => {
    const of = (seed: number) => [...holdOutShare(different(200), 0.1, random(seed))].join();
    expect(of(1)).toBe(of(1));
    expect(of(1)).not.toBe(of(2));
  });

  it('keeps items of one key together, and never takes all', () => {
    for (let seed = 0; seed < 50; seed++) {
      const keys = Array.from({ length: 30 }, (_, i) => `prompt ${i % 7}`);
      const held = holdOutShare(keys, 0.2, random(seed));
      const sides = new Map<string, Set<boolean>>();
      for (const [index, key] of keys.entries()) sides.set(key, (sides.get(key) ?? new Set()).add(held.has(index)));
      expect([...sides.values()].every((side) => side.size === 1)).toBe(true);
      expect(held.size).toBeGreaterThan(0);
      expect(held.size).toBeLessThan(keys.length);
    }
    // Both groups are larger than the share: the smaller one it is.
    expect([...holdOutShare(['a', 'a', 'a', 'b', 'b'], 0.05, random())].sort()).toEqual([3, 4]);
  });
});

/** A task of rows, each "<split> <text>". */
function task(name: string, rows: readonly string[]): Task {
  return {
    name,
    templates: { columns: ['text', 'answer'], answer: { column: 'answer' } },
    rows: rows.map((row, i) => {
      const [split = '', text = '', answer = 'yes'] = row.split(' ');
      return { id: `${name}-${i}`, split, where: '', fields: { text, answer: answer === '-' ? '' : answer } };
    }),
  } as unknown as Task;
}

describe('rows held out of tasks', () => {
  const trains = (name: string, count: number) =>
    task(
      name,
      different(count).map((_, i) => `train text${i}`),
    );
  const splitsOf = ({ rows }: Task) => rows.map(({ split }) => split).sort();

  it('are those of tasks without validation rows, each apart', () => {
    const own = task('own', ['train a', 'validation b']);
    const { tasks, held, notes } = holdOutRows([own, trains('none', 20), trains('two', 2)], 0.1, () => random());
    expect(tasks[0]).toBe(own);
    expect(tasks.slice(1).map((each) => splitsOf(each).filter((split) => split === 'validation').length)).toEqual([
      2, 1,
    ]);
    expect([...held].map(([name, ids]) => [name, ids.length])).toEqual([
      ['none', 2],
      ['two', 1],
    ]);
    expect(notes).toEqual([
      'held out of training for validation, by run.seed, in tasks which have no validation rows: none 2, two 1 (evaluation.share)',
    ]);
    // A row that is held out keeps its fields: its answer is what is measured.
    const chosen = tasks[1]?.rows.find(({ split }) => split === 'validation');
    expect(held.get('none')).toContain(chosen?.id);
    expect(chosen?.fields.answer).toBe('yes');
  });

  it('never say what a trained row says', () => {
    const twins = task('twins', ['train a', 'train a', 'train b', 'train b', 'train c', 'train c']);
    const [divided] = holdOutRows([twins], 0.05, () => random()).tasks;
    const texts = (split: string) =>
      divided?.rows.filter((row) => row.split === split).map(({ fields }) => fields.text);
    expect(texts('validation')).toHaveLength(2);
    expect(texts('train')?.filter((text) => texts('validation')?.includes(text))).toEqual([]);
  });

  it('cannot be had of a single row, which is said', () => {
    const { tasks, held, notes } = holdOutRows([task('one', ['train a'])], 0.5, () => random());
    expect([held.size, splitsOf(tasks[0]!)]).toEqual([0, ['train']]);
    expect(notes).toEqual(['nothing is held out of one: fewer than two different training rows, and all are trained']);
  });

  it('are taken of prompts without answers only where nothing else can be measured', () => {
    const prompts = task('chat', ['train a', 'train b', 'validation c -']);
    expect(holdOutRows([prompts], 0.1, () => random()).held.size).toBe(1);
    expect(holdOutRows([prompts, task('own', ['train a', 'validation b'])], 0.1, () => random()).held.size).toBe(0);
    expect(holdOutRows([prompts], 0, () => random()).tasks[0]).toBe(prompts);
  });
});
