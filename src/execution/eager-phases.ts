/** An update op by op, on any lane. */
import type { HostArrays } from '../tensor/host-arrays.ts';
import { uploadArrays } from '../tensor/host-arrays.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { applyAdamW, clip, gradientNormOf } from './apply-adamw.ts';
import { lossAndGradient } from './gradient.ts';
import type { Phases, Update } from './phases.ts';
import { partSeed } from './phases.ts';

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
      const sum = { loss: 0, stats: {} as Record<Name, number> };
      for (const [index, part] of parts.entries()) {
        const found = gradientOf(part, partSeed(settings, index));
        sum.loss += found.loss;
        for (const name of Object.keys(found.stats) as Name[]) {
          sum.stats[name] = (sum.stats[name] ?? 0) + found.stats[name];
        }
        total = total === null ? found.gradient : addTo(total, found.gradient);
      }
      return sum;
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
