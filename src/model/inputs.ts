/** Decoder inputs made on the host from ids, segments and positions. */

import type { TokenBatch } from '../batch/token-batch.ts';
import { MASKED_SCORE } from '../tensor/attention.ts';
import type { HostArray, HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick, uploadArrays, vector } from '../tensor/host-arrays.ts';
import type { RotaryAngles } from '../tensor/rope.ts';
import { rotaryArrays } from '../tensor/rope.ts';
import type { Tensor1D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { ModelDimensions } from './dimensions.ts';
import { rotaryWidth } from './dimensions.ts';

/** What of a batch a model reads: all but which tokens a loss is taken over. */
type ReadTokens = Omit<TokenBatch, 'learned'>;

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

/** What a full forward pass reads, causal within each segment. */
export function inputArrays(dimensions: ModelDimensions, tokens: ReadTokens): HostArrays {
  const { batch, seq, segments } = tokens;
  return arraysOf(dimensions, tokens, (window) => {
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
    return { shape: [batch, 1, seq, seq], values: bias };
  });
}

/** One new token a row. */
export interface TokenStep {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** [batch · keys], 1 where a key may be attended to (0 on left padding, and on columns that are still empty). */
  readonly visible: Uint8Array;
  /** [batch], the new token's column of each row; the last one where left out. */
  readonly columns?: Int32Array;
}

/** What one new token a row reads, beside cached ones. */
export function stepArrays(dimensions: ModelDimensions, step: TokenStep): HostArrays {
  const batch = step.ids.length;
  const keys = step.visible.length / batch;
  const tokens = { batch, seq: 1, ids: step.ids, segments: step.ids, positions: step.positions };
  return arraysOf(dimensions, tokens, (window) => {
    // The columns of a row follow one another without gaps, so a distance in columns is one in positions.
    const first = (row: number): number => (window === null ? 0 : (step.columns?.[row] ?? keys - 1) + 1 - window);
    const isSeen = (flag: number, i: number): boolean => flag === 1 && i % keys >= first(Math.floor(i / keys));
    const bias = Float32Array.from(step.visible, (flag, i) => (isSeen(flag, i) ? 0 : MASKED_SCORE));
    return { shape: [batch, 1, 1, keys], values: bias };
  });
}

function arraysOf(
  dimensions: ModelDimensions,
  { batch, seq, ids, positions }: ReadTokens,
  biasFor: (window: number | null) => HostArray,
): HostArrays {
  const { ropeTheta: theta, ropeScaling: scaling } = dimensions;
  const biases = windowsOf(dimensions).map((window) => [biasName(window), biasFor(window)] as const);
  return {
    ids: vector(ids),
    positions: vector(positions),
    ...Object.fromEntries(biases),
    ...(dimensions.positions === 'rotary' &&
      rotaryArrays(positions, { batch, seq, width: rotaryWidth(dimensions), theta, scaling })),
  };
}

/** The windows that occur, each once. */
function windowsOf({ windows }: ModelDimensions): (number | null)[] {
  return [...new Set(windows.length === 0 ? [null] : windows)];
}

function biasName(window: number | null): string {
  return window === null ? 'bias' : `bias within ${window}`;
}

/** Arrays of `inputArrays` or `stepArrays`, uploaded, as the decoder reads them. */
export function inputsFrom(dimensions: ModelDimensions, tensors: Tensors): DecoderInputs {
  const windows = windowsOf(dimensions);
  const biases = new Map(windows.map((window) => [window, pick<Tensor4D>(tensors, biasName(window))]));
  const [batch, , seq] = pick<Tensor4D>(tensors, biasName(windows[0] as number | null)).shape;
  const isRotary = dimensions.positions === 'rotary';
  return {
    batch,
    seq,
    ids: pick(tensors, 'ids'),
    positions: pick(tensors, 'positions'),
    biases,
    rotary: isRotary ? { cos: pick(tensors, 'cos'), sin: pick(tensors, 'sin') } : null,
  };
}

/** Uploads a batch for a full forward pass. The caller disposes the tensors. */
export function decoderInputs(dimensions: ModelDimensions, tokens: ReadTokens): DecoderInputs {
  return inputsFrom(dimensions, uploadArrays(inputArrays(dimensions, tokens)));
}

/** Uploads one new token a row; see `stepArrays`. */
export function stepInputs(dimensions: ModelDimensions, step: TokenStep): DecoderInputs {
  return inputsFrom(dimensions, uploadArrays(stepArrays(dimensions, step)));
}

/** Frees the tensors of decoder inputs. */
export function disposeInputs(inputs: DecoderInputs): void {
  tf.dispose([inputs.ids, inputs.positions, ...inputs.biases.values()]);
  if (inputs.rotary !== null) tf.dispose([inputs.rotary.cos, inputs.rotary.sin]);
}
