/** Matrices kept in bfloat16 on the tensorflow lane: pairs in the bits of float32 tensors, widened where they are used. */
import { toBfloat16 } from './half-precision.ts';
import { sharableFloat32 } from './host-memory.ts';
import { currentLane } from './lane.ts';
import { executeChain } from './raw-op.ts';
import type { Tensor } from './tf.ts';
import { tf } from './tf.ts';

/** True where tensors can be kept in bfloat16: on the tensorflow lane, and two values to a float32 word. */
export function canStoreBfloat16(shape: readonly number[]): boolean {
  return currentLane() === 'tensorflow' && shape.length === 2 && (shape[1] as number) % 2 === 0;
}

/**
 * Uploads a matrix as bfloat16. TensorFlow.js has no such type, so two values lie in the bits of one float32.
 * @param values [rows, columns]
 * @returns [rows, columns / 2], bits that only `widen` understands
 */
export function packBfloat16(
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  allocate = sharableFloat32,
): Tensor {
  const bits = allocate(values.length / 2);
  toBfloat16(values, new Uint16Array(bits.buffer, bits.byteOffset, values.length));
  return tf.tensor2d(bits, [rows, columns / 2]);
}

/** The float32 matrix [rows, columns] that packed bits [rows, columns / 2] stand for: exact, on the device. */
export function widen(bits: Tensor): Tensor {
  const [rows, half] = bits.shape as [number, number];
  const pairs = executeChain(bits, [
    { name: 'Bitcast', types: { T: 'float32', type: 'bfloat16' } },
    { name: 'Cast', types: { SrcT: 'bfloat16', DstT: 'float32' }, flags: { Truncate: false } },
  ]); // [rows, columns / 2, 2]
  return tf.reshape(pairs, [rows, 2 * half]);
}
