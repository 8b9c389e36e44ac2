/** Keys and values of rows in variables of the session, and with bfloat16 products the matrices that they are multiplied by. */

import type { Engine } from '../graph/engine.ts';
import { runGraph } from '../graph/engine.ts';
import type { Port, Variable } from '../graph/graph.ts';
import { addConstant, addNode, addOutput, BFLOAT16, FLOAT32, INT32, type } from '../graph/graph.ts';
import { traceOptions } from '../graph/mode.ts';
import type { Tracer } from '../graph/trace.ts';
import { createVariable, destroyVariables, readVariable } from '../graph/variables.ts';
import type { Model } from '../model/model.ts';
import type { Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { ofModel } from './model-graph.ts';

/** Room for keys and values; its memory is there only while rows are decoded. */
export interface DecodingCache {
  readonly name: string;
  /** Each [rows · kv_heads · columns, head_dim]. */
  readonly layers: readonly { readonly keys: Variable; readonly values: Variable }[];
  /** The trained matrices in bfloat16, in the order of the layout; null where products are float32. */
  readonly narrow: readonly (Variable | null)[] | null;
  /** Fills all of it: zeros, and today's weights. */
  readonly begin: readonly unknown[];
  isTaken: boolean;
}

/** Takes a cache for so many rows and columns, zeros everywhere. Two at once of the same size are two. */
export function takeCache(engine: Engine, model: Model, rows: number, columns: number): DecodingCache {
  for (let number = 0; ; number++) {
    const name = `cache ${number} of ${rows} × ${columns} in ${traceOptions().precision}`;
    const cache = ofModel(engine, model.parameters, name, (trained) =>
      makeCache(engine, model, { name, rows, columns, trained }),
    );
    if (cache.isTaken) continue;
    runGraph(engine, [], [], cache.begin);
    cache.isTaken = true;
    engine.decoding += 1;
    return cache;
  }
}

/** Frees the memory of a cache. */
export function returnCache(engine: Engine, cache: DecodingCache): void {
  if (!cache.isTaken) return;
  cache.isTaken = false;
  engine.decoding -= 1;
  const layers = cache.layers.flatMap(({ keys, values }) => [keys, values]);
  destroyVariables(engine, [...layers, ...(cache.narrow ?? []).flatMap((variable) => variable ?? [])]);
}

interface CacheSize {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly trained: readonly Variable[];
}

function makeCache(
  engine: Engine,
  { dimensions, parameters }: Model,
  { name, rows, columns, trained }: CacheSize,
): DecodingCache {
  const isNarrow = traceOptions().precision === 'bf16';
  const dtype = isNarrow ? BFLOAT16 : FLOAT32;
  const shape = [rows * dimensions.kvHeads * columns, dimensions.headDim];
  const layers = Array.from({ length: dimensions.layers }, () => {
    return { keys: createVariable(engine, dtype, shape), values: createVariable(engine, dtype, shape) };
  });
  // Each its own: variables that are assigned one value share its memory, and what is written into one is in all.
  const clear = (variable: Variable): unknown => {
    const zero = addConstant(engine.graph, dtype, [], isNarrow ? Uint16Array.of(0) : Float32Array.of(0));
    const size = addConstant(engine.graph, INT32, [2], Int32Array.from(shape));
    return assign(engine, variable, addOutput(engine.graph, { op: 'Fill', inputs: [size, zero] }));
  };
  const isMatrix = (index: number): boolean => parameters.layout.specs[index]?.shape.length === 2;
  const narrow = isNarrow
    ? trained.map((variable, i) => (isMatrix(i) ? createVariable(engine, BFLOAT16, variable.shape) : null))
    : null;
  const begin = [
    ...layers.flatMap(({ keys, values }) => [clear(keys), clear(values)]),
    ...(narrow ?? []).flatMap((variable, i) => {
      if (variable === null) return [];
      const attributes = { SrcT: type(FLOAT32), DstT: type(BFLOAT16) };
      const value = readVariable(engine, trained[i] as Variable);
      return [assign(engine, variable, addOutput(engine.graph, { op: 'Cast', inputs: [value], attributes }))];
    }),
  ];
  return { name, layers, narrow, begin, isTaken: false };
}

function assign({ graph }: Engine, { handle, dtype }: Variable, value: Port): unknown {
  return addNode(graph, { op: 'AssignVariableOp', inputs: [handle, value], attributes: { dtype: type(dtype) } })
    .operation;
}

/**
 * Writes keys or values into the cache where it lies. InplaceUpdate changes the memory it is given, which is the
 * variable's own: nothing is copied, however long the cache (tensorflow/core/kernels/inplace_ops.cc).
 * @param fresh [lines, kv_heads, tokens, head_dim]
 * @param slots [lines · kv_heads · tokens], the line of the cache each belongs in
 * @returns the whole cache after that
 */
export function putIntoCache(engine: Engine, tracer: Tracer, cache: Variable, fresh: Tensor4D, slots: Port) {
  const flat = tf.reshape(fresh, [-1, fresh.shape[3]]);
  return tracer.node({
    op: 'InplaceUpdate',
    inputs: [readVariable(engine, cache), slots, cache.dtype === BFLOAT16 ? tracer.narrow(flat) : tracer.port(flat)],
    attributes: { T: type(cache.dtype) },
  });
}

/** A whole cache as the attention of one layer reads it: [rows, kv_heads, columns, head_dim]. */
export function wholeCache(
  tracer: Tracer,
  whole: Port,
  { rows, kvHeads }: { rows: number; kvHeads: number },
): Tensor4D {
  const width = whole.shape?.[1] as number;
  const columns = (whole.shape?.[0] as number) / (rows * kvHeads);
  const shape = tracer.port(tf.tensor1d([rows, kvHeads, columns, width], 'int32'));
  const shaped = tracer.node({
    op: 'Reshape',
    inputs: [whole, shape],
    attributes: { T: type(whole.dtype), Tshape: type(INT32) },
  }).outputs[0] as Port;
  return (whole.dtype === BFLOAT16 ? tracer.widen(shaped) : tracer.tensor(shaped)) as Tensor4D;
}
