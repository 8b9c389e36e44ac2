/** Decoding as two graphs, one for the prompts and one for a token a row, with the cache kept in variables. */
import type { Engine } from '../compile/engine.ts';
import type { Compiled } from '../compile/function.ts';
import type { Attribute, Port, Variable } from '../compile/graph.ts';
import { FLOAT32 } from '../compile/graph.ts';
import type { Tracer } from '../compile/trace.ts';
import { createVariable, destroyVariables, readVariable } from '../compile/variables.ts';
import type { KeyValues } from '../model/decoder.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import { inputArrays, inputsFrom, stepArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelGraph, ofModel } from '../steps/model-graph.ts';
import type { HostArray, HostArrays } from '../tensor/host-arrays.ts';
import { number, pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Decoding, DecodingOptions, Drawing, Drawn } from './decoding.ts';
import { drawOnHost } from './decoding.ts';
import type { Sampling } from './sample-token.ts';

/** Prompts and caches are as long as a multiple of this, so that few distinct shapes occur. */
const COLUMN_BUCKET = 16;

type Cache = readonly { readonly keys: Variable; readonly values: Variable }[];

/** Decodes inside TensorFlow; tokens are drawn there too where sampling is plain. */
export function compiledDecoding(engine: Engine, { model, prompts, maxNewTokens, drawing }: DecodingOptions): Decoding {
  const { batch } = prompts;
  const seq = bucket(prompts.seq);
  const keys = bucket(seq + maxNewTokens);
  const cache = cacheOf(engine, model, batch, keys);
  const visible = new Uint8Array(batch * keys);
  const wide = widen(prompts, seq);
  for (let row = 0; row < batch; row++)
    visible.set(wide.attentionMask.subarray(row * seq, (row + 1) * seq), row * keys);
  let column = seq;
  engine.decoding += 1;
  const next = (graphOf: (like: HostArrays) => Compiled<string>, arrays: HostArrays): Drawn => {
    // Traced before anything is drawn: where that fails, eager decoding starts from the same random state.
    const graph = graphOf({ ...arrays, ...drawArrays(batch, { ...drawing, draws: () => false }) });
    return drawNext(graph, { ...arrays, ...drawArrays(batch, drawing) }, batch, drawing);
  };
  return {
    start: () => {
      const tokens = { batch, seq, ids: wide.ids, segments: wide.attentionMask, positions: wide.positions };
      return next(
        (like) => promptGraph(engine, model, like, cache, keys, drawing.sampling),
        inputArrays(model.dimensions, tokens),
      );
    },
    advance: (ids, positions) => {
      // A row that has ended must still see its own column, or its softmax would have nothing to sum over.
      for (let row = 0; row < batch; row++) visible[row * keys + column] = 1;
      const arrays = {
        ...stepArrays(model.dimensions, { ids, positions, visible, column }),
        column: vector(Int32Array.of(column)),
      };
      column += 1;
      return next((like) => stepGraph(engine, model, like, cache, drawing.sampling), arrays);
    },
    dispose: () => {
      engine.decoding -= 1;
      destroyVariables(
        engine,
        cache.flatMap((layer) => [layer.keys, layer.values]),
      );
    },
  };
}

function bucket(length: number): number {
  return Math.ceil(length / COLUMN_BUCKET) * COLUMN_BUCKET;
}

/** More padding on the left. */
function widen(prompts: DecodingOptions['prompts'], seq: number) {
  const wide = (values: Int32Array): Int32Array => {
    const all = new Int32Array(prompts.batch * seq);
    for (let row = 0; row < prompts.batch; row++) {
      all.set(values.subarray(row * prompts.seq, (row + 1) * prompts.seq), (row + 1) * seq - prompts.seq);
    }
    return all;
  };
  return { ids: wide(prompts.ids), attentionMask: wide(prompts.attentionMask), positions: wide(prompts.positions) };
}

/** One cache for each batch size and length; its memory is there only while a batch is decoded. */
function cacheOf(engine: Engine, { dimensions, parameters }: Model, batch: number, keys: number): Cache {
  return ofModel(engine, parameters, `cache of ${batch} × ${keys}`, () =>
    Array.from({ length: dimensions.layers }, () => {
      const shape = [batch * dimensions.kvHeads * keys, dimensions.headDim];
      return { keys: createVariable(engine, FLOAT32, shape), values: createVariable(engine, FLOAT32, shape) };
    }),
  );
}

/** True where a token is drawn from the whole distribution, or the likeliest taken: the graph can do that. */
function isPlain({ topK, topP, minP = 0, repetitionPenalty = 1 }: Sampling): boolean {
  return topK === 0 && topP >= 1 && minP === 0 && repetitionPenalty === 1;
}

/** One number in [0, 1) for each row that draws, in the order in which the host would have drawn them. */
function drawArrays(batch: number, { sampling, random, draws }: Drawing): HostArrays {
  if (!isPlain(sampling) || sampling.temperature === 0) return {};
  // Below 1 in float32, too: the sum of all weights is never passed.
  const draw = (row: number): number => (draws(row) ? Math.min(random.uniform(), 1 - 2 ** -24) : 0);
  const uniform = Float32Array.from({ length: batch }, (_, row) => draw(row));
  return { uniform: vector(uniform), temperature: number(sampling.temperature) };
}

