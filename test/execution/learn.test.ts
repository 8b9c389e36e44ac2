/** One update: accumulation, clipping, and refusing numbers that are not finite before anything changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/errors.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { AddedLoss } from '../../src/execution/learn.ts';
import { learn } from '../../src/execution/learn.ts';
import type { Loss, MicroBatch } from '../../src/execution/objective.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { Model } from '../../src/model/model.ts';
import { pick, vector } from '../../src/tensor/host-arrays.ts';
import { layoutOf, readParameters } from '../../src/tensor/parameters.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import { asTensors } from '../helpers/tensors.ts';
import { useLane, waysToTest } from '../helpers/use-lane.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const layout = layoutOf([specOf('w', [2])]);
const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const settings = { learningRate: 0.1, clipNorm: null, where: 'instruct step 120' };

/** A loss whose gradient is the slope over the count of the update; at √ of `root` · (w − 1), 0 · ∞ where that is not 0. */
const slopes: Loss<'x'> = {
  key: 'slopes',
  unit: 'slopes',
  terms: (_, weights, arrays) => {
    const [slope, count] = [pick(arrays, 'slope'), pick<Scalar>(arrays, 'count')];
    const { w } = asTensors(weights);
    const straight = tf.sum(tf.mul(w!, slope));
    const steep = tf.sum(tf.mul(pick(arrays, 'root'), tf.sqrt(tf.sub(w!, 1))));
    return {
      loss: tf.div(tf.add(straight, steep), count) as Scalar,
      stats: { x: tf.div(tf.slice(slope, 0, 1), count).squeeze() as Scalar },
    };
  },
};

function slope(x: number, y: number, { count = 1, root = 0 } = {}): MicroBatch {
  return { arrays: { slope: vector(Float32Array.of(x, y)), root: vector(Float32Array.of(root, root)) }, count };
}

/** A fresh model of two parameters. */
function make(values = [2, 2]) {
  const parameters = parametersOf(layout, Float32Array.from(values));
  const adam = createAdamW(layout, adamOptions);
  return {
    parameters,
    adam,
    learn: (parts: readonly MicroBatch[], more: { clipNorm?: number } = {}, added?: AddedLoss) =>
      learn({ parameters } as Model, adam, slopes, parts, { ...settings, ...more }, added),
    state: () => [[...readParameters(parameters)], [...adam.first.read()], [...adam.second.read()], adam.step],
    dispose: () => {
      disposeAdamW(adam);
      parameters.stored.dispose();
    },
  };
}

