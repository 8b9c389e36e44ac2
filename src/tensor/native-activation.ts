/** Activations of feed-forward layers as native ops, which keep only their input for the gradient. */
import type { Save } from './native-ops.ts';
import { executeNative, intAttribute } from './native-ops.ts';
import type { Tensor, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** As in src/native/activations.h. */
export const ACTIVATION_KINDS = { gelu: 0, swiglu: 1, geglu: 2 } as const;
export type NativeActivation = keyof typeof ACTIVATION_KINDS;

/** `geluTanh`, `swiglu` or `geglu`, see activations.ts. x [rows, width], twice as wide where gated → [rows, width] */
export function nativeActivation(kind: NativeActivation, x: Tensor2D): Tensor2D {
  const [rows, wide] = x.shape;
  const attributes = [intAttribute('kind', ACTIVATION_KINDS[kind])];
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, save] = inputs as [Tensor2D, Save];
    const shape = [rows, kind === 'gelu' ? wide : wide / 2];
    const [value] = executeNative('PlumblineActivation', attributes, [source], [shape]);
    save([source]);
    return {
      value: value as Tensor,
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        executeNative('PlumblineActivationGradient', attributes, [dy, ...saved], [x.shape])[0] as Tensor,
    };
  });
  return op(x) as Tensor2D;
}
