/** Losses of learning from preferences directly, against PyTorch (scripts/fixtures/preferences.py) and published worked numbers. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Likelihood, PreferenceLossKind } from '../../src/objectives/preference-losses.ts';
import { preferenceLoss, preferenceLosses, usualBeta } from '../../src/objectives/preference-losses.ts';
import type { Tensor, Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, take, upload } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

type Side = 'chosen' | 'rejected';
interface Case extends Readonly<Record<'loss' | `${Side}Gradient`, FixtureTensor>> {
  readonly kind: PreferenceLossKind;
  readonly beta: number;
  readonly labelSmoothing?: number;
  readonly targetMargin?: number;
  readonly sft?: number;
}
interface Pairs
  extends Readonly<
    Record<Side | 'referenceChosen' | 'referenceRejected' | 'tokensChosen' | 'tokensRejected', FixtureTensor>
  > {
  readonly cases: readonly Case[];
}
const { random, worked } = fixture<{ random: Pairs; worked: Pairs }>('preferences.json');
const off = { labelSmoothing: 0, targetMargin: 0, sft: 0, referenceFree: false };

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(random.cases)('$kind: β $beta, ε $labelSmoothing, γ/β $targetMargin, sft $sft', (from) => {
    const { loss, chosenGradient, rejectedGradient, ...options } = from;
    const [chosen, rejected, referenceChosen, referenceRejected, tokensChosen, tokensRejected] = [
      ...[random.chosen, random.rejected, random.referenceChosen, random.referenceRejected],
      ...[random.tokensChosen, random.tokensRejected],
    ].map((each) => upload<Tensor1D>(each)) as [Tensor1D, Tensor1D, Tensor1D, Tensor1D, Tensor1D, Tensor1D];
    const lossOf = (a: Tensor, b: Tensor): Tensor => {
      const better: Likelihood = { logProb: a as Tensor1D, reference: referenceChosen, tokens: tokensChosen };
      const worse: Likelihood = { logProb: b as Tensor1D, reference: referenceRejected, tokens: tokensRejected };
      return preferenceLoss({ ...off, ...options }, better, worse).loss;
    };
    expect(take(lossOf(chosen, rejected))).toBeAllclose(loss.data, tolerance.forward);
    const gradients = tf.grads((a: Tensor, b: Tensor) => tf.sum(lossOf(a, b)))([chosen, rejected]);
    expect(take(gradients[0]!)).toBeAllclose(chosenGradient.data, tolerance.gradient);
    expect(take(gradients[1]!)).toBeAllclose(rejectedGradient.data, tolerance.gradient);
    tf.dispose([chosen, rejected, referenceChosen, referenceRejected, tokensChosen, tokensRejected]);
  });

  it('a response of probability 1 has finite odds', () => {
    const sure: Likelihood = { logProb: tf.tensor1d([0]), reference: tf.tensor1d([0]), tokens: tf.tensor1d([1]) };
    const other: Likelihood = { ...sure, logProb: tf.tensor1d([-1]) };
    const options = { ...off, kind: 'orpo', beta: 0.1, sft: 1 } as const;
    const gradient = tf.grad((x: Tensor) =>
      tf.sum(preferenceLoss(options, { ...sure, logProb: x as Tensor1D }, other).loss),
    )(sure.logProb);
    expect(Number.isFinite(take(gradient)[0])).toBe(true);
    tf.dispose([...Object.values(sure), other.logProb]);
  });
});

it('the fixture has the worked numbers of the papers’ formulas for a = 1.2, b = −0.8', () => {
  const shown = worked.cases.map(({ kind, beta, loss }) => [kind, beta, loss.data[0]]);
  expect(shown).toMatchObject([
    ['sigmoid', 0.1, expect.closeTo(0.598139, 6)],
    ['sigmoid', 0.5, expect.closeTo(0.313262, 6)],
    ['sigmoid', 0.1, expect.closeTo(0.618139, 6)],
    ['sigmoid', 0.1, expect.closeTo(0.598139 + 0.75, 6)],
    ['robust', 0.1, expect.closeTo(0.573139, 6)],
    ['hinge', 0.1, expect.closeTo(0.8, 6)],
    ['ipo-sum', 0.1, expect.closeTo(9, 6)],
    ['ipo-mean', 0.1, expect.closeTo(20.6116, 4)],
    ['sigmoid-mean', 5, expect.closeTo(0.095545, 6)],
    ['sigmoid-mean', 5, expect.any(Number)],
    ['simpo', 2, expect.closeTo(0.644397, 6)],
    ['simpo', 10, expect.closeTo(Math.LN2, 6)],
    ['orpo', 0.1, expect.closeTo(1.552443, 6)],
  ]);
});

it('every loss is in the fixture, and has a usual β', () => {
  expect(new Set(random.cases.map(({ kind }) => kind))).toEqual(new Set(preferenceLosses));
  expect(Object.keys(usualBeta)).toEqual([...preferenceLosses]);
});
