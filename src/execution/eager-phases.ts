/** An update op by op, on any lane. */
import type { HostArrays } from '../tensor/host-arrays.ts';
import { uploadArrays } from '../tensor/host-arrays.ts';
import { partsOf } from '../tensor/parameters.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { applyAdamW, clip, gradientNormOf } from './apply-adamw.ts';
import { lossAndGradient } from './gradient.ts';
import type { Loss } from './objective.ts';
import type { Phases, SumOfLoss, Update } from './phases.ts';
import { addLoss, partSeed } from './phases.ts';

/** The gradients are tensors between the phases, one a loss. */
export function eagerPhases({ model, adam, losses, settings }: Update) {
  let gradients: Tensor1D[] = [];
  let made = 0;
  const gradientOf = (loss: Loss<string>, part: HostArrays) => {
    const arrays = uploadArrays(part);
    try {
      const terms = (weights: Weights) => loss.terms(model, weights, arrays);
      return lossAndGradient(model.parameters, terms, partSeed(settings, made++));
    } finally {
      tf.dispose(arrays);
    }
  };
  return {
    gradients: () =>
      losses.map(({ loss, parts }, index) => {
        let sum: SumOfLoss | null = null;
        for (const part of parts) {
          const { gradient, ...numbers } = gradientOf(loss, part);
          sum = addLoss(sum, numbers);
          const before = gradients[index];
          gradients[index] = before === undefined ? gradient : addTo(before, gradient);
        }
        return sum as SumOfLoss;
      }),
    exchange: async (reduce) => {
      const own = gradients.map((gradient) => gradient.dataSync().slice() as Float32Array);
      tf.dispose(gradients);
      await reduce(own.flatMap((values) => partsOf(model.parameters.layout, values)));
      gradients = own.map((values) => tf.tensor1d(values));
    },
    apply: (objective) => {
      const scaled = gradients.map((gradient, index) => scaledBy(gradient, losses[index]?.coefficient ?? 1));
      const each = scaled.map(gradientNormOf);
      const gradient = scaled.reduce(addTo);
      const sum = scaled.length === 1 ? (each[0] as number) : gradientNormOf(gradient);
      if (Number.isFinite(objective) && Number.isFinite(sum)) {
        const clipped = clip(gradient, sum, settings.clipNorm);
        applyAdamW(adam, model.parameters, clipped, settings.learningRate);
        if (clipped !== gradient) clipped.dispose();
      }
      gradient.dispose();
      return { sum, each };
    },
  } satisfies Phases;
}

/** Frees what it is given. */
function scaledBy(gradient: Tensor1D, coefficient: number): Tensor1D {
  if (coefficient === 1) return gradient;
  const scaled: Tensor1D = tf.mul(gradient, coefficient);
  gradient.dispose();
  return scaled;
}

/** Frees both. */
function addTo(total: Tensor1D, gradient: Tensor1D): Tensor1D {
  const sum: Tensor1D = tf.add(total, gradient);
  tf.dispose([total, gradient]);
  return sum;
}
