/** Functions of host arrays as graphs, one for each set of shapes. */
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import type { Pointer } from './c-api.ts';
import type { Engine, HostValues } from './engine.ts';
import { runGraph, runGraphAsync } from './engine.ts';
import type { Port } from './graph.ts';
import { FLOAT32, INT32 } from './graph.ts';
import type { TraceOptions, Tracer } from './trace.ts';
import { trace } from './trace.ts';
import { addPlaceholder } from './variables.ts';

/** A traced function. */
export interface Compiled<Output extends string> {
  /**
   * Runs it.
   * @param act names of the groups of targets to run too
   */
  run(arrays: HostArrays, act?: readonly string[]): Record<Output, HostValues>;
  /** The same on another thread; see `runGraphAsync`. */
  runAsync(arrays: HostArrays, act?: readonly string[]): Promise<Record<Output, HostValues>>;
}

/** What a traced function gives: ports to fetch, and named groups of nodes that change variables. */
export interface Traced<Output extends string> {
  readonly outputs: Readonly<Record<Output, Port>>;
  readonly targets?: Readonly<Record<string, readonly Pointer[]>>;
}

/** Traces a function of arrays shaped like these. */
export function compile<Output extends string>(
  engine: Engine,
  options: TraceOptions,
  like: HostArrays,
  build: (tensors: Tensors, tracer: Tracer) => Traced<Output>,
): Compiled<Output> {
  const names = Object.keys(like);
  const placeholders: Port[] = [];
  const traced = trace(engine, options, (tracer) => {
    const tensors = Object.fromEntries(
      Object.entries(like).map(([name, { shape, values }]) => {
        const port = addPlaceholder(engine, values instanceof Int32Array ? INT32 : FLOAT32, shape);
        placeholders.push(port);
        return [name, tracer.tensor(port)];
      }),
    );
    return build(tensors, tracer);
  });
  const outputs = Object.keys(traced.outputs) as Output[];
  const fetches = outputs.map((name) => traced.outputs[name]);
  const feedsOf = (arrays: HostArrays) =>
    names.map((name, i) => {
      const { shape, values } = arrays[name] as HostArrays[string];
      return { port: placeholders[i] as Port, shape, values };
    });
  const targetsOf = (act: readonly string[]) => act.flatMap((name) => traced.targets?.[name] ?? []);
  const named = (results: readonly HostValues[]) =>
    Object.fromEntries(outputs.map((name, i) => [name, results[i]])) as Record<Output, HostValues>;
  return {
    run: (arrays, act = []) => named(runGraph(engine, feedsOf(arrays), fetches, targetsOf(act))),
    runAsync: async (arrays, act = []) => named(await runGraphAsync(engine, feedsOf(arrays), fetches, targetsOf(act))),
  };
}

/** Names the shapes of arrays: equal where one graph serves both. */
export function shapesKey(arrays: HostArrays): string {
  return Object.entries(arrays)
    .map(([name, { shape, values }]) => `${name}:${values instanceof Int32Array ? 'i' : 'f'}${shape.join('x')}`)
    .join(' ');
}
