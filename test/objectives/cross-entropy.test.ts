import { beforeAll, describe, expect, it } from 'vitest';
import { maskedCrossEntropy } from '../../src/objectives/cross-entropy.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { take } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  const rows = [[0, 0], [0, Math.log(3)], [50, -50], [1, 2]]; // biome-ignore format: rows

  it('averages −log p over target tokens and leaves the others out', () => {
    const found = tf.tidy(() => {
      const labels = tf.tensor1d([0, 1, 1, 0], 'int32');
      return maskedCrossEntropy(tf.tensor2d(rows), labels, tf.tensor1d([1, 1, 0, 0]), 2);
    });
    expect(take(found)).toBeAllclose([(Math.log(2) + Math.log(4 / 3)) / 2]);
  });

  it('gives no gradient to rows that are not targets', () => {
    const logits = tf.tensor2d(rows);
    const gradient = tf.tidy(() => {
      const labels = tf.tensor1d([0, 1, 1, 0], 'int32');
      const mask = tf.tensor1d([0, 1, 0, 1]);
      return tf.grad((x) => maskedCrossEntropy(x as Tensor2D, labels, mask, 2))(logits);
    });
    const share = 1 / (1 + Math.E);
    expect(take(gradient)).toBeAllclose([0, 0, 0.125, -0.125, 0, 0, (share - 1) / 2, (1 - share) / 2]);
    logits.dispose();
  });

  it('adds up over micro-batches when each is divided by the count of all', () => {
    const part = (from: number, size: number): number[] => [
      ...take(
        tf.tidy(() => {
          const labels = tf.tensor1d([0, 1, 1, 0].slice(from, from + size), 'int32');
          const mask = tf.tensor1d([1, 1, 0, 1].slice(from, from + size));
          return maskedCrossEntropy(tf.tensor2d(rows.slice(from, from + size)), labels, mask, 3);
        }),
      ),
    ];
    expect([part(0, 1)[0]! + part(1, 3)[0]!]).toBeAllclose(part(0, 4));
  });

  it('leaves no tensors behind within a tidy', () => {
    const logits = tf.tensor2d(rows);
    expectNeutral(() => tf.tidy(() => maskedCrossEntropy(logits, tf.tensor1d([0, 1, 1, 0], 'int32'), tf.ones([4]), 4)));
    logits.dispose();
  });
});
