/** Cross-entropy of hidden states against a large vocabulary, a few rows of logits at a time. */
import { sparseCrossEntropyWithSlope } from './cross-entropy.ts';
import { logitsGradient, product } from './products.ts';
import { capSlope, softCap } from './soft-cap.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import type { Weight } from './weights.ts';
import { trainedOf, withTrained } from './weights.ts';

/** The matrix that turns hidden states into logits: [d_model, vocab], or [vocab, d_model] where it is the embedding. */
export interface Projection {
  readonly matrix: Weight;
  readonly transposeB: boolean;
  readonly vocab: number;
  /** Bounds the logits, see `softCap`; null where nothing does. */
  readonly softCap: number | null;
}

/** hidden [rows, d_model] → logits [rows, vocab] */
export function logitsOf(hidden: Tensor2D, { matrix, transposeB, softCap: cap }: Projection): Tensor2D {
  const logits = product(hidden, matrix, { transposeB });
  return cap === null ? logits : softCap(logits, cap);
}

/** Logits held at a time: 128 MB of float32. Smaller products are made whole. */
const CHUNK_ELEMENTS = 2 ** 25;

/** Rows of logits that are made at a time; all of them where they are few. */
export function rowsPerChunk(rows: number, vocab: number): number {
  return Math.min(rows, Math.max(1, Math.floor(CHUNK_ELEMENTS / vocab)));
}

/**
 * −log softmax(hidden · W / temperature)[label] for each row, in nats, without ever holding [rows, vocab]: the gradient
 * computes the logits of each chunk again.
 * @param hidden [rows, d_model]
 * @param labels [rows], int32
 * @param chunk  rows at a time
 * @returns [rows]
 */
export function projectedCrossEntropy(
  hidden: Tensor2D,
  head: Projection,
  labels: Tensor1D,
  { temperature, chunk }: { temperature: number; chunk: number },
): Tensor1D {
  const { matrix, transposeB, softCap: cap } = head;
  const [rows, width] = hidden.shape;
  const starts = Array.from({ length: Math.ceil(rows / chunk) }, (_, i) => i * chunk);
  /** Losses of some rows, their logits, and the slope of the losses by these. */
  const lossOf = (states: Tensor2D, weight: Weight, start: number) => {
    const size = Math.min(chunk, rows - start);
    const some = tf.slice(states, [start, 0], [size, width]) as Tensor2D;
    const logits = logitsOf(some, { ...head, matrix: weight });
    const scaled = temperature === 1 ? logits : tf.div(logits, temperature);
    return { some, size, logits, ...sparseCrossEntropyWithSlope(scaled as Tensor2D, tf.slice(labels, start, size)) };
  };
  /** Gradients of some rows: by their states, and by the weight where it is trained, added to those so far. */
  const gradientsOf = (states: Tensor2D, weight: Weight, start: number, dy: Tensor, total: Tensor | null): Tensor[] => {
    const { some, size, logits, slope } = lossOf(states, weight, start);
    const scaled = tf.div(tf.slice(dy as Tensor1D, start, size), temperature);
    const dCapped = tf.mul(slope, tf.expandDims(scaled, 1)) as Tensor2D;
    const dLogits = cap === null ? dCapped : capSlope(dCapped, logits, cap);
    const back = product(dLogits, weight, { transposeB: !transposeB });
    if (trained.length === 0) return [back];
    const dWeight = logitsGradient(dLogits, some, weight, transposeB);
    return [back, total === null ? dWeight : tf.add(total, dWeight)];
  };
  const trained = trainedOf({ matrix });
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [states, ...rest] = inputs.slice(0, -1) as [Tensor2D, ...Tensor[]];
    const save = inputs.at(-1) as (tensors: Tensor[]) => void;
    save([states, ...rest]);
    const losses = starts.map((start) => tf.tidy(() => lossOf(states, matrix, start).loss));
    return {
      value: losses.length === 1 ? (losses[0] as Tensor1D) : (tf.concat(losses) as Tensor1D),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [from, ...weights] = saved as [Tensor2D, ...Tensor[]];
        const held = withTrained({ matrix }, weights).matrix as Weight;
        const pieces: Tensor2D[] = [];
        let total: Tensor | null = null;
        for (const start of starts) {
          const found = tf.tidy(() => gradientsOf(from, held, start, dy, total)) as [Tensor2D, Tensor | undefined];
          pieces.push(found[0]);
          if (found[1] === undefined) continue;
          (total as Tensor | null)?.dispose();
          total = found[1];
        }
        const dHidden = tf.concat(pieces) as Tensor2D;
        return total === null ? dHidden : [dHidden, total];
      },
    };
  });
  return op(hidden, ...(trained as Tensor1D[])) as Tensor1D;
}
