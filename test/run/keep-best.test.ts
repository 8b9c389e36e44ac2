/** Which step is kept: by measure, ties, what is missing, weights that did not change, and early stops. */
import { describe, expect, it } from 'vitest';
import { type BestState, isBetter, keepBest, replaces } from '../../src/run/keep-best.ts';

type Scores = { readonly loss: number | null; readonly accuracy: number | null };

const measures = {
  told: 'loss',
  measures: { loss: { name: 'loss', better: 'lower' }, accuracy: { name: 'accuracy', better: 'higher' } },
} as const;

interface Options {
  readonly by?: 'loss' | 'accuracy' | 'last';
  readonly patience?: number | null;
  /** The weights at each step; those of the step's number where left out. */
  readonly weights?: (step: number) => string;
  readonly resumed?: BestState<Scores>;
}

/** Feeds measurements of steps 0, 1, 2, … (or from `first`) and tells what was written. */
async function follow(values: readonly (number | null)[], options: Options = {}, first = 0, steps = values.length - 1) {
  const { by = 'loss', patience = null, weights = (step: number) => `weights ${step}`, resumed } = options;
  const written: number[] = [];
  let now = first;
  const model = { weights: () => weights(now), keep: (step: number) => void written.push(step) };
  const best = keepBest<Scores>('test', { ...measures, by, patience }, model, resumed);
  for (const value of values) {
    const measured = by === 'accuracy' ? { loss: null, accuracy: value } : { loss: value, accuracy: null };
    best.add(now, measured, now === steps);
    if (best.hasStopped()) break;
    now += 1;
  }
  return { written, best };
}

describe('the step that is kept', () => {
  it.each([
    ['is the one with the lowest loss', [9, 5, 3, 4], 'loss', [1, 2]],
    ['is the one with the highest accuracy', [0, 0.2, 0.6, 0.4], 'accuracy', [1, 2]],
    ['is the later of equals', [9, 3, 3, 4], 'loss', [1, 2]],
    ['is the last where accuracy is 0 throughout', [0, 0, 0, 0], 'accuracy', [1, 2, 3]],
    ['is never step 0, however good that is', [1, 5, 3, 4], 'loss', [1, 2]],
    ['is no step that was not measured', [9, 3, null, Number.NaN], 'loss', [1]],
    ['is the last where nothing was measured', [null, null, null], 'loss', [1, 2]],
    ['is the first that was measured, and not one before it', [9, null, 5, null], 'loss', [1, 2]],
    ['is the last one where that is asked for, and written once', [9, 3, 5, 8], 'last', [3]],
  ] as const)('%s', async (_, values, by, expected) => {
    const { written, best } = await follow(values, { by });
    expect(written).toEqual(expected);
    const { kept, summary } = best.finish(values.length - 1);
    expect(kept.step).toBe(expected.at(-1));
    expect(summary).toMatchObject({ bestStep: expected.at(-1), keptBy: by, stoppedEarly: null });
  });

  it('says so where it is no better than what the run began with, whatever chose it', async () => {
    const worse = (await follow([1, 5, 3])).best.finish(2);
    expect(worse.summary.beatsStart).toBe(false);
    expect(worse.lines).toEqual([
      'test  no better than before training: loss 1.0000 before the first step, 3.0000 at step 2, which is kept',
    ]);
    const same = (await follow([0, 0, 0], { by: 'accuracy' })).best.finish(2);
    expect(same.lines).toEqual([
      'test  no better than before training: accuracy 0.0000 before the first step, 0.0000 at step 2, which is kept',
    ]);
    expect((await follow([1, 5], { by: 'last' })).best.finish(1).summary.beatsStart).toBe(false);
    expect((await follow([5, 1])).best.finish(1)).toMatchObject({ summary: { beatsStart: true }, lines: [] });
    expect((await follow([null, 1])).best.finish(1)).toMatchObject({ summary: { beatsStart: null }, lines: [] });
  });

  it('has other weights than the run began with, or the run fails', async () => {
    const late = await follow([9, 1, 3], { weights: (step) => (step < 2 ? 'begun' : 'other') });
    expect(late.written).toEqual([2]);
    for (const by of ['loss', 'last'] as const) {
      const { written, best } = await follow([9, 1, 3], { by, weights: () => 'begun' });
      expect(written).toEqual([]);
      expect(() => best.finish(2)).toThrow(
        /^test: after 2 steps the trained weights are those the run began with; .*learning rate of 0 .*tuning\.freeze.*gradient_norm/,
      );
    }
  });
});

describe('an early stop', () => {
  it('comes after as many measurements without a better one, and is said', async () => {
    const { written, best } = await follow([9, 5, 3, 4, 3, 6, 1], { patience: 3 });
    // Step 4 is as good as step 2, and so kept, but no better.
    expect(written).toEqual([1, 2, 4]);
    const { kept, summary, lines } = best.finish(6);
    expect({ step: kept.step, stopped: summary.stoppedEarly }).toEqual({ step: 4, stopped: 5 });
    expect(lines).toEqual([
      'test  stopped early after step 5 of 6: 3 measurements without a better loss (evaluation.patience)',
    ]);
  });

  it('counts what was not measured, and does not count step 0', async () => {
    expect((await follow([1, 5, null, 4, null, null, 2], { patience: 2 })).best.state().last?.step).toBe(5);
    expect((await follow([1, 5, 4, 3], { patience: 1 })).best.hasStopped()).toBe(false);
    const { best } = await follow([1, 5, 6], { patience: 1 });
    expect(best.finish(3).lines[0]).toBe(
      'test  stopped early after step 2 of 3: 1 measurement without a better loss (evaluation.patience)',
    );
  });

  it('comes at the same step in a run that was resumed, and stays', async () => {
    const values = [9, 5, 6, 7, 4];
    const whole = await follow(values, { patience: 2 });
    const before = await follow(values.slice(0, 3), { patience: 2 }, 0, 4);
    const state = JSON.parse(JSON.stringify(before.best.state())) as BestState<Scores>;
    const after = await follow(values.slice(3), { patience: 2, resumed: state }, 3, 4);
    expect(after.best.state()).toEqual(whole.best.state());
    expect(after.best.finish(4)).toEqual(whole.best.finish(4));
    expect((await follow([], { patience: 2, resumed: after.best.state() })).best.hasStopped()).toBe(true);
  });
});

it('compares numbers, and nothing with what is missing', () => {
  expect(isBetter(1, 2, 'lower')).toBe(true);
  expect(isBetter(1, 2, 'higher')).toBe(false);
  expect(isBetter(2, 2, 'lower')).toBe(false);
  expect(isBetter(null, 2, 'lower')).toBe(false);
  expect(isBetter(2, null, 'lower')).toBe(true);
  expect(isBetter(2, Number.NaN, 'lower')).toBe(true);
  expect(replaces(2, 2, 'lower')).toBe(true);
  expect(replaces(null, null, 'higher')).toBe(true);
  expect(replaces(Number.NaN, 2, 'higher')).toBe(false);
});
