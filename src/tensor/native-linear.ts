/** Linear layers as native ops, with what follows them. */
import type { NativeActivation } from './native-activation.ts';
import { ACTIVATION_KINDS } from './native-activation.ts';
import type { Save } from './native-ops.ts';
import { executeNative, flagAttribute, intAttribute, usesNativeOps } from './native-ops.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/** As in src/native/linear-layer.h. */
const NO_ACTIVATION = -1;

let isAllowed = true;

/** Runs `f`, where `allow` is false without own products. */
export function withNativeProducts<T>(allow: boolean, f: () => T): T {
  const before = isAllowed;
  isAllowed = before && allow;
  try {
    return f();
  } finally {
    isAllowed = before;
  }
}

/** Multiplications up to which own products are used where nothing follows. */
const LARGE = 2 ** 28;

/**
 * True where a layer runs as a native op: what follows a product is nearly free there, and small products have less around them.
 * TensorFlow's own is used for large products that nothing follows.
 *
 * Time of TensorFlow (2.21; bias and residual as its nodes, activations native on both sides) / ours, with the gradient, one
 * thread, rows × in × out, on an AMD EPYC 7001 (AVX2; peak 38 GFLOP/s a core, both reach 25 to 33):
 *
 *   1024 × 128 × 128   bias, residual 0.97, nothing 0.95    1024 × 384 × 384    bias, residual 1.03, nothing 1.01
 *   1024 × 128 × 384   bias 1.01                            1024 × 384 × 1152   bias 1.00
 *   1024 × 128 × 512   bias, GELU 1.03                      1024 × 384 × 1536   bias, GELU 1.00
 *   1024 × 128 × 1024  SwiGLU 1.07                          1024 × 384 × 3072   SwiGLU 1.06
 *   1024 × 512 × 128   bias, residual 1.15                  1024 × 1536 × 384   bias, residual 1.08
 *   1024 × 128 × 512   tied head 1.13
 *
 * A step of train-1m takes 236 ms of processor time in place of 247. On a Xeon with AVX-512 a prototype's products of this
 * kind reached 120 to 165 GFLOP/s a core, TensorFlow's about 170: there it loses where a product is large.
 */
export function winsNatively(x: Tensor2D, matrix: Tensor2D, isFollowed = false): boolean {
  return usesNativeOps() && isAllowed && (isFollowed || x.shape[0] * matrix.size <= LARGE);
}

/** What a linear layer may be followed by. */
export interface Epilogue {
  readonly bias?: Tensor1D | undefined;
  readonly activation?: NativeActivation | undefined;
  readonly residual?: Tensor2D | undefined;
  readonly transposeB?: boolean | undefined;
}

/**
 * activation(x · W + bias) + residual, differentiable in all of them.
 * @param x [rows, in]
 * @param matrix [in, out], or [out, in] with transposeB, which goes with no bias
 * @returns [rows, out], half as wide where gated
 */
export function nativeLinear(x: Tensor2D, matrix: Tensor2D, epilogue: Epilogue = {}): Tensor2D {
  const { bias, activation, residual, transposeB = false } = epilogue;
  const rows = x.shape[0];
  const out = matrix.shape[transposeB ? 0 : 1];
  const shape = [rows, activation === 'swiglu' || activation === 'geglu' ? out / 2 : out];
  const keeps = activation === undefined ? 0 : rows;
  const attributes = [
    flagAttribute('transposed', transposeB),
    flagAttribute('has_bias', bias !== undefined),
    intAttribute('activation', activation === undefined ? NO_ACTIVATION : ACTIVATION_KINDS[activation]),
  ];
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source, weight, ...rest] = inputs.slice(0, -1) as [Tensor2D, Tensor2D, ...Tensor[]];
    const save = inputs.at(-1) as Save;
    const shift = bias === undefined ? source : (rest[0] as Tensor);
    const added = residual === undefined ? source : (rest.at(-1) as Tensor);
    const [value, slopes] = executeNative(
      'PlumblineLinear',
      [...attributes, flagAttribute('has_residual', residual !== undefined)],
      [source, weight, shift, added],
      [shape, [keeps, out]],
    ) as [Tensor, Tensor];
    save([source, weight, slopes]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const shapes = [x.shape, matrix.shape, [bias === undefined ? 0 : out]];
        const [dx, dw, db] = executeNative('PlumblineLinearGradient', attributes, [dy, ...saved], shapes) as Tensor[];
        return [
          dx,
          dw,
          ...(bias === undefined ? [] : [db]),
          ...(residual === undefined ? [] : [tf.clone(dy)]),
        ] as Tensor[];
      },
    };
  });
  return op(...([x, matrix, bias, residual].filter((one) => one !== undefined) as Tensor[])) as Tensor2D;
}