function drawNext(graph: Compiled<string>, arrays: HostArrays, batch: number, drawing: Drawing): Drawn {
  const { logits, ids, logProbs } = graph.run(arrays, ['cache']);
  if (logits !== undefined) return drawOnHost(logits as Float32Array, batch, drawing);
  return Array.from({ length: batch }, (_, row) =>
    drawing.draws(row)
      ? { id: (ids as Int32Array)[row] as number, logProb: (logProbs as Float32Array)[row] as number }
      : null,
  );
}

function promptGraph(
  engine: Engine,
  model: Model,
  like: HostArrays,
  cache: Cache,
  keys: number,
  sampling: Sampling,
): Compiled<string> {
  return modelGraph(engine, model, `prompts, ${keys} ${samplingKey(sampling)}`, like, (weights, arrays, tracer) => {
    const { dimensions } = model;
    const inputs = inputsFrom(dimensions, arrays);
    const { hidden, present } = decode(dimensions, weights, inputs);
    const rows = Int32Array.from({ length: inputs.batch }, (_, row) => (row + 1) * inputs.seq - 1);
    const logits = tokenLogits(dimensions, weights, selectPositions(hidden, tf.tensor1d(rows, 'int32')));
    const targets = present.flatMap(({ keys: fresh, values }, layer) => {
      const { keys: keyCache, values: valueCache } = cache[layer] as Cache[number];
      return [fill(tracer, keyCache, fresh), fill(tracer, valueCache, values)];
    });
    return { outputs: nextTokens(tracer, logits, arrays, sampling), targets: { cache: targets } };
  });
}

const F: Attribute = { kind: 'type', value: FLOAT32 };

/** Sets a cache to the prompt's keys or values, with zeros in the columns to come. fresh [batch, kv_heads, seq, head_dim] */
function fill(tracer: Tracer, { handle, shape }: Variable, fresh: Tensor4D) {
  const [batch, heads, seq] = fresh.shape;
  const columns = (shape[0] as number) / (batch * heads) - seq;
  const padding: [number, number][] = [
    [0, 0],
    [0, 0],
    [0, columns],
    [0, 0],
  ];
  const whole = tf.reshape(tf.pad(fresh, padding), shape as [number, number]);
  return tracer.node({ op: 'AssignVariableOp', inputs: [handle, tracer.port(whole)], attributes: { dtype: F } })
    .operation;
}

/** Shape of the attention bias: [batch, 1, 1, keys]. */
function biasShape(arrays: HostArrays): [number, number, number, number] {
  const biases = Object.entries(arrays).filter(([name]) => name.startsWith('bias'));
  return (biases[0] as [string, HostArray])[1].shape as [number, number, number, number];
}

function stepGraph(engine: Engine, model: Model, like: HostArrays, cache: Cache, sampling: Sampling): Compiled<string> {
  const { dimensions } = model;
  const [batch, , , keys] = biasShape(like);
  return modelGraph(engine, model, `token, ${keys} ${samplingKey(sampling)}`, like, (weights, arrays, tracer) => {
    const starts = Int32Array.from({ length: batch * dimensions.kvHeads }, (_, head) => head * keys);
    const rows = tracer.port(tf.add(tf.tensor1d(starts, 'int32'), pick<Tensor1D>(arrays, 'column')));
    const join = (layer: number, fresh: KeyValues): KeyValues => {
      const { keys: keyCache, values: valueCache } = cache[layer] as Cache[number];
      return {
        keys: put(engine, tracer, keyCache, fresh.keys, rows),
        values: put(engine, tracer, valueCache, fresh.values, rows),
      };
    };
    const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays), [], { join });
    const logits = tokenLogits(dimensions, weights, hidden);
    return { outputs: nextTokens(tracer, logits, arrays, sampling), targets: { cache: [] } };
  });
}

/**
 * Writes one column of a cache where it lies, and gives the whole. InplaceUpdate changes the memory it is given, which is
 * the variable's own: nothing is copied, however long the cache (tensorflow/core/kernels/inplace_ops.cc).
 * @param fresh [batch, kv_heads, 1, head_dim]
 * @param rows  [batch · kv_heads], rows of the cache that are this column's
 */
function put(engine: Engine, tracer: Tracer, cache: Variable, fresh: Tensor4D, rows: Port): Tensor4D {
  const [batch, heads, , width] = fresh.shape;
  const flat = tf.reshape(fresh, [batch * heads, width]);
  const { outputs } = tracer.node({
    op: 'InplaceUpdate',
    inputs: [readVariable(engine, cache), rows, tracer.port(flat)],
    attributes: { T: F },
  });
  return tf.reshape(tracer.tensor(outputs[0] as Port), [batch, heads, -1, width]);
}

function samplingKey(sampling: Sampling): string {
  if (!isPlain(sampling)) return 'logits';
  return sampling.temperature === 0 ? 'greedy' : 'drawn';
}

/** Logits for the host to draw from, or the tokens drawn and their log-probabilities. logits [batch, vocab] */
function nextTokens(
  tracer: Tracer,
  logits: Tensor2D,
  arrays: Record<string, Tensor>,
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

/** The first token at which the sum of the weights passes the given share of their total. weights [batch, vocab] → [batch] */
function inverse(weights: Tensor2D, uniform: Tensor1D): Tensor1D {
  const sums = tf.cumsum(weights, 1);
  const [batch, vocab] = weights.shape;
  const total = tf.slice(sums, [0, vocab - 1], [batch, 1]);
  const reached = tf.lessEqual(sums, tf.mul(tf.expandDims(uniform, 1), total));
  return tf.minimum(tf.sum(tf.cast(reached, 'int32'), 1), tf.scalar(vocab - 1, 'int32')) as Tensor1D;
}
