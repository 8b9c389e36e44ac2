/** Linear layers as native ops, with what follows them. */
import type { NativeActivation } from './native-activation.ts';
import { ACTIVATION_KINDS } from './native-activation.ts';
import type { Save } from './native-ops.ts';
import {
  executeNative,
  flagAttribute,
  floatAttribute,
  intAttribute,
  intsAttribute,
  usesNativeProducts,
} from './native-ops.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import type { LowRank, Weight } from './weights.ts';
import { isTensor, whole } from './weights.ts';

/** As in src/native/linear-layer.h. */
const NO_ACTIVATION = -1;

/**
 * Multiplications up to which own products are used where nothing follows: what follows a product is nearly free there, and
 * small products have less around them.
 *
 * Time of TensorFlow (2.21; bias and residual as its nodes, activations native on both sides) / ours, with the gradient, one
 * thread, rows × in × out, on an AMD EPYC 7001 (AVX2; peak 38 GFLOP/s a core, both reach 25 to 33):
 *
 *   1024 × 128 × 128   bias, residual 0.97, nothing 0.95    1024 × 384 × 384    bias, residual 1.03, nothing 1.01
 *   1024 × 128 × 384   bias 1.01                            1024 × 384 × 1152   bias 1.00
 *   1024 × 128 × 512   bias, GELU 1.03                      1024 × 384 × 1536   bias, GELU 1.00
 *   1024 × 128 × 1024  SwiGLU 1.07                          1024 × 384 × 3072   SwiGLU 1.06
 *   1024 × 512 × 128   bias, residual 1.15                  1024 × 1536 × 384   bias, residual 1.08
 *   1024 × 128 × 512   tied head 1.18                       1024 × 384 × 4096   tied head 1.22
 *                                                           512 × 768 × 50257   tied head 1.10
 *
 * So tied heads, whose matrix TensorFlow transposes as it goes, are ours at any size. On a Xeon with AVX-512 a prototype's products of this
 * kind reached 120 to 165 GFLOP/s a core, TensorFlow's about 170: there it loses where a product is large.
 */
const LARGE = 2 ** 28;

/** What a linear layer may be followed by. */
export interface Epilogue {
  readonly bias?: Weight | undefined;
  readonly activation?: NativeActivation | undefined;
  /** [rows, out], half as wide after a gated activation */
  readonly residual?: Tensor2D | undefined;
  readonly transposeB?: boolean | undefined;
}

/**
 * activation(x · W + bias) + residual as one op, differentiable in all that is trained; null where TensorFlow's ops serve: without
 * native ops or where their products are slower, for weights in bfloat16, for those with rows of tokens or dropped inputs, and
 * for large products that nothing follows.
 * @param x [rows, in]
 * @param matrix [in, out], or [out, in] with transposeB, which goes with no bias
 * @returns [rows, out], half as wide where gated
 */
export function nativeLinear(x: Tensor2D, matrix: Weight, epilogue: Epilogue = {}): Tensor2D | null {
  const { bias, activation, residual, transposeB = false } = epilogue;
  const factors = factorsOf(matrix);
  if (!usesNativeProducts() || factors === null) return null;
  const { weight, changes } = factors;
  const isFollowed = changes.length > 0 || [bias, activation, residual].some((one) => one !== undefined);
  if (!isFollowed && !transposeB && x.shape[0] * weight.size > LARGE) return null;
  if (changes.length > 0 && transposeB) return null;
  const isFrozen = !isTensor(matrix);
  if (isFrozen && bias !== undefined && isTensor(bias)) return null;
  const shift = bias && whole<Tensor1D>(bias, 'bias');
  return linearOp(x, factors, { isFrozen, bias: shift, activation, residual, transposeB });
}

/** A matrix and what is added to it. */
interface Factors {
  readonly weight: Tensor2D;
  readonly changes: readonly LowRank[];
}

