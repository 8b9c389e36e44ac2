/** An update as graphs, with weights, moments and summed gradients kept in TensorFlow. */
import type { Engine } from '../graph/engine.ts';
import type { Compiled } from '../graph/function.ts';
import { compile, shapesKey } from '../graph/function.ts';
import type { Port, Variable } from '../graph/graph.ts';
import { FLOAT32 } from '../graph/graph.ts';
import { traceOptions } from '../graph/mode.ts';
import { extraVariable, madeFor, reside } from '../graph/resident.ts';
import type { Tracer } from '../graph/trace.ts';
import { assignVariables, readVariable, readVariables } from '../graph/variables.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick } from '../tensor/host-arrays.ts';
import type { Parameters } from '../tensor/parameters.ts';
import type { Scalar, Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { AdamW } from './adamw.ts';
import type { OptimizerVariables } from './apply-adamw.ts';
import { adamWArrays, adamWNodes } from './apply-adamw.ts';
import { namedNumbers, tracedLossAndGradient } from './gradient.ts';
import type { Phases, SumOfLoss, Update } from './phases.ts';
import { addLoss, partSeed } from './phases.ts';

/** A graph, and the names of the statistics among its numbers. */
interface LossGraph {
  readonly graph: Compiled<'numbers' | 'norm'>;
  readonly names: readonly string[];
}

/** What belongs to one optimizer. */
interface Compilation {
  readonly engine: Engine;
  readonly variables: OptimizerVariables;
  /** Graphs that sum gradients of one micro-batch, and those that make a whole update of it. */
  readonly losses: Map<string, LossGraph>;
  /** Graphs that apply the sums. */
  readonly applies: Map<string, Compiled<'norm'>>;
  /** Of the gradients; made where an update has several micro-batches. */
  sums: readonly Variable[] | null;
}

const compilations = new WeakMap<AdamW, Compilation>();

/**
 * Each phase runs on another thread: nothing may use the parameters or the moments before its promise is settled. One
 * micro-batch is an update in one call, without sums in between.
 */
export function graphPhases<Name extends string>(engine: Engine, update: Update<Name>): Phases<Name> {
  const { model, adam, parts, settings } = update;
  const compilation = compilationOf(engine, model.parameters, adam);
  const given = parts.map((part, index) => ({ ...part, ...dropoutArray(update, index) }));
  const changed = (loss: number, norm: number): void => {
    // Elsewhere the graph has applied nothing.
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) return;
    adam.step += 1;
    for (const stored of [model.parameters.stored, adam.first, adam.second]) stored.changed();
  };
  const both = async () => {
    const arrays = { ...given[0], ...adamWArrays(adam, settings.learningRate) };
    const { graph, names } = lossGraph(compilation, update, arrays, true);
    const { numbers, norm } = await graph.runAsync(arrays, ['apply']);
    const sum = namedNumbers<Name>(numbers, names);
    const gradientNorm = norm[0] as number;
    changed(sum.loss, gradientNorm);
    return { ...sum, gradientNorm };
  };
  return {
    ...(parts.length === 1 && { both }),
    gradient: async () => {
      let sum: SumOfLoss<Name> | null = null;
      for (const [index, arrays] of given.entries()) {
        const { graph, names } = lossGraph(compilation, update, arrays, false);
        const { numbers } = await graph.runAsync(arrays, [index === 0 ? 'begin' : 'add']);
        sum = addLoss(sum, namedNumbers<Name>(numbers, names));
      }
      return sum as SumOfLoss<Name>;
    },
    exchange: async (reduce) => {
      const sums = compilation.sums as readonly Variable[];
      const values = readVariables(engine, sums) as Float32Array[];
      await reduce(values);
      assignVariables(
        engine,
        sums.map((variable, i) => ({ variable, values: values[i] as Float32Array })),
      );
    },
    apply: async (loss) => {
      const arrays = { ...adamWArrays(adam, settings.learningRate), loss: number(loss) };
      const { norm } = await applyGraph(compilation, update, arrays).runAsync(arrays, ['apply']);
      changed(loss, norm[0] as number);
      return norm[0] as number;
    },
  };
}

