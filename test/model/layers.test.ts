/** Linear maps, norms and feed-forward layers: which weights they read, and that they use them as documented. */
import { beforeAll, describe, expect, it } from 'vitest';
import { scores, tokenLogits } from '../../src/model/heads.ts';
import { feedForward, linear, normalize } from '../../src/model/layers.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyDimensions } from './tiny-model.ts';

const { gpt2, llama } = tinyDimensions;
const rows = (values: number[][]): Tensor2D => tf.tensor2d(values);

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('a linear layer is x · W, plus its bias where the model has biases', () => {
    const weights = { 'f.weight': rows([[1, 2, 3], [4, 5, 6]]), 'f.bias': tf.tensor1d([10, 20, 30]) }; // biome-ignore format: rows
    const x = rows([[1, 1], [0, 2]]); // biome-ignore format: rows
    expect([...take(tf.tidy(() => linear(weights, 'f', x)))]).toEqual([15, 27, 39, 18, 30, 42]);
    expect([...take(tf.tidy(() => linear({ 'f.weight': weights['f.weight'] }, 'f', x)))]).toEqual([5, 7, 9, 8, 10, 12]);
    tf.dispose([x, ...Object.values(weights)]);
  });

  it('a norm is RMS norm or layer norm by the model’s kind', () => {
    const weights = { 'n.gain': tf.tensor1d([1, 2]), 'n.bias': tf.tensor1d([5, 5]) };
    const x = rows([[1, 7]]);
    expect(take(tf.tidy(() => normalize({ ...llama, normEpsilon: 0 }, weights, 'n', x)))).toBeAllclose([0.2, 2.8]);
    expect(take(tf.tidy(() => normalize({ ...gpt2, normEpsilon: 0 }, weights, 'n', x)))).toBeAllclose([4, 7]);
    tf.dispose([x, ...Object.values(weights)]);
  });

  it('a feed-forward layer is residual + output(activation(input(x)))', () => {
    const wide = { 'm.input.weight': rows([[Math.log(3), 2]]), 'm.output.weight': rows([[10]]) };
    const [x, residual] = [rows([[1]]), rows([[7]])];
    // 7 + SiLU(ln 3) · 2 · 10
    const expected = [7 + 15 * Math.log(3)];
    expect(take(tf.tidy(() => feedForward(llama, wide, 'm', x, residual)))).toBeAllclose(expected);
    const gelu = {
      'm.input.weight': rows([[0.5]]),
      'm.input.bias': tf.tensor1d([0.5]),
      'm.output.weight': rows([[10]]),
      'm.output.bias': tf.tensor1d([-1]),
    };
    // GELU(1) = 0.841192
    expect(take(tf.tidy(() => feedForward(gpt2, gelu, 'm', x, residual)))).toBeAllclose([14.41192]);
    tf.dispose([x, residual, ...Object.values(wide), ...Object.values(gelu)]);
  });

  it('a tied head reads the embedding, an untied one its own matrix', () => {
    const weights = { 'embedding.tokens': rows([[1, 2], [3, 4], [5, 6]]), 'head.weight': rows([[1, 0, 2], [0, 1, 2]]) }; // biome-ignore format: rows
    const hidden = rows([[1, 10]]);
    expect([...take(tf.tidy(() => tokenLogits(llama, weights, hidden)))]).toEqual([21, 43, 65]);
    const untied = tinyDimensions['llama-untied'];
    expect([...take(tf.tidy(() => tokenLogits(untied, weights, hidden)))]).toEqual([1, 10, 22]);
    tf.dispose([hidden, ...Object.values(weights)]);
  });

  it('a score is one number a row', () => {
    const weights = { 'score.weight': rows([[2], [3]]) };
    const hidden = rows([[1, 10], [1, 1]]); // biome-ignore format: rows
    const found = tf.tidy(() => scores(weights, hidden));
    expect(found.shape).toEqual([2]);
    expect([...take(found)]).toEqual([32, 5]);
    tf.dispose([hidden, weights['score.weight']]);
  });
});
