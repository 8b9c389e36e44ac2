/** Recomputing, the forms of GELU and ReLU, chunked cross-entropy, bfloat16: against plain ops and published definitions. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { gelu, relu } from '../../src/tensor/activations.ts';
import { packBfloat16, widen } from '../../src/tensor/bfloat16.ts';
import { sparseCrossEntropy } from '../../src/tensor/cross-entropy.ts';
import { bfloat16Values, toBfloat16 } from '../../src/tensor/half-precision.ts';
import { matmul } from '../../src/tensor/matmul.ts';
import { product } from '../../src/tensor/products.ts';
import { projectedCrossEntropy } from '../../src/tensor/projected-cross-entropy.ts';
import { recompute } from '../../src/tensor/recompute.ts';
import type { Tensor, Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { freeze, rowsOf } from '../../src/tensor/weights.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectGradient, normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('a recomputed function has the same value and gradients, also where one is within another', () => {
    const [x, w, v] = [
      normalTensor<Tensor2D>([3, 4], 1),
      normalTensor<Tensor2D>([4, 4], 2),
      normalTensor<Tensor2D>([4, 4], 3),
    ];
    const layer = (a: Tensor2D, b: Tensor2D): Tensor2D => tf.tanh(matmul(a, b));
    // Made within the loss, and freed with all else of it before the gradient unless it is kept.
    const factors = (): Tensor => tf.add(tf.tensor2d([[1], [2], [3]]), 0.5);
    const plain = (a: Tensor, b: Tensor, c: Tensor): Tensor =>
      tf.sum(tf.mul(layer(layer(a as Tensor2D, b as Tensor2D), c as Tensor2D), factors()));
    const again = (a: Tensor, b: Tensor, c: Tensor): Tensor => {
      const middle = recompute([a, b], [], ([p, q]) => layer(p as Tensor2D, q as Tensor2D));
      const scaled = recompute([middle, c], [factors()], ([p, q], [scale]) =>
        tf.mul(layer(p as Tensor2D, q as Tensor2D), scale as Tensor),
      );
      return tf.sum(scaled);
    };
    const [expected, found] = [plain, again].map((f) =>
      tf
        .grads(f)([x, w, v])
        .map((gradient) => [...take(gradient)]),
    );
    expect(found).toEqual(expected);
    expectNeutral(() => tf.grads(again)([x, w, v]));
    tf.dispose([x, w, v]);
  });

  it('GELU with the error function has the values of its definition, and their slope', () => {
    // x · Φ(x) with Φ from tables of the normal distribution.
    const x = tf.tensor2d([[-3, -1, 0, 1, 3]]);
    expect(take(gelu(x))).toBeAllclose([-3 * 0.0013499, -1 * 0.1586553, 0, 0.8413447, 3 * 0.9986501], {
      rtol: 1e-4,
      atol: 1e-6,
    });
    x.dispose();
    expectGradient([normalTensor([2, 5], 3)], (y) => tf.sum(tf.square(gelu(y as Tensor2D))));
  });

  it('ReLU passes what is positive, and the slope at 0 is 0', () => {
    const x = tf.tensor2d([[-2, 0, 3]]);
    expect([...take(relu(x))]).toEqual([0, 0, 3]);
    expect([...take(tf.grad((y) => tf.sum(relu(y as Tensor2D)))(x))]).toEqual([0, 0, 1]);
    x.dispose();
  });

  it.each([
    [true, null],
    [false, null],
    [true, 1.5],
    [false, 1.5],
  ])('cross-entropy in chunks equals the whole, values and gradients (embedding as head: %s, cap %s)', (tied, cap) => {
    const [rows, width, vocab] = [7, 4, 9];
    const hidden = normalTensor<Tensor2D>([rows, width], 1);
    const matrix = normalTensor<Tensor2D>(tied ? [vocab, width] : [width, vocab], 2);
    const labels = tf.tensor1d([0, 8, 3, 3, 1, 5, 7], 'int32') as Tensor1D;
    const weights = normalTensor<Tensor1D>([rows], 4);
    const whole = (h: Tensor, m: Tensor): Tensor => {
      const plain = matmul(h as Tensor2D, m as Tensor2D, { transposeB: tied });
      const logits = tf.div(cap === null ? plain : tf.mul(tf.tanh(tf.div(plain, cap)), cap), 0.7) as Tensor2D;
      return tf.sum(tf.mul(weights, sparseCrossEntropy(logits, labels)));
    };
    const chunked = (h: Tensor, m: Tensor): Tensor => {
      const head = { matrix: m as Tensor2D, transposeB: tied, vocab, softCap: cap };
      return tf.sum(
        tf.mul(weights, projectedCrossEntropy(h as Tensor2D, head, labels, { temperature: 0.7, chunk: 3 })),
      );
    };
    const [expected, found] = [whole, chunked].map((f) => tf.valueAndGrads(f)([hidden, matrix]));
    expect(take(found!.value)).toBeAllclose(take(expected!.value), { rtol: 1e-5 });
    for (const i of [0, 1])
      expect(take(found!.grads[i]!)).toBeAllclose(take(expected!.grads[i]!), { rtol: 1e-4, atol: 1e-6 });
    expectNeutral(() => {
      const { value, grads } = tf.valueAndGrads(chunked)([hidden, matrix]);
      return [value, ...grads];
    });
    // A frozen head has a gradient in the hidden states alone.
    const frozen = freeze(take(matrix.clone()).slice(), matrix.shape, 'float32');
    const withFrozen = (h: Tensor): Tensor => {
      const head = { matrix: frozen, transposeB: tied, vocab, softCap: cap };
      return tf.sum(
        tf.mul(weights, projectedCrossEntropy(h as Tensor2D, head, labels, { temperature: 0.7, chunk: 3 })),
      );
    };
    const [again] = tf.grads((h) => whole(h!, matrix))([hidden]);
    expect(take(tf.grad(withFrozen)(hidden))).toBeAllclose(take(again!), { rtol: 1e-4, atol: 1e-6 });
    tf.dispose([hidden, matrix, labels, weights, frozen.data]);
  });

  it.runIf(lane === 'tensorflow')('matrices kept in bfloat16 give what their rounded values give', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), fc.integer(), (rows, half, seed) => {
        const given = take(normalTensor([rows, 2 * half], seed & 0xffff));
        const rounded = bfloat16Values(toBfloat16(given));
        const bits = packBfloat16(given, [rows, 2 * half]);
        expect([...take(tf.tidy(() => widen(bits)))]).toEqual([...rounded]);
        bits.dispose();

        const [frozen, plain] = (['bfloat16', 'float32'] as const).map((precision) =>
          freeze(rounded.slice(), [rows, 2 * half], precision),
        );
        const x = normalTensor<Tensor2D>([3, rows], 7);
        const ids = tf.tensor1d([rows - 1, 0, 0], 'int32');
        const [a, b] = [frozen!, plain!].map((matrix) => {
          const value = (y: Tensor): Tensor => tf.sum(tf.square(product(y as Tensor2D, matrix)));
          return [...take(tf.tidy(() => rowsOf(matrix, ids))), ...take(tf.grad(value)(x))];
        });
        // Native ops multiply with weights in float32, TensorFlow's with those in bfloat16.
        expect(a).toBeAllclose(b!, { rtol: 1e-5, atol: 1e-6 });
        tf.dispose([x, ids, frozen!.data, plain!.data]);
      }),
      { seed: 1, numRuns: 20 },
    );
  });
});
