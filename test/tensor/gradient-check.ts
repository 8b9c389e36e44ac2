/** The derivative of a function against its gradient, in random directions. */
import { expect } from 'vitest';
import '../helpers/allclose.ts';
import { seededRandom } from '../../src/random.ts';
import type { Scalar, Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';

/** Central differences with h = 1e-2 in float32 are good to about 2e-4; smaller steps drown in rounding. */
const STEP = 1e-2;

/**
 * The slope of f along v by the five-point rule (error h⁴: the three-point rule's h² is seen on a steep loss) against
 * ⟨∇f, v⟩ for unit directions v over all inputs together, for three seeds.
 * `inputs` are disposed.
 */
export function expectGradient(inputs: Tensor[], f: (...x: Tensor[]) => Tensor, rtol = 2e-3): void {
  const gradients = tf.grads((...x: Tensor[]) => f(...x))(inputs);
  const host = inputs.map((x) => Float32Array.from(x.dataSync()));
  const slopes = gradients.map((x) => Float32Array.from(x.dataSync()));
  for (const seed of [1, 2, 3]) {
    const random = seededRandom(seed);
    // Half along the gradient, so that the slope is never lost in rounding; half in a random direction.
    const length = Math.sqrt(slopes.flatMap((x) => [...x]).reduce((sum, value) => sum + value * value, 0));
    const direction = slopes.map((x) => x.map((value) => value / length + random.normal() / Math.sqrt(x.length)));
    const norm = Math.sqrt(direction.flatMap((x) => [...x]).reduce((sum, value) => sum + value * value, 0));
    const at = (sign: number): number =>
      tf.tidy(() => {
        const moved = host.map((x, i) => {
          const values = x.map((value, j) => value + (sign * STEP * direction[i]![j]!) / norm);
          return tf.tensor(values, inputs[i]!.shape);
        });
        return (f(...moved) as Scalar).dataSync()[0]!;
      });
    const found = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP);
    const expected = slopes.reduce(
      (sum, x, i) => sum + x.reduce((s, g, j) => s + (g * direction[i]![j]!) / norm, 0),
      0,
    );
    expect([found]).toBeAllclose([expected], { rtol, atol: 1e-5 });
  }
  tf.dispose([...gradients, ...inputs]);
}

/** A tensor of seeded normal numbers. */
export function normalTensor<T extends Tensor>(shape: number[], seed: number, scale = 1): T {
  const random = seededRandom(seed, 'tensor');
  const size = shape.reduce((product, length) => product * length, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => scale * random.normal()),
    shape,
  ) as unknown as T;
}
