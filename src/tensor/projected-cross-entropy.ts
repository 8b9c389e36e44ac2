/** Cross-entropy of hidden states against a large vocabulary, a few rows of logits at a time. */
import { sparseCrossEntropyWithSlope } from './cross-entropy.ts';
import { usesNativeOps } from './native-ops.ts';
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

/** How a large head is read. */
interface ChunkOptions {
  readonly temperature: number;
  /** Rows at a time. */
  readonly chunk: number;
}

/** Losses of some rows, and their slope by the logits. */
interface Part {
  readonly some: Tensor2D;
  readonly logits: Tensor2D;
  readonly loss: Tensor1D;
  readonly slope: Tensor2D;
}

/**
 * −log softmax(hidden · W / temperature)[label] for each row, in nats, without ever holding [rows, vocab].
 * @param hidden [rows, d_model]
 * @param labels [rows], int32
 * @returns [rows]
 */
export function projectedCrossEntropy(
  hidden: Tensor2D,
  head: Projection,
  labels: Tensor1D,
  { temperature, chunk }: ChunkOptions,
): Tensor1D {
  const [rows, width] = hidden.shape;
  const starts = Array.from({ length: Math.ceil(rows / chunk) }, (_, i) => i * chunk);
  const partOf = (states: Tensor2D, matrix: Weight, start: number): Part => {
    const size = Math.min(chunk, rows - start);
    const some = tf.slice(states, [start, 0], [size, width]) as Tensor2D;
    const logits = logitsOf(some, { ...head, matrix });
    const scaled = temperature === 1 ? logits : (tf.div(logits, temperature) as Tensor2D);
    return { some, logits, ...sparseCrossEntropyWithSlope(scaled, tf.slice(labels, start, size)) };
  };
  const trained = trainedOf({ matrix: head.matrix });
  const takesBoth = trained.length === 0 && usesNativeOps();
  return takesBoth
    ? withSlopes(hidden, head, temperature, starts, partOf)
    : withLogitsAgain(hidden, trained, head, temperature, starts, partOf);
}

type PartOf = (states: Tensor2D, matrix: Weight, start: number) => Part;

/**
 * Of a frozen head: the slopes by the states are made with the losses, for a loss of 1, and kept. For native ops, where steps are
 * graphs: a pass that asks for no gradient does not compute them.
 */
function withSlopes(
  hidden: Tensor2D,
  head: Projection,
  temperature: number,
  starts: readonly number[],
  partOf: PartOf,
): Tensor1D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [states, save] = inputs as [Tensor2D, (tensors: Tensor[]) => void];
    const factor = temperature === 1 ? null : tf.scalar(1 / temperature);
    const parts = starts.map((start) =>
      tf.tidy(() => {
        const part = partOf(states, head.matrix, start);
        return [part.loss, backOf(logitSlopes(part, factor, head), head)];
      }),
    ) as [Tensor1D, Tensor2D][];
    save([tf.concat(parts.map(([, slopes]) => slopes))]);
    return {
      value: tf.concat(parts.map(([loss]) => loss)) as Tensor1D,
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0] as Tensor, tf.expandDims(dy, 1)),
    };
  });
  return op(hidden) as Tensor1D;
}

/** The gradient computes the logits of each chunk again. */
function withLogitsAgain(
  hidden: Tensor2D,
  trained: Tensor[],
  head: Projection,
  temperature: number,
  starts: readonly number[],
  partOf: PartOf,
): Tensor1D {
  /** Gradients of some rows: by their states, and by the weight where it is trained, added to those so far. */
  const gradientsOf = (states: Tensor2D, matrix: Weight, start: number, dy: Tensor, total: Tensor | null): Tensor[] => {
    const part = partOf(states, matrix, start);
    const scaled = tf.div(tf.slice(dy as Tensor1D, start, part.some.shape[0]), temperature);
    const dLogits = logitSlopes(part, tf.expandDims(scaled, 1), head);
    const back = backOf(dLogits, { ...head, matrix });
    if (trained.length === 0) return [back];
    const dWeight = logitsGradient(dLogits, part.some, matrix, head.transposeB);
    return [back, total === null ? dWeight : tf.add(total, dWeight)];
  };
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [states, ...rest] = inputs.slice(0, -1) as [Tensor2D, ...Tensor[]];
    const save = inputs.at(-1) as (tensors: Tensor[]) => void;
    save([states, ...rest]);
    const losses = starts.map((start) => tf.tidy(() => partOf(states, head.matrix, start).loss));
    return {
      value: losses.length === 1 ? (losses[0] as Tensor1D) : (tf.concat(losses) as Tensor1D),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [from, ...weights] = saved as [Tensor2D, ...Tensor[]];
        const held = withTrained({ matrix: head.matrix }, weights).matrix as Weight;
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

/** The slope of factor · loss by the logits before their cap; null is 1. */
function logitSlopes({ logits, slope }: Part, factor: Tensor | null, { softCap: cap }: Projection): Tensor2D {
  const capped = factor === null ? slope : (tf.mul(slope, factor) as Tensor2D);
  return cap === null ? capped : capSlope(capped, logits, cap);
}

/** From slopes by the logits to those by the states. */
function backOf(dLogits: Tensor2D, { matrix, transposeB }: Projection): Tensor2D {
  return product(dLogits, matrix, { transposeB: !transposeB });
}
