/** An update op by op, on any lane. */
import type { HostArrays } from '../tensor/host-arrays.ts';
import { uploadArrays } from '../tensor/host-arrays.ts';
import { partsOf } from '../tensor/parameters.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { applyAdamW, clip, gradientNormOf } from './apply-adamw.ts';
import { lossAndGradient } from './gradient.ts';
import type { Phases, SumOfLoss, Update } from './phases.ts';
import { addLoss, partSeed } from './phases.ts';

/** The gradient is a tensor between the phases. */
export function eagerPhases<Name extends string>({ model, adam, loss, parts, settings }: Update<Name>) {
  let total: Tensor1D | null = null;
  const gradientOf = (part: HostArrays, seed: number | undefined) => {
    const arrays = uploadArrays(part);
    try {
      return lossAndGradient(model.parameters, (weights) => loss.terms(model, weights, arrays), seed);
    } finally {
      tf.dispose(arrays);
    }
  };
  return {
    gradient: () => {
      let sum: SumOfLoss<Name> | null = null;
      for (const [index, part] of parts.entries()) {
        const { gradient, ...numbers } = gradientOf(part, partSeed(settings, index));
        sum = addLoss(sum, numbers);
        total = total === null ? gradient : addTo(total, gradient);
      }
      return sum as SumOfLoss<Name>;
    },
    exchange: async (reduce) => {
      const own = total as Tensor1D;
      const values = own.dataSync().slice() as Float32Array;
      own.dispose();
      await reduce(partsOf(model.parameters.layout, values));
      total = tf.tensor1d(values);
    },
    apply: (lossValue) => {
      const gradient = total as Tensor1D;
      const norm = gradientNormOf(gradient);
      if (Number.isFinite(lossValue) && Number.isFinite(norm)) {
        const clipped = clip(gradient, norm, settings.clipNorm);
        applyAdamW(adam, model.parameters, clipped, settings.learningRate);
        if (clipped !== gradient) clipped.dispose();
      }
      gradient.dispose();
      return norm;
    },
  } satisfies Phases<Name>;
}

/** Frees both. */
function addTo(total: Tensor1D, gradient: Tensor1D): Tensor1D {
  const sum: Tensor1D = tf.add(total, gradient);
  tf.dispose([total, gradient]);
  return sum;
}
