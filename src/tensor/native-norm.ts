/** Layer and root-mean-square normalisation as native ops. */
import type { Save } from './native-ops.ts';
import { executeNative, flagAttribute, floatAttribute } from './native-ops.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** `layerNorm`, or without a bias `rmsNorm`, see norms.ts. x [rows, width], gain and bias [width] → [rows, width] */
export function nativeNorm(x: Tensor2D, gain: Tensor1D, bias: Tensor1D | null, epsilon: number): Tensor2D {
  const hasBias = flagAttribute('has_bias', bias !== null);
  const [rows, width] = x.shape;
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, scale, shift] = inputs as [Tensor2D, Tensor1D, Tensor1D?];
    const save = inputs.at(-1) as Save;
    const attributes = [floatAttribute('epsilon', epsilon), hasBias];
    const [value, stats] = executeNative(
      'PlumblineNorm',
      attributes,
      [source, scale, bias === null ? scale : (shift as Tensor1D)],
      [x.shape, [rows, 2]],
    );
    save([source, scale, stats as Tensor]);
    return {
      value: value as Tensor,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const shapes = [x.shape, [width], [bias === null ? 0 : width]];
        const gradients = executeNative('PlumblineNormGradient', [hasBias], [dy, ...saved], shapes);
        return bias === null ? gradients.slice(0, 2) : gradients;
      },
    };
  });
  return (bias === null ? op(x, gain) : op(x, gain, bias)) as Tensor2D;
}