describe.each(waysToTest())('on the $lane lane, graphs $compile', ({ lane, compile }) => {
  beforeAll(async () => {
    await useLane(lane);
    setCompilation({ compile });
  });
  afterAll(() => setCompilation({}));

  it('adds up gradients, losses, numbers and counts of micro-batches: the same as one batch of all', async () => {
    const [parts, whole] = [make(), make()];
    const found = await parts.learn([slope(1, 2), slope(2, -6, { count: 2 }), slope(0, 8)]);
    const expected = await whole.learn([slope(3, 4, { count: 4 })]);
    expect(found).toEqual(expected);
    // 14 over a count of 4, and a gradient of (3, 4) over it.
    expect(found).toEqual({ loss: 3.5, gradientNorm: 1.25, stats: { x: 0.75 }, count: 4 });
    expect(parts.state()).toEqual(whole.state());
    parts.dispose();
    whole.dispose();
  });

  it('scales a gradient longer than the limit to it, and reports its length before', async () => {
    for (const split of [false, true]) {
      const [clipped, small] = [make(), make()];
      const long = split ? [slope(6, 0), slope(0, 8)] : [slope(3, 4)];
      expect(await clipped.learn(long, { clipNorm: 1 })).toMatchObject({ gradientNorm: 5 });
      // The first moment after one step is a tenth of the gradient.
      expect([...clipped.adam.first.read()]).toBeAllclose([0.06, 0.08]);
      await small.learn([slope(0.3, 0.4)], { clipNorm: 1 });
      expect([...small.adam.first.read()]).toBeAllclose([0.03, 0.04]);
      clipped.dispose();
      small.dispose();
    }
  });

  const other = (coefficient: number, microBatches: readonly MicroBatch[]): AddedLoss => {
    return { loss: { ...slopes, key: 'other slopes', unit: 'other slopes' }, microBatches, coefficient };
  };

  it('adds the gradient of another loss, a mean over its own count, before it clips and makes one step', async () => {
    const [sum, whole] = [make(), make()];
    // (3, 0) over 1, and half of (0, 16) over 2.
    const added = other(0.5, [slope(0, 4), slope(0, 12)]);
    const found = await sum.learn([slope(1, 0, { count: 0 }), slope(2, 0)], { clipNorm: 1 }, added);
    expect(found).toEqual({
      ...{ loss: 6, gradientNorm: 5, stats: { x: 3 }, count: 1 },
      added: { loss: 16, count: 2, norms: { own: 3, added: 4 } },
    });
    await whole.learn([slope(3, 4)], { clipNorm: 1 });
    expect(sum.state()).toEqual(whole.state());
    expect(sum.adam.step).toBe(1);
    for (const own of [sum, whole]) own.dispose();
  });

  it('with coefficient 0 measures another loss and makes the update without it, bit for bit', async () => {
    for (const parts of [[slope(3, 4)], [slope(1, 7), slope(2, -5)]]) {
      const [measured, plain] = [make(), make()];
      for (let step = 0; step < 3; step++) {
        const { added, ...found } = await measured.learn(parts, { clipNorm: 1 }, other(0, [slope(7, 1)]));
        expect(found).toEqual(await plain.learn(parts, { clipNorm: 1 }));
        expect(added).toMatchObject({ count: 1, norms: { own: found.gradientNorm, added: 0 } });
      }
      expect(measured.state()).toEqual(plain.state());
      for (const own of [measured, plain]) own.dispose();
    }
  });

  it('takes another coefficient, another loss and none from one update to the next', async () => {
    const [found, expected] = [make(), make()];
    for (const [coefficient, y] of [
      [1, 4],
      [2, 8],
      [0.5, 2],
    ] as const) {
      await found.learn([slope(3, 0)], {}, other(coefficient, [slope(0, 4)]));
      await expected.learn([slope(3, y)]);
    }
    for (const own of [found, expected]) await own.learn([slope(1, 1)]);
    expect(found.state()).toEqual(expected.state());
    for (const own of [found, expected]) own.dispose();
  });

  it('refuses another loss that has nothing to learn from or is not finite, and changes nothing', async () => {
    const { state, ...own } = make();
    const before = state();
    await expect(own.learn([slope(1, 2)], {}, other(1, [slope(1, 2, { count: 0 })]))).rejects.toThrow(
      new InvariantError('instruct step 120: the batch has no other slopes to learn from; expected at least one.'),
    );
    await expect(own.learn([slope(1, 2)], {}, other(1, [slope(Number.NaN, 2)]))).rejects.toThrow(
      /^instruct step 120: the loss is NaN and the gradient norm NaN; expected finite numbers\./,
    );
    expect(state()).toEqual(before);
    own.dispose();
  });

  const spoiled = {
    'the loss': slope(Number.NaN, 1),
    // At 1, √ has an infinite slope.
    'the gradient': slope(1, 1, { root: 1 }),
  };

  it.each(
    Object.keys(spoiled) as (keyof typeof spoiled)[],
  )('stops when %s is not finite: weights, moments and step are as before', async (part) => {
    const { state, ...own } = make([1, 1]);
    const before = state();
    await expect(own.learn([slope(0, 0), spoiled[part]])).rejects.toThrow(InvariantError);
    await expect(own.learn([spoiled[part]])).rejects.toThrow(
      /^instruct step 120: the loss is (NaN|-?[\d.e-]+) and the gradient norm (Infinity|NaN); expected finite numbers. The weights of the last good checkpoint are kept. Lower optimizer.learningRate or optimizer.clipNorm, and look at the last rows of metrics.arrow.$/,
    );
    expect(state()).toEqual(before);
    own.dispose();
  });

  it('refuses an update that has nothing to learn from', async () => {
    const { learn: update, dispose } = make();
    for (const parts of [[], [slope(1, 2, { count: 0 })]]) {
      await expect(update(parts)).rejects.toThrow(
        new InvariantError('instruct step 120: the batch has no slopes to learn from; expected at least one.'),
      );
    }
    dispose();
  });

  it('leaves no tensors behind, also when it stops', async () => {
    const { learn: update, dispose } = make();
    await expectNeutralAfter(async () => {
      await update([slope(1, 2), slope(3, 4)], { clipNorm: 1 });
      await update([slope(1, 2)], { clipNorm: 1 }, other(2, [slope(1, 2)]));
      await expect(update([slope(1, 2), spoiled['the loss']])).rejects.toThrow(InvariantError);
    });
    dispose();
  });
});
