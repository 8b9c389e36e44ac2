/** Drawing tokens inside a graph, where sampling is plain. */
import type { Port } from '../graph/graph.ts';
import type { Tracer } from '../graph/trace.ts';
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Sampling } from './sample-token.ts';

/** True where a token is drawn from the whole distribution, or the likeliest taken: the graph can do that. */
export function isPlain({ topK, topP, minP = 0, repetitionPenalty = 1 }: Sampling): boolean {
  return topK === 0 && topP >= 1 && minP === 0 && repetitionPenalty === 1;
}

/**
 * Logits for the host to draw from, or the tokens drawn and their log-probabilities.
 * @param logits [rows, vocab]
 * @param arrays `uniform` [rows] and `temperature`, where tokens are drawn here and not the likeliest taken
 */
export function drawInGraph(
  tracer: Tracer,
  logits: Tensor2D,
  arrays: Tensors,
  sampling: Sampling,
): Record<string, Port> {
  if (!isPlain(sampling)) return { logits: tracer.port(logits) };
  const isGreedy = sampling.temperature === 0;
  const scaled: Tensor2D = isGreedy ? logits : tf.div(logits, pick<Scalar>(arrays, 'temperature'));
  const top = tf.max(scaled, 1, true);
  const weights = tf.exp(tf.sub(scaled, top));
  const ids = isGreedy ? tf.argMax(logits, 1) : inverse(weights as Tensor2D, pick(arrays, 'uniform'));
  const chosen = tf.sum(tf.mul(scaled, tf.oneHot(ids as Tensor1D, logits.shape[1])), 1);
  const logTotal = tf.log(tf.sum(weights, 1));
  const logProbs = tf.sub(tf.sub(chosen, tf.squeeze(top, [1])), logTotal);
  return { ids: tracer.port(tf.cast(ids, 'int32')), logProbs: tracer.port(logProbs) };
}

/** The first token at which the sum of the weights passes the given share of their total. weights [rows, vocab] → [rows] */
function inverse(weights: Tensor2D, uniform: Tensor1D): Tensor1D {
  const sums = tf.cumsum(weights, 1);
  const [rows, vocab] = weights.shape;
  const total = tf.slice(sums, [0, vocab - 1], [rows, 1]);
  const reached = tf.lessEqual(sums, tf.mul(tf.expandDims(uniform, 1), total));
  // Counted in float32, exactly: TensorFlow adds int32 on the CPU, and a GPU would have to send it all of them.
  const count = tf.minimum(tf.sum(tf.cast(reached, 'float32'), 1), tf.scalar(vocab - 1));
  return tf.cast(count, 'int32') as Tensor1D;
}
