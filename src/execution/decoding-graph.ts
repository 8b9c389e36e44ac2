/** Passes that decode, as graphs on a cache of keys and values: one that reads prompts, one that reads a token a row. */
import type { Engine, HostValues } from '../graph/engine.ts';
import type { Port, Variable } from '../graph/graph.ts';
import type { Tracer } from '../graph/trace.ts';
import type { Join } from '../model/decoder.ts';
import { behind, decode, selectPositions } from '../model/decoder.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { tokenLogits } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Tensor1D, Tensor2D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { DecodingCache } from './decoding-cache.ts';
import { putIntoCache, wholeCache } from './decoding-cache.ts';
import { modelGraph } from './model-graph.ts';

/** What a pass reads: whole prompts, or one token a row beside the cache. */
export type DecodingKind = 'prompts' | 'token';

/** What is made of the logits of each line's last token, in the same graph. */
export interface LogitsReader {
  /** Differs wherever `read` would compute something else. */
  readonly key: string;
  /** @param logits [lines, vocab] */
  readonly read: (logits: Tensor2D, arrays: Tensors) => Readonly<Record<string, Tensor1D | Tensor2D>>;
}

/**
 * A pass for arrays of these shapes: it writes keys and values into the cache and gives what the reader makes.
 * @param like decoder inputs, `slots` (int32, the line of the cache of each fresh key), and what the reader reads
 * @throws CompileError where it cannot be traced; nothing has run then
 */
export function decodingPass(
  engine: Engine,
  model: Model,
  like: HostArrays,
  { kind, cache, reader }: { kind: DecodingKind; cache: DecodingCache; reader: LogitsReader },
): (arrays: HostArrays) => Partial<Record<string, HostValues>> {
  const { dimensions } = model;
  const build = (weights: Weights, arrays: Tensors, tracer: Tracer) => {
    const slots = tracer.port(pick<Tensor1D>(arrays, 'slots'));
    const put = (variable: Variable, fresh: Tensor4D) => putIntoCache(engine, tracer, variable, fresh, slots);
    const inputs = inputsFrom(dimensions, arrays);
    const { hidden, targets } = PASSES[kind]({ dimensions, weights, inputs, tracer, cache, put });
    const read = Object.entries(reader.read(tokenLogits(dimensions, weights, hidden), arrays));
    const outputs = Object.fromEntries(read.map(([name, tensor]) => [name, tracer.port(tensor)]));
    return { outputs, targets: { cache: targets } };
  };
  const graph = modelGraph(engine, model, `${kind}, ${cache.name} ${reader.key}`, like, build, cache.narrow);
  return (arrays) => graph.run(arrays, ['cache']);
}

/** What both passes are given. */
interface Pass {
  readonly dimensions: ModelDimensions;
  readonly weights: Weights;
  readonly inputs: DecoderInputs;
  readonly tracer: Tracer;
  readonly cache: DecodingCache;
  readonly put: (variable: Variable, fresh: Tensor4D) => ReturnType<Tracer['node']>;
}

const PASSES = { prompts: readPrompts, token: readToken };

/** The states of the last column [lines, d_model], and what writes keys and values into the cache. */
function readPrompts({ dimensions, weights, inputs, cache, put }: Pass) {
  const { hidden, present } = decode(dimensions, weights, inputs, { join: behind([]) });
  const last = Int32Array.from({ length: inputs.batch }, (_, row) => (row + 1) * inputs.seq - 1);
  const targets = present.flatMap(({ keys, values }, layer) => {
    const kept = cache.layers[layer] as DecodingCache['layers'][number];
    return [put(kept.keys, keys).operation, put(kept.values, values).operation];
  });
  return { hidden: selectPositions(hidden, tf.tensor1d(last, 'int32')), targets };
}

/** The states of one token a row; attention reads what is written, so nothing else has to. */
function readToken({ dimensions, weights, inputs, tracer, cache, put }: Pass) {
  const size = { rows: inputs.batch, kvHeads: dimensions.kvHeads };
  const whole = (variable: Variable, fresh: Tensor4D) =>
    wholeCache(tracer, put(variable, fresh).outputs[0] as Port, size);
  const join: Join = (layer, fresh) => {
    const kept = cache.layers[layer] as DecodingCache['layers'][number];
    return { keys: whole(kept.keys, fresh.keys), values: whole(kept.values, fresh.values) };
  };
  return { hidden: decode(dimensions, weights, inputs, { join }).hidden, targets: [] };
}
