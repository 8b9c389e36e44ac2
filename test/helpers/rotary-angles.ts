/** The angles of rotary positions as tensors. */
import { uploadArrays } from '../../src/tensor/host-arrays.ts';
import type { RotaryAngles, RotarySize } from '../../src/tensor/rope.ts';
import { rotaryArrays } from '../../src/tensor/rope.ts';

/** The caller disposes them. */
export function rotaryAngles(positions: Int32Array, size: RotarySize): RotaryAngles {
  return uploadArrays(rotaryArrays(positions, size)) as unknown as RotaryAngles;
}
