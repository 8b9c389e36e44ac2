/** Cross-entropy of hidden states against a large vocabulary, a few rows of logits at a time. */
import { sparseCrossEntropyWithSlope } from './cross-entropy.ts';
import type { Tensor, Tensor1D, Tensor2D } from './tf.ts';
import { tf } from './tf.ts';
import type { Weight } from './weights.ts';
import { product, trainedOf, withTrained } from './weights.ts';

/** The matrix that turns hidden states into logits: [d_model, vocab], or [vocab, d_model] where it is the embedding. */
export interface Projection {
  readonly matrix: Weight;
  readonly transposeB: boolean;
  readonly vocab: number;
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
  { matrix, transposeB }: Projection,
  labels: Tensor1D,
  { temperature, chunk }: { temperature: number; chunk: number },
): Tensor1D {
  const [rows, width] = hidden.shape;
  const starts = Array.from({ length: Math.ceil(rows / chunk) }, (_, i) => i * chunk);
  const part = (states: Tensor, at: number) => {
    const size = Math.min(chunk, rows - at);
    return {
      states: tf.slice(states as Tensor2D, [at, 0], [size, width]),
      labels: tf.slice(labels, at, size),
      at,
      size,
    };
  };
  const logitsOf = (states: Tensor2D, weight: Weight): Tensor2D => {
    const logits = product(states, weight, { transposeB });
    return temperature === 1 ? logits : tf.div(logits, temperature);
  };
  const trained = trainedOf({ matrix });
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [states, ...rest] = inputs.slice(0, -1) as [Tensor2D, ...Tensor[]];
    const save = inputs.at(-1) as (tensors: Tensor[]) => void;
    save([states, ...rest]);
    const losses = starts.map((start) =>
      tf.tidy(() => {
        const { states: some, labels: wanted } = part(states, start);
        return sparseCrossEntropyWithSlope(logitsOf(some, matrix), wanted).loss;
      }),
    );
    return {
      value: losses.length === 1 ? (losses[0] as Tensor1D) : (tf.concat(losses) as Tensor1D),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [from, ...weights] = saved as [Tensor2D, ...Tensor[]];
        const held = withTrained({ matrix }, weights).matrix as Weight;
        const pieces: Tensor2D[] = [];
        let total: Tensor | null = null;
        for (const start of starts) {
          const [dStates, dMatrix] = tf.tidy(() => {
            const { states: some, labels: wanted, at, size } = part(from, start);
            const { slope } = sparseCrossEntropyWithSlope(logitsOf(some, held), wanted);
            const scaled = tf.div(tf.slice(dy as Tensor1D, at, size), temperature);
            const dLogits = tf.mul(slope, tf.expandDims(scaled, 1)) as Tensor2D;
            const back = product(dLogits, held, { transposeB: !transposeB });
            if (weights.length === 0) return [back];
            const dWeight = transposeB ? tf.matMul(dLogits, some, true, false) : tf.matMul(some, dLogits, true, false);
            return [back, total === null ? dWeight : tf.add(total, dWeight)];
          }) as [Tensor2D, Tensor | undefined];
          pieces.push(dStates);
          if (dMatrix !== undefined) {
            (total as Tensor | null)?.dispose();
            total = dMatrix;
          }
        }
        const dHidden = tf.concat(pieces) as Tensor2D;
        return total === null ? dHidden : [dHidden, total];
      },
    };
  });
  return op(hidden, ...(trained as Tensor1D[])) as Tensor1D;
}
