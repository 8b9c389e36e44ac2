/** PPO's losses by hand, at the policy that sampled, and where clipping stops the gradient. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { clippedPolicyLoss, clippedValueLoss } from '../../src/objectives/ppo.ts';
import type { Scalar, Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';

const numbers = (terms: Readonly<Record<string, Scalar>>): Record<string, number> =>
  Object.fromEntries(Object.entries(terms).map(([name, x]) => [name, x.dataSync()[0]!]));

const logs = (...ratios: number[]): number[] => ratios.map(Math.log);

/** Policy terms and the gradient of the loss; old log-probabilities are 0, so that `logProbs` are log ratios. */
function policy(logProbs: number[], advantages: number[], mask = logProbs.map(() => 1), clipRange = 0.2) {
  return tf.tidy(() => {
    const rollout = {
      oldLogProbs: tf.zeros([logProbs.length]) as Tensor1D,
      advantages: tf.tensor1d(advantages),
      responseMask: tf.tensor1d(mask),
    };
    const count = mask.reduce((sum, flag) => sum + flag, 0);
    const x = tf.tensor1d(logProbs);
    const terms = numbers({ ...clippedPolicyLoss(x, rollout, clipRange, count) });
    const gradient = tf.grad((y) => clippedPolicyLoss(y as Tensor1D, rollout, clipRange, count).loss)(x);
    return { ...terms, gradient: [...gradient.dataSync()] } as Record<
      'loss' | 'approxKl' | 'clipFraction' | 'ratio',
      number
    > & { gradient: number[] };
  });
}

function value(values: number[], old: number[], returns: number[], mask = values.map(() => 1), clipRange = 0.2) {
  return tf.tidy(() => {
    const rollout = { oldValues: tf.tensor1d(old), returns: tf.tensor1d(returns), responseMask: tf.tensor1d(mask) };
    const count = mask.reduce((sum, flag) => sum + flag, 0);
    const x = tf.tensor1d(values);
    const terms = numbers({ ...clippedValueLoss(x, rollout, clipRange, count) });
    const gradient = tf.grad((y) => clippedValueLoss(y as Tensor1D, rollout, clipRange, count).loss)(x);
    return { ...terms, gradient: [...gradient.dataSync()] } as Record<'loss' | 'clipFraction', number> & {
      gradient: number[];
    };
  });
}

const small = fc.double({ min: -1, max: 1, noNaN: true });

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  describe('the policy loss', () => {
    it('takes the larger of the plain and the clipped loss, by hand', () => {
      // Ratios 1.5 and 0.5 with advantages ±1: clipped at 1.2 and 0.8 only where that is the larger loss.
      const found = policy(logs(1.5, 1.5, 0.5, 0.5), [1, -1, 1, -1]);
      expect([found.loss]).toBeAllclose([(-1.2 + 1.5 - 0.5 + 0.8) / 4]);
      expect([found.clipFraction, found.ratio]).toBeAllclose([0.5, 1]);
      expect([found.approxKl]).toBeAllclose([(Math.log(1.5) ** 2 + Math.log(2) ** 2) / 4]);
      // No gradient where the clipped branch won; −A · ratio / count elsewhere.
      expect(found.gradient).toBeAllclose([0, 1.5 / 4, -0.5 / 4, 0]);
    });

    it('at the policy that sampled has ratio 1, KL 0, nothing clipped, and the policy gradient −A / n', () => {
      fc.assert(
        fc.property(fc.array(small, { minLength: 1, maxLength: 6 }), (advantages) => {
          const found = policy(
            advantages.map(() => 0),
            advantages,
          );
          expect(found).toMatchObject({ approxKl: 0, clipFraction: 0 });
          expect([found.ratio]).toBeAllclose([1]);
          expect(found.gradient).toBeAllclose(advantages.map((advantage) => -advantage / advantages.length));
        }),
        { seed: 1, numRuns: 15 },
      );
    });

    it('never looks at masked tokens, not even where their ratio overflows', () => {
      const plain = policy(logs(1.1), [2]);
      const found = policy([Math.log(1.1), 1000, -1000], [2, 5, -5], [1, 0, 0]);
      expect([found.loss, found.approxKl, found.ratio, found.clipFraction]).toBeAllclose([
        plain.loss,
        plain.approxKl,
        plain.ratio,
        plain.clipFraction,
      ]);
      expect(found.gradient).toBeAllclose([...plain.gradient, 0, 0]);
    });

    it('sums micro-batches to the minibatch when they share its count', () => {
      const part = (logProb: number, advantage: number): number =>
        tf.tidy(() => {
          const one = {
            oldLogProbs: tf.tensor1d([0]),
            advantages: tf.tensor1d([advantage]),
            responseMask: tf.ones([1]),
          };
          return clippedPolicyLoss(tf.tensor1d([logProb]), one as never, 0.2, 2).loss.dataSync()[0]!;
        });
      expect([part(0.1, 3) + part(-0.3, -2)]).toBeAllclose([policy([0.1, -0.3], [3, -2]).loss]);
    });
  });

  describe('the value loss', () => {
    it('takes the larger of the plain and the clipped square, by hand', () => {
      // Clipped to 0.2: towards the return that is the larger error (case 1), away from it the smaller (case 2).
      const found = value([1, -1, 0.1], [0, 0, 0], [1, 1, 1]);
      expect([found.loss]).toBeAllclose([(0.5 * (0.64 + 4 + 0.81)) / 3]);
      expect([found.clipFraction]).toBeAllclose([1 / 3]);
      expect(found.gradient).toBeAllclose([0, -2 / 3, -0.9 / 3]);
    });

    it('is half the mean squared error at the critic that valued the rollout', () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(small, small), { minLength: 1, maxLength: 6 }), (pairs) => {
          const [values, returns] = [pairs.map(([v]) => v), pairs.map(([, r]) => r)];
          const found = value(values, values, returns);
          const mean = pairs.reduce((sum, [v, r]) => sum + (v - r) ** 2, 0) / pairs.length;
          expect([found.loss, found.clipFraction]).toBeAllclose([mean / 2, 0]);
        }),
        { seed: 1, numRuns: 15 },
      );
    });

    it('never looks at masked tokens', () => {
      const found = value([1, 50], [0, 0], [2, -50], [1, 0]);
      expect(found).toEqual({ ...value([1], [0], [2]), gradient: [found.gradient[0], 0] });
    });
  });

  it('leave no tensors behind within a tidy', () => {
    expectNeutral(() => {
      policy([0.1, 0.2], [1, -1]);
      value([0.1], [0.2], [1]);
    });
  });
});
