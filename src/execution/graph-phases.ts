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
import type { Phases, SumOfLoss, Update, WeightedLoss } from './phases.ts';
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
  readonly applies: Map<string, Compiled<'norms'>>;
  /** Of the gradients, by loss; made where an update has several micro-batches. */
  readonly sums: (readonly Variable[])[];
}

const compilations = new WeakMap<AdamW, Compilation>();

/**
 * Each phase runs on another thread: nothing may use the parameters or the moments before its promise is settled. One
 * micro-batch is an update in one call, without sums in between.
 */
export function graphPhases(engine: Engine, update: Update): Phases {
  const { model, adam, losses, settings } = update;
  const compilation = compilationOf(engine, model.parameters, adam);
  const given = withDropout(update);
  const changed = (objective: number, norm: number): void => {
    // Elsewhere the graph has applied nothing.
    if (!Number.isFinite(objective) || !Number.isFinite(norm)) return;
    adam.step += 1;
    for (const stored of [model.parameters.stored, adam.first, adam.second]) stored.changed();
  };
  const both = async () => {
    const arrays = { ...given[0]?.[0], ...adamWArrays(adam, settings.learningRate) };
    const { graph, names } = lossGraph(compilation, update, { index: 0, isWhole: true }, arrays);
    const { numbers, norm } = await graph.runAsync(arrays, ['apply']);
    const sum = namedNumbers(numbers, names);
    const gradientNorm = norm[0] as number;
    changed(sum.loss, gradientNorm);
    return { sums: [sum], norms: { sum: gradientNorm, each: [gradientNorm] } };
  };
  return {
    ...(losses.length === 1 && losses[0]?.parts.length === 1 && { both }),
    gradients: async () => {
      const sums: SumOfLoss[] = [];
      for (const [index, parts] of given.entries()) {
        let sum: SumOfLoss | null = null;
        for (const arrays of parts) {
          const { graph, names } = lossGraph(compilation, update, { index, isWhole: false }, arrays);
          const { numbers } = await graph.runAsync(arrays, [sum === null ? 'begin' : 'add']);
          sum = addLoss(sum, namedNumbers(numbers, names));
        }
        sums.push(sum as SumOfLoss);
      }
      return sums;
    },
    exchange: async (reduce) => {
      const sums = compilation.sums.slice(0, losses.length).flat();
      const values = readVariables(engine, sums) as Float32Array[];
      await reduce(values);
      assignVariables(
        engine,
        sums.map((variable, i) => ({ variable, values: values[i] as Float32Array })),
      );
    },
    apply: async (objective) => {
      const arrays = { ...adamWArrays(adam, settings.learningRate), loss: number(objective) };
      const { norms } = await applyGraph(compilation, update, arrays).runAsync(arrays, ['apply']);
      const sum = norms[0] as number;
      changed(objective, sum);
      return { sum, each: losses.length === 1 ? [sum] : Array.from(norms).slice(1) };
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
  const made: Compilation = { engine, variables, losses: new Map(), applies: new Map(), sums: [] };
  compilations.set(adam, made);
  return made;
}

/** The graph for arrays of these shapes: the gradient, then the whole update or the addition to the sums. */
function lossGraph(
  compilation: Compilation,
  { model, adam, losses: all, settings }: Update,
  { index, isWhole }: { readonly index: number; readonly isWhole: boolean },
  like: HostArrays,
): LossGraph {
  const { engine, variables, losses } = compilation;
  const { loss } = all[index] as WeightedLoss;
  const key = [loss.key, index, isWhole, settings.clipNorm, JSON.stringify(traceOptions()), shapesKey(like)].join(' ');
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
      const targets = sumNodes(compilation, index, model.parameters, tracer, gradients);
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

/** What sets the sums of a loss's gradients, and what adds to them. */
function sumNodes(
  { engine, variables, sums: all }: Compilation,
  index: number,
  { layout }: Parameters,
  tracer: Tracer,
  gradients: readonly Port[],
) {
  const sums = all[index] ?? layout.specs.map(({ shape }) => extraVariable(engine, variables.first, shape));
  all[index] = sums;
  const attributes = { dtype: { kind: 'type', value: FLOAT32 } } as const;
  const change = (op: string) =>
    sums.map(({ handle }, i) => tracer.node({ op, inputs: [handle, gradients[i] as Port], attributes }).operation);
  return { begin: change('AssignVariableOp'), add: change('AssignAddVariableOp') };
}

/** The graph that applies the sums. Its norms are of the gradient, then, where there are several losses, of each. */
function applyGraph(
  { engine, variables, applies, sums }: Compilation,
  { adam, losses, settings: { clipNorm } }: Update,
  like: HostArrays,
): Compiled<'norms'> {
  const coefficients = losses.map(({ coefficient }) => coefficient);
  const key = [clipNorm, JSON.stringify(traceOptions()), ...coefficients].join(' ');
  const known = applies.get(key);
  if (known !== undefined) return known;
  const build = (arrays: Tensors, tracer: Tracer) => {
    const read = (variable: Variable): Port => readVariable(engine, variable);
    const own = coefficients.map((_, index) => (sums[index] as readonly Variable[]).map(read));
    const { gradients, norms } = addedUp(tracer, own, coefficients);
    const reads = variables.parameters.map(read);
    const loss = tf.reshape(pick(arrays, 'loss'), [1]);
    const { norm, targets } = adamWNodes(tracer, variables, { gradients, reads, loss, arrays, adam, clipNorm });
    const all = norms.length === 0 ? norm : tracer.port(tf.stack([tracer.tensor(norm), ...norms]));
    return { outputs: { norms: all }, targets: { apply: targets } };
  };
  const made = madeFor(engine, variables.parameters, () => compile(engine, traceOptions(), like, build));
  applies.set(key, made);
  return made;
}

/** The gradients of several losses, times their coefficients: their sum by parameter, and the norm of each; of one, itself. */
function addedUp(tracer: Tracer, own: readonly (readonly Port[])[], coefficients: readonly number[]) {
  const [first] = own as [readonly Port[]];
  if (own.length === 1) return { gradients: first, norms: [] };
  const scaled = own.map((ports, index) =>
    ports.map((port) =>
      index === 0 ? tracer.tensor(port) : tf.mul(tracer.tensor(port), coefficients[index] as number),
    ),
  );
  const norms = scaled.map((tensors) => tf.sqrt(tf.addN(tensors.map((tensor) => tf.sum(tf.square(tensor))))));
  const gradients = first.map((_, i) => tracer.port(tf.addN(scaled.map((tensors) => tensors[i] as Tensor))));
  return { gradients, norms };
}

/** Name of the array that seeds what adapters drop. */
const DROPOUT = 'dropout seed';

/** The micro-batches of each loss, with the seeds of what adapters drop. */
function withDropout({ model, losses, settings }: Update): readonly (readonly HostArrays[])[] {
  const drops = (model.parameters.adapters?.dropout ?? 0) > 0;
  let made = 0;
  return losses.map(({ parts }) =>
    parts.map((part) => {
      const seed = partSeed(settings, made++);
      if (seed === undefined || !drops) return part;
      return { ...part, [DROPOUT]: { shape: [], values: Int32Array.of(seed) } };
    }),
  );
}
