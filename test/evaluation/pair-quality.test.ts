import { beforeAll, describe, expect, it } from 'vitest';
import { calibration } from '../../src/evaluation/calibration.ts';
import { rewardQuality, scoreSequences } from '../../src/evaluation/pair-quality.ts';
import type { PreferencePair } from '../../src/examples/preference.ts';
import { pairIds } from '../../src/examples/preference.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { tolerance } from '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel } from '../model/tiny-model.ts';
import { expectNeutral } from '../tensor/neutral.ts';

/** A pair with responses of given lengths and gold scores. */
function row(seed: number, lengths: [number, number], gold: [number, number] | [null, null]): PreferencePair {
  const prompt = tinyIds(3, seed);
  const ids = (length: number, shift: number): Int32Array => Int32Array.of(...prompt, ...tinyIds(length, seed + shift));
  return {
    ...{ prompt: '', chosen: '', rejected: '', margin: 0, group: null, flipped: gold[0] !== null && gold[0] < gold[1] },
    ...{ chosen_ids: ids(lengths[0], 100), rejected_ids: ids(lengths[1], 200), prompt_length: 3 },
    ...{ gold_chosen: gold[0], gold_rejected: gold[1] },
  };
}

const measured = (model: Model, rows: readonly PreferencePair[]) =>
  rewardQuality(model, rows, { scale: 1, centring: 0, marginOf: () => 0, padId: 0 })!;

describe.each(lanesToTest())('measurePairs on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('judges labels, and gold where the label is turned, and the shorter of the better ones apart', () => {
    const model = tinyModel('llama', 'score');
    // More pairs than one batch of sequences holds, labels right and turned, lengths both ways.
    const rows = Array.from({ length: 40 }, (_, i) => row(i, i % 2 ? [2, 5] : [5, 2], i % 3 ? [0.9, 0.1] : [0.1, 0.9]));
    const alone = (side: 'chosen' | 'rejected'): number[] =>
      rows.map((each) => scoreSequences(model, [pairIds(each)[side]], 0)[0]!);
    const [chosen, rejected] = [alone('chosen'), alone('rejected')];
    const found = measured(model, rows);
    expect(found.scores.map((score) => score.chosen)).toBeAllclose(chosen, tolerance.forward);
    expect(found.scores.map((score) => score.rejected)).toBeAllclose(rejected, tolerance.forward);
    const share = (indices: number[], right: (i: number) => boolean): number =>
      indices.filter(right).length / indices.length;
    const all = rows.map((_, i) => i);
    const byLabel = (i: number): boolean => chosen[i]! > rejected[i]!;
    const byGold = (i: number): boolean => byLabel(i) === i % 3 > 0;
    // The better response is the shorter one where label and lengths agree.
    const shorter = all.filter((i) => (i % 2 === 1) === i % 3 > 0);
    expect([found.labelAccuracy, found.accuracy, found.shorterAccuracy]).toEqual([
      share(all, byLabel),
      share(all, byGold),
      share(shorter, byGold),
    ]);
    expect(found.calibrationError).toBe(calibration(found.scores).error);
    expect(found.bins).toEqual(calibration(found.scores).bins);
    disposeModel(model);
  });

  it('counts a pair without gold by its label, one with equal gold not at all, and groups apart', () => {
    const model = tinyModel('llama', 'score');
    const golds = [[1, 0], [0, 1], [0.5, 0.5], [null, null]] as [number, number][]; // biome-ignore format: rows
    const rows = golds.map((gold, i) => ({ ...row(i, [4, 3], gold), group: i % 2 === 0 ? 'tea' : 'rain' }));
    const found = measured(model, rows);
    const chosenWins = found.scores.map(({ chosen, rejected }) => Number(chosen > rejected));
    const right = [chosenWins[0]!, 1 - chosenWins[1]!, chosenWins[3]!];
    expect(found.accuracy).toBeCloseTo((right[0]! + right[1]! + right[2]!) / 3, 12);
    expect(found.groups).toEqual([
      { group: 'rain', pairs: 2, accuracy: (right[1]! + right[2]!) / 2 },
      { group: 'tea', pairs: 1, accuracy: right[0]! },
    ]);
    disposeModel(model);
  });

  it('gives no number for shorter responses where there are none', () => {
    const model = tinyModel('llama', 'score');
    expect(measured(model, [row(1, [5, 2], [1, 0])]).shorterAccuracy).toBeNull();
    disposeModel(model);
  });

  it('leaves no tensors behind', () => {
    const model = tinyModel('llama', 'score');
    expectNeutral(() => {
      measured(model, [row(1, [5, 2], [1, 0])]);
    });
    disposeModel(model);
  });
});
