/** Picks rows of a matrix: the embedding lookup, and the reading of hidden states at chosen positions. And the reverse, sums. */

import { currentLane } from './lane.ts';
import { executeRaw, typeAttribute } from './raw-op.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';

/**
 * rows[i] = table[indices[i]]. The gradient adds up where an index repeats. Indices out of range are the
 * caller's fault: on the tensorflow lane they are not checked on the host, because that would stall the device.
 * @param table   [rows, width], float32
 * @param indices [count], int32
 * @returns [count, width]
 */
export function gatherRows(table: Tensor2D, indices: Tensor1D): Tensor2D {
  const rows = table.shape[0];
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source] = inputs as [Tensor2D];
    return { value: gather(source, indices), gradFunc: (dy: Tensor) => scatterAdd(dy as Tensor2D, indices, rows) };
  });
  return op(table) as Tensor2D;
}

/** tfjs's own gather reads the indices back to check their range at every call; the raw op does not. */
function gather(table: Tensor2D, indices: Tensor1D): Tensor2D {
  if (currentLane() !== 'tensorflow') return tf.gather(table, indices);
  const attributes = [
    { name: 'batch_dims', type: 'int', value: 0 } as const,
    typeAttribute('Tparams', 'float32'),
    typeAttribute('Tindices', 'int32'),
    typeAttribute('Taxis', 'int32'),
  ];
  return executeRaw('GatherV2', attributes, [table, indices, tf.scalar(0, 'int32')], 1)[0] as Tensor2D;
}

function scatterAdd(dy: Tensor2D, indices: Tensor1D, rows: number): Tensor2D {
  return tf.unsortedSegmentSum(dy, indices, rows);
}

/**
 * Sums of rows that have the same index, without a matrix product, which a narrower precision would round.
 * @param rows    [count, width], float32
 * @param indices [count], int32, each below `groups`
 * @returns [groups, width], 0 where no row is
 */
export function sumRows(rows: Tensor2D, indices: Tensor1D, groups: number): Tensor2D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [source] = inputs as [Tensor2D];
    return { value: scatterAdd(source, indices, groups), gradFunc: (dy: Tensor) => gather(dy as Tensor2D, indices) };
  });
  return op(rows) as Tensor2D;
}
