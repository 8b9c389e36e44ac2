/** One update: accumulation, clipping, and refusing numbers that are not finite before anything changes. */
import { beforeAll, describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/errors.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { updateParameters } from '../../src/execution/eager-update.ts';
import { layoutOf, readParameters } from '../../src/tensor/parameters.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import { parametersOf, specOf } from '../helpers/parameters.ts';
import '../helpers/allclose.ts';
import { asTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';

const layout = layoutOf([specOf('w', [2])]);
const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const options = { learningRate: 0.1, clipNorm: null, where: 'instruct step 120' };

/** A loss whose gradient is the given one. */
const slope = (x: number, y: number) => (weights: Weights) => ({
  loss: tf.sum(tf.mul(asTensors(weights).w!, tf.tensor1d([x, y]))) as Scalar,
  stats: { x: tf.scalar(x) },
});

/** A fresh model of two parameters, [1, 1]. */
function make() {
  const parameters = parametersOf(layout, Float32Array.of(1, 1));
  const adam = createAdamW(layout, adamOptions);
  return {
    parameters,
    adam,
    dispose: () => {
      disposeAdamW(adam);
      parameters.cell.dispose();
    },
  };
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('adds up gradients, losses and numbers of micro-batches: the same as one batch of all', () => {
    const [parts, whole] = [make(), make()];
    const found = updateParameters(parts.parameters, parts.adam, [slope(1, 2), slope(2, -6), slope(0, 8)], options);
    const expected = updateParameters(whole.parameters, whole.adam, [slope(3, 4)], options);
    expect(found).toEqual(expected);
    expect(found).toMatchObject({ loss: 7, gradientNorm: 5, stats: { x: 3 } });
    expect(readParameters(parts.parameters)).toEqual(readParameters(whole.parameters));
    parts.dispose();
    whole.dispose();
  });

  it('scales a gradient longer than the limit to it, and reports its length before', () => {
    const [clipped, small] = [make(), make()];
    expect(
      updateParameters(clipped.parameters, clipped.adam, [slope(3, 4)], { ...options, clipNorm: 1 }),
    ).toMatchObject({
      gradientNorm: 5,
    });
    // The first moment after one step is a tenth of the gradient.
    expect([...clipped.adam.first.read()]).toBeAllclose([0.06, 0.08]);
    updateParameters(small.parameters, small.adam, [slope(0.3, 0.4)], { ...options, clipNorm: 1 });
    expect([...small.adam.first.read()]).toBeAllclose([0.03, 0.04]);
    clipped.dispose();
    small.dispose();
  });

  const spoiled = {
    'the loss': (weights: Weights) => {
      const { loss, stats } = slope(1, 1)(weights);
      return { loss: tf.add(loss, Number.NaN) as Scalar, stats };
    },
    // √ has an infinite slope at 0.
    'the gradient': (weights: Weights) => ({
      loss: tf.sum(tf.sqrt(tf.sub(asTensors(weights).w!, 1))) as Scalar,
      stats: { x: tf.scalar(1) },
    }),
  };

  it.each(
    Object.keys(spoiled) as (keyof typeof spoiled)[],
  )('stops when %s is not finite: weights, moments and step are as before', (part) => {
    const { parameters, adam, dispose } = make();
    updateParameters(parameters, adam, [slope(1, 2)], options);
    const state = () => [[...readParameters(parameters)], [...adam.first.read()], [...adam.second.read()], adam.step];
    const before = state();
    const [loss, norm] = part === 'the loss' ? ['NaN', '1.41421'] : ['NaN|-?[\\d.e-]+', 'Infinity|NaN'];
    expect(() => updateParameters(parameters, adam, [slope(0, 0), spoiled[part]], options)).toThrow(InvariantError);
    expect(() => updateParameters(parameters, adam, [spoiled[part]], options)).toThrow(
      new RegExp(
        `^instruct step 120: the loss is (${loss}) and the gradient norm (${norm})\\d*; expected finite numbers. ` +
          'The weights of the last good checkpoint are kept. Lower optimizer.learningRate or optimizer.clipNorm, ' +
          'and look at the last rows of metrics.arrow.$',
      ),
    );
    expect(state()).toEqual(before);
    dispose();
  });

  it('refuses an update without micro-batches', () => {
    const { parameters, adam, dispose } = make();
    expect(() => updateParameters(parameters, adam, [], options)).toThrow(
      new InvariantError('instruct step 120: an update needs at least one micro-batch.'),
    );
    dispose();
  });

  it('leaves no tensors behind, also when it stops', () => {
    const { parameters, adam, dispose } = make();
    expectNeutral(() => {
      updateParameters(parameters, adam, [slope(1, 2), slope(3, 4)], { ...options, clipNorm: 1 });
      expect(() => updateParameters(parameters, adam, [slope(1, 2), spoiled['the loss']], options)).toThrow();
    });
    dispose();
  });
});
