import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bradleyTerry } from '../../src/objectives/bradley-terry.ts';
import type { Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from '../tensor/gradient-check.ts';
import { expectNeutral } from '../tensor/neutral.ts';

/** The terms of lists of scores, as numbers. */
function terms(chosen: number[], rejected: number[], options: { margin?: number[]; centring?: number } = {}) {
  return tf.tidy(() => {
    const margin = tf.tensor1d(options.margin ?? chosen.map(() => 0));
    const { centring = 0 } = options;
    const found = bradleyTerry(tf.tensor1d(chosen), tf.tensor1d(rejected), { margin, centring });
    const [loss, accuracy, difference] = [found.loss, found.accuracy, found.margin].map((x) => x.dataSync()[0]!);
    return { loss: loss!, accuracy: accuracy!, margin: difference! };
  });
}

const score = fc.float({ min: -20, max: 20, noNaN: true });

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('is log 2 for equal scores, and log 4/3 where the chosen score is log 3 higher', () => {
    expect([terms([1], [1]).loss, terms([Math.log(3)], [0]).loss]).toBeAllclose([Math.log(2), Math.log(4 / 3)]);
  });

  it('counts pairs in the right order, and ties as wrong', () => {
    expect(terms([1, 2, 3, 4], [0, 2, 5, 1])).toMatchObject({ accuracy: 0.5, margin: 0.5 });
  });

  it('asks for the margin before it calls a pair even', () => {
    expect([terms([3], [1], { margin: [2] }).loss]).toBeAllclose([Math.log(2)]);
  });

  it('adds centring · mean((chosen + rejected)²)', () => {
    const plain = terms([1, 2], [0, -4]).loss;
    // ((1)² + (−2)²) / 2 = 2.5
    expect([terms([1, 2], [0, -4], { centring: 0.1 }).loss]).toBeAllclose([plain + 0.25]);
  });

  it('does not see a shift of all scores, and swapping a pair negates its margin', () => {
    fc.assert(
      fc.property(score, score, score, (a, b, shift) => {
        const plain = terms([a], [b]);
        expect([terms([a + shift], [b + shift]).loss]).toBeAllclose([plain.loss], { rtol: 1e-4, atol: 1e-5 });
        const swapped = terms([b], [a]);
        expect(swapped.margin + plain.margin).toBe(0);
        // −log σ(−d) = −log σ(d) + d
        expect([swapped.loss]).toBeAllclose([plain.loss + plain.margin], { rtol: 1e-4, atol: 1e-5 });
      }),
      { seed: 1, numRuns: 20 },
    );
  });

  it('stays finite for differences whose exponential is not', () => {
    expect([terms([-500], [500]).loss, terms([500], [-500]).loss]).toBeAllclose([1000, 0]);
  });

  it('has the gradient of its value, and leaves no tensors behind', () => {
    const margin = normalTensor<Tensor1D>([4], 3);
    const loss = (a: Tensor1D, b: Tensor1D) => bradleyTerry(a, b, { margin, centring: 0.1 }).loss;
    expectGradient([normalTensor([4], 1), normalTensor([4], 2)], (a, b) => loss(a as Tensor1D, b as Tensor1D));
    const pair = [normalTensor<Tensor1D>([4], 1), normalTensor<Tensor1D>([4], 2)];
    expectNeutral(() => tf.grads((a, b) => loss(a as Tensor1D, b as Tensor1D))(pair));
    tf.dispose([margin, ...pair]);
  });
});