/** The optimizer's graphs; none are left where its values have been elsewhere since. */
function compilationOf(engine: Engine, { stored, layout }: Parameters, adam: AdamW): Compilation {
  const variables = {
    parameters: reside(engine, stored, layout),
    first: reside(engine, adam.first, layout),
    second: reside(engine, adam.second, layout),
  };
  const known = compilations.get(adam);
  const kinds = ['parameters', 'first', 'second'] as const;
  if (known !== undefined && kinds.every((kind) => known.variables[kind] === variables[kind])) return known;
  const made: Compilation = { engine, variables, losses: new Map(), applies: new Map(), sums: null };
  compilations.set(adam, made);
  return made;
}

/** The graph for arrays of these shapes: the gradient, then the whole update or the addition to the sums. */
function lossGraph<Name extends string>(
  compilation: Compilation,
  update: Update<Name>,
  like: HostArrays,
  isWhole: boolean,
): LossGraph {
  const { engine, variables, losses } = compilation;
  const { model, adam, loss, settings } = update;
  const key = [loss.key, isWhole, settings.clipNorm, JSON.stringify(traceOptions()), shapesKey(like)].join(' ');
  const known = losses.get(key);
  if (known !== undefined) return known;
  let names: readonly string[] = [];
  const build = (arrays: Tensors, tracer: Tracer) => {
    const reads = variables.parameters.map((variable) => readVariable(engine, variable));
    const found = tracedLossAndGradient(
      model.parameters,
      reads.map(tracer.tensor),
      (weights) => loss.terms(model, weights, arrays),
      arrays[DROPOUT] as Scalar | undefined,
    );
    names = found.names;
    const numbers = tracer.port(found.numbers);
    const gradients = found.gradients.map(tracer.port);
    if (!isWhole) {
      const targets = sumNodes(compilation, model.parameters, tracer, gradients);
      return { outputs: { numbers, norm: numbers }, targets };
    }
    const first = tf.slice(found.numbers as Tensor, [0], [1]);
    const inputs = { gradients, reads, loss: first, arrays, adam, clipNorm: settings.clipNorm };
    const { norm, targets } = adamWNodes(tracer, variables, inputs);
    return { outputs: { numbers, norm }, targets: { apply: targets } };
  };
  const graph = madeFor(engine, variables.parameters, () => compile(engine, traceOptions(), like, build));
  const made = { graph, names };
  losses.set(key, made);
  return made;
}

/** What sets the sums of the gradients, and what adds to them. */
function sumNodes(compilation: Compilation, { layout }: Parameters, tracer: Tracer, gradients: readonly Port[]) {
  const { engine, variables } = compilation;
  compilation.sums ??= layout.specs.map(({ shape }) => extraVariable(engine, variables.first, shape));
  const sums = compilation.sums;
  const attributes = { dtype: { kind: 'type', value: FLOAT32 } } as const;
  const change = (op: string) =>
    sums.map(({ handle }, i) => tracer.node({ op, inputs: [handle, gradients[i] as Port], attributes }).operation);
  return { begin: change('AssignVariableOp'), add: change('AssignAddVariableOp') };
}

/** The graph that applies the sums. */
function applyGraph<Name extends string>(
  { engine, variables, applies, sums }: Compilation,
  { adam, settings: { clipNorm } }: Update<Name>,
  like: HostArrays,
): Compiled<'norm'> {
  const key = [clipNorm, JSON.stringify(traceOptions())].join(' ');
  const known = applies.get(key);
  if (known !== undefined) return known;
  const build = (arrays: Tensors, tracer: Tracer) => {
    const read = (variable: Variable): Port => readVariable(engine, variable);
    const gradients = (sums as readonly Variable[]).map(read);
    const reads = variables.parameters.map(read);
    const loss = tf.reshape(pick(arrays, 'loss'), [1]);
    const { norm, targets } = adamWNodes(tracer, variables, { gradients, reads, loss, arrays, adam, clipNorm });
    return { outputs: { norm }, targets: { apply: targets } };
  };
  const made = madeFor(engine, variables.parameters, () => compile(engine, traceOptions(), like, build));
  applies.set(key, made);
  return made;
}

/** Name of the array that seeds what adapters drop. */
const DROPOUT = 'dropout seed';

function dropoutArray<Name extends string>({ model, settings }: Update<Name>, part: number): HostArrays {
  const seed = partSeed(settings, part);
  if (seed === undefined || (model.parameters.adapters?.dropout ?? 0) === 0) return {};
  return { [DROPOUT]: { shape: [], values: Int32Array.of(seed) } };
}