/** Null for a weight that no native op multiplies with. */
function factorsOf(matrix: Weight): Factors | null {
  if (isTensor(matrix)) return { weight: matrix as Tensor2D, changes: [] };
  if (matrix.kind === 'token rows') return null;
  const { base, changes } = matrix.kind === 'adapted' ? matrix : { base: matrix, changes: [] };
  const [first] = changes;
  const isAlike = changes.every(({ a, scale }) => a.shape[1] === first?.a.shape[1] && scale === first.scale);
  const drops = changes.some(({ drop }) => drop !== undefined);
  return base.precision === 'bfloat16' || drops || !isAlike ? null : { weight: base.data as Tensor2D, changes };
}

interface OpOptions {
  readonly isFrozen: boolean;
  readonly bias: Tensor1D | undefined;
  readonly activation: NativeActivation | undefined;
  readonly residual: Tensor2D | undefined;
  readonly transposeB: boolean;
}

function linearOp(x: Tensor2D, { weight, changes }: Factors, options: OpOptions): Tensor2D {
  const { isFrozen, bias, activation, residual, transposeB } = options;
  const [rows] = x.shape;
  const out = weight.shape[transposeB ? 0 : 1];
  const shape = [rows, activation === 'swiglu' || activation === 'geglu' ? out / 2 : out];
  const [a, b] =
    changes.length === 0 ? [] : [sideBySide(changes.map((one) => one.a)), sideBySide(changes.map((one) => one.b))];
  const attributes = [
    flagAttribute('transposed', transposeB),
    flagAttribute('frozen', isFrozen),
    flagAttribute('has_bias', bias !== undefined),
    intAttribute('activation', activation === undefined ? NO_ACTIVATION : ACTIVATION_KINDS[activation]),
    intsAttribute(
      'columns',
      changes.flatMap(({ from, to }) => [from, to]),
    ),
    floatAttribute('scale', changes[0]?.scale ?? 0),
  ];
  // In the order of the op's inputs. What is not there is replaced by x, which the op does not read then.
  const inputs = [x, isFrozen ? undefined : weight, isFrozen ? undefined : bias, residual, a, b];
  const op = tf.customGrad((...given: unknown[]) => {
    const save = given.at(-1) as Save;
    const present = given.slice(0, -1) as Tensor[];
    const own = inputs.map((input) => (input === undefined ? undefined : present.shift()));
    const [source, trained = weight, shift = bias, added, left, right] = own as [Tensor2D, ...(Tensor | undefined)[]];
    const [value, slopes, low] = executeNative(
      'PlumblineLinear',
      [...attributes, flagAttribute('has_residual', residual !== undefined)],
      [source, trained, shift ?? source, added ?? source, left ?? source, right ?? source],
      [shape, [activation === undefined ? 0 : rows, out], [rows, a?.shape[1] ?? 0]],
    ) as [Tensor, Tensor, Tensor];
    save([source, trained, slopes, low, left ?? source, right ?? source]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const shapes = [
          x.shape,
          isFrozen ? [0] : weight.shape,
          [isFrozen || bias === undefined ? 0 : out],
          [x.shape[1], a?.shape[1] ?? 0],
          b?.shape ?? [0, 0],
        ];
        const [dx, dw, dbias, da, db] = executeNative('PlumblineLinearGradient', attributes, [dy, ...saved], shapes);
        const slopesOfAll = [dx, dw, dbias, residual === undefined ? undefined : tf.clone(dy), da, db];
        return slopesOfAll.filter((_, i) => inputs[i] !== undefined) as Tensor[];
      },
    };
  });
  return op(...(inputs.filter((one) => one !== undefined) as Tensor[])) as Tensor2D;
}

function sideBySide(parts: readonly Tensor2D[]): Tensor2D {
  return parts.length === 1 ? (parts[0] as Tensor2D) : (tf.concat([...parts], 1) as Tensor2D);
}
