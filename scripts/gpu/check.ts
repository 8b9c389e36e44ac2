/** Whether a GPU computes what the CPU does, and multiplies in the precision that it was asked for. */
import type { Numbers, Precision } from './numbers.ts';

/** One thing that should hold. */
export interface Finding {
  readonly what: string;
  readonly expected: string;
  readonly received: string;
  readonly holds: boolean;
}

/** Float32 sums in another order: losses, as a share of them. */
const SAME_LOSS = 1e-5;
/** The same for log-probabilities, in nats. */
const SAME_LOG_PROB = 1e-4;

/**
 * Errors that products may have. Both operands are rounded, each by at most half a unit of its last bit: 2⁻¹¹ of it in
 * TensorFloat-32 (10 bits of mantissa), 2⁻⁸ in bfloat16 (7 bits), and twice that where they are cut off instead. The root
 * mean square is about half of it for random numbers: 2.8e-4, and 2.9e-3 with the product rounded, too.
 */
const ERRORS: Readonly<Record<Precision, readonly [number, number]>> = {
  f32: [0, 2 ** -16],
  tf32: [2 ** -13, 2 ** -9],
  bf16: [2 ** -10, 2 ** -7],
};

/**
 * Judges numbers of a device in all precisions, with XLA and the CPU's in float32.
 * @param xla null where graphs cannot be compiled by XLA
 * @param hasTensorFloat32 null where that is not known: then float32 is right, too
 */
export function findingsOf(
  device: Readonly<Record<Precision, Numbers>>,
  { cpu, xla }: { readonly cpu: Numbers; readonly xla: Numbers | null },
  hasTensorFloat32: boolean | null,
): Finding[] {
  const { f32, tf32, bf16 } = device;
  const tensorFloat = { true: ['tf32'], false: ['f32'], null: ['f32', 'tf32'] } as const;
  return [
    same('compiled and eager steps, f32: losses', f32.compiled, f32.eager),
    same('this device and the CPU, f32: losses', f32.compiled, cpu.compiled),
    ...(xla === null ? [] : [same('compiled by XLA and eager steps, f32: losses', xla.compiled, f32.eager)]),
    {
      what: 'drawn with a cache and in a full pass, f32: log-probabilities',
      expected: `differences up to ${SAME_LOG_PROB} nats`,
      received: f32.cacheError.toExponential(1),
      holds: f32.cacheError <= SAME_LOG_PROB,
    },
    product(f32, 'f32', ['f32']),
    product(tf32, 'tf32', tensorFloat[`${hasTensorFloat32}`]),
    product(bf16, 'bf16', ['bf16']),
  ];
}

function same(what: string, these: readonly number[], those: readonly number[]): Finding {
  const shares = these.map((value, i) => Math.abs(value / (those[i] ?? Number.NaN) - 1));
  const largest = Math.max(...shares);
  return {
    what,
    expected: `differences up to ${SAME_LOSS} of them`,
    received: largest.toExponential(1),
    // NaN compares false with everything.
    holds: largest <= SAME_LOSS,
  };
}

function product({ productError }: Numbers, asked: Precision, right: readonly Precision[]): Finding {
  const ranges = right.map((precision) => ERRORS[precision]);
  return {
    what: `products in ${asked}: error`,
    expected: ranges.map(([low, high]) => `${low.toExponential(1)} to ${high.toExponential(1)}`).join(' or '),
    received: productError.toExponential(1),
    holds: ranges.some(([low, high]) => productError >= low && productError <= high),
  };
}
