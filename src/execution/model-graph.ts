/** Graphs that read a model: one for each use and set of shapes, kept as long as its weights stay where they are. */
import type { Engine } from '../graph/engine.ts';
import type { Compiled, Traced } from '../graph/function.ts';
import { compile, shapesKey } from '../graph/function.ts';
import type { Variable } from '../graph/graph.ts';
import { traceOptions } from '../graph/mode.ts';
import { madeFor, reside } from '../graph/resident.ts';
import type { Tracer } from '../graph/trace.ts';
import { readVariable } from '../graph/variables.ts';
import type { Model } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { assembleWeights } from '../tensor/parameters.ts';
import type { Weights } from '../tensor/weights.ts';

/** By the variables that the trained parameters live in. */
const graphs = new WeakMap<object, Map<string, unknown>>();

/**
 * The graph of a function of weights and arrays.
 * @param key differs wherever `build` would make something else from the same arrays
 * @param narrow the trained parameters in bfloat16, for products that would narrow them at every call
 */
export function modelGraph<Output extends string>(
  engine: Engine,
  { parameters }: Model,
  key: string,
  like: HostArrays,
  build: (weights: Weights, arrays: Tensors, tracer: Tracer) => Traced<Output>,
  narrow: readonly (Variable | null)[] | null = null,
): Compiled<Output> {
  return ofModel(engine, parameters, [key, JSON.stringify(traceOptions()), shapesKey(like)].join(' '), (variables) =>
    compile(engine, traceOptions(), like, (arrays, tracer) => {
      const trained = parameters.layout.specs.map(({ name }, i) => {
        const weight = tracer.tensor(readVariable(engine, variables[i] as Variable));
        const narrowed = narrow?.[i] ?? null;
        if (narrowed !== null) tracer.twin(weight, readVariable(engine, narrowed));
        return [name, weight] as const;
      });
      return build(assembleWeights(parameters, Object.fromEntries(trained)), arrays, tracer);
    }),
  );
}

/** Something made once for a model's variables, whatever it is. */
export function ofModel<T>(
  engine: Engine,
  { stored, layout }: Model['parameters'],
  name: string,
  make: (variables: readonly Variable[]) => T,
): T {
  const variables = reside(engine, stored, layout);
  const known = graphs.get(variables) ?? new Map<string, unknown>();
  graphs.set(variables, known);
  if (!known.has(name))
    known.set(
      name,
      madeFor(engine, variables, () => make(variables)),
    );
  return known.get(name) as T;
}
