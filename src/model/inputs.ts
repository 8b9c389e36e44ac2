/** Decoder inputs made on the host from ids, segments and positions. */

import { MASKED_SCORE } from '../tensor/attention.ts';
import type { RotaryAngles } from '../tensor/rope.ts';
import { rotaryAngles } from '../tensor/rope.ts';
import type { Tensor1D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { ModelDimensions } from './dimensions.ts';
import { rotaryWidth } from './dimensions.ts';

/** A batch of token rows on the host; all arrays are [batch · seq]. */
export interface TokenBatch {
  readonly batch: number;
  readonly seq: number;
  readonly ids: Int32Array;
  /** Which example a token belongs to: 1, 2, … in a packed row, 0 for padding. Attention never crosses segments. */
  readonly segments: Int32Array;
  /** Position within the segment. */
  readonly positions: Int32Array;
}

/** Tensors the decoder reads. */
export interface DecoderInputs {
  readonly batch: number;
  readonly seq: number;
  /** [batch · seq] int32 */
  readonly ids: Tensor1D;
  /** [batch · seq] int32 */
  readonly positions: Tensor1D;
  /** Attention biases by window (null: no limit), each [batch, 1, seq, keys]. */
  readonly biases: ReadonlyMap<number | null, Tensor4D>;
  readonly rotary: RotaryAngles | null;
}

/** The bias of layers with this window. */
export function biasOf(inputs: DecoderInputs, window: number | null): Tensor4D {
  return inputs.biases.get(window) as Tensor4D;
}

/** Uploads a batch for a full forward pass: causal within each segment. The caller disposes the tensors. */
export function decoderInputs(dimensions: ModelDimensions, tokens: TokenBatch): DecoderInputs {
  const { batch, seq, segments } = tokens;
  return withPositions(dimensions, tokens, (window) => {
    const bias = new Float32Array(batch * seq * seq).fill(MASKED_SCORE);
    for (let row = 0; row < batch; row++) {
      for (let to = 0; to < seq; to++) {
        const segment = segments[row * seq + to];
        // A padding row attends to itself alone, so that its softmax stays defined; nothing ever reads it.
        const line = (row * seq + to) * seq;
        bias[line + to] = 0;
        const first = window === null ? 0 : Math.max(0, to - window + 1);
        for (let from = first; segment !== 0 && from < to; from++) {
          if (segments[row * seq + from] === segment) bias[line + from] = 0;
        }
      }
    }
    return tf.tensor4d(bias, [batch, 1, seq, seq]);
  });
}

/**
 * Uploads one new token a row, to be read beside `past` cached ones.
 * @param visible [batch · (past + 1)], 1 where a key may be attended to (0 on left padding)
 */
export function stepInputs(
  dimensions: ModelDimensions,
  step: { ids: Int32Array; positions: Int32Array; visible: Uint8Array },
): DecoderInputs {
  const batch = step.ids.length;
  const keys = step.visible.length / batch;
  const tokens = { batch, seq: 1, ids: step.ids, segments: step.ids, positions: step.positions };
  return withPositions(dimensions, tokens, (window) => {
    // The columns of a row follow one another without gaps, so a distance in columns is one in positions.
    const first = window === null ? 0 : keys - window;
    const bias = Float32Array.from(step.visible, (flag, i) => (flag && i % keys >= first ? 0 : MASKED_SCORE));
    return tf.tensor4d(bias, [batch, 1, 1, keys]);
  });
}

function withPositions(
  dimensions: ModelDimensions,
  tokens: TokenBatch,
  biasFor: (window: number | null) => Tensor4D,
): DecoderInputs {
  const { batch, seq, ids, positions } = tokens;
  const { windows, ropeTheta: theta, ropeScaling: scaling } = dimensions;
  const distinct = new Set(windows.length === 0 ? [null] : windows);
  return {
    batch,
    seq,
    // Copies: the backend may go on reading an array after the upload call returns.
    ids: tf.tensor1d(ids.slice(), 'int32'),
    positions: tf.tensor1d(positions.slice(), 'int32'),
    biases: new Map([...distinct].map((window) => [window, biasFor(window)])),
    rotary:
      dimensions.positions === 'rotary'
        ? rotaryAngles(positions, { batch, seq, width: rotaryWidth(dimensions), theta, scaling })
        : null,
  };
}

/** Frees the tensors of decoder inputs. */
export function disposeInputs(inputs: DecoderInputs): void {
  tf.dispose([inputs.ids, inputs.positions, ...inputs.biases.values()]);
  if (inputs.rotary !== null) tf.dispose([inputs.rotary.cos, inputs.rotary.sin]);
}
