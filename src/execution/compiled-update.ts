/** An optimizer update as graphs: loss and gradient, clipping, AdamW, with weights and moments kept in TensorFlow. */

import { InvariantError } from '../errors.ts';
import type { Engine } from '../graph/engine.ts';
import type { Compiled } from '../graph/function.ts';
import { compile, shapesKey } from '../graph/function.ts';
import type { Port, Variable } from '../graph/graph.ts';
import { FLOAT32 } from '../graph/graph.ts';
import { traceOptions } from '../graph/mode.ts';
import { extraVariable, madeFor, reside } from '../graph/resident.ts';
import type { Tracer } from '../graph/trace.ts';
import { readVariable } from '../graph/variables.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick } from '../tensor/host-arrays.ts';
import type { Parameters } from '../tensor/parameters.ts';
import { assembleWeights } from '../tensor/parameters.ts';
import type { Scalar, Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { AdamW } from './adamw.ts';
import { biasCorrections } from './adamw.ts';
import type { OptimizerVariables } from './compiled-adamw.ts';
import { adamWNodes } from './compiled-adamw.ts';
import type { UpdateOptions, UpdateResult } from './eager-update.ts';
import { requireFinite } from './eager-update.ts';
import type { LossStep } from './gradient.ts';

/** Loss and statistics of one micro-batch, and the names of the statistics. */
interface GradientGraph {
  readonly graph: Compiled<'numbers' | 'norm'>;
  readonly names: readonly string[];
}

/** What belongs to one optimizer. */
interface Compilation {
  readonly variables: OptimizerVariables;
  readonly gradients: Map<string, GradientGraph>;
  /** Applies summed gradients; made where an update has several micro-batches. */
  readonly apply: Map<string, Compiled<'norm'>>;
  sums: readonly Variable[] | null;
}

const compilations = new WeakMap<AdamW, Compilation>();

/**
 * `updateStep` inside TensorFlow: one call for an update of one micro-batch; one for each of several, and one to apply
 * the sum. Where a number is not finite nothing is applied. Each call runs on another thread: nothing may use the
 * parameters or the moments before the promise is settled.
 */
export async function compiledUpdate<Name extends string>(
  engine: Engine,
  parameters: Parameters,
  adam: AdamW,
  step: LossStep<Name>,
  batches: readonly HostArrays[],
  options: UpdateOptions,
): Promise<UpdateResult<Name>> {
  if (batches.length === 0) throw new InvariantError(`${options.where}: an update needs at least one micro-batch.`);
  const isWhole = batches.length === 1;
  const compilation = compilationOf(engine, parameters, adam);
  const rates = rateArrays(adam, options);
  const build = { engine, parameters, adam, step, options, compilation };
  let loss = 0;
  let gradientNorm = 0;
  const stats = {} as Record<Name, number>;
  for (const [index, batch] of batches.entries()) {
    const arrays = { ...batch, ...dropoutArray(parameters, options, index), ...(isWhole && rates) };
    const { graph, names } = gradientGraph(build, arrays, isWhole);
    const found = await graph.runAsync(arrays, [isWhole ? 'apply' : index === 0 ? 'begin' : 'add']);
    loss += found.numbers[0] as number;
    gradientNorm = found.norm[0] as number;
    names.forEach((name, i) => {
      stats[name as Name] = (stats[name as Name] ?? 0) + (found.numbers[i + 1] as number);
    });
  }
  if (!isWhole) {
    const arrays = { ...rates, loss: number(loss) };
    const { norm } = await applyGraph(build, arrays).runAsync(arrays, ['apply']);
    gradientNorm = norm[0] as number;
  }
  requireFinite(loss, gradientNorm, options);
  adam.step += 1;
  for (const cell of [parameters.cell, adam.first, adam.second]) cell.changed();
  return { loss, gradientNorm, stats };
}

/** The optimizer's graphs; none are left where its values have been elsewhere since. */
function compilationOf(engine: Engine, { cell, layout }: Parameters, adam: AdamW): Compilation {
  const variables = {
    parameters: reside(engine, cell, layout),
    first: reside(engine, adam.first, layout),
    second: reside(engine, adam.second, layout),
  };
  const known = compilations.get(adam);
  const kinds = ['parameters', 'first', 'second'] as const;
  if (known !== undefined && kinds.every((kind) => known.variables[kind] === variables[kind])) return known;
  const made: Compilation = { variables, gradients: new Map(), apply: new Map(), sums: null };
  compilations.set(adam, made);
  return made;
}

interface Build<Name extends string> {
  readonly engine: Engine;
  readonly parameters: Parameters;
  readonly adam: AdamW;
  readonly step: LossStep<Name>;
  readonly options: UpdateOptions;
  readonly compilation: Compilation;
}

/** The graph for arrays of these shapes: gradient and, for a whole batch, update; for a part of one, addition. */
function gradientGraph<Name extends string>(
  { engine, parameters, adam, step, options, compilation }: Build<Name>,
  like: HostArrays,
  isWhole: boolean,
): GradientGraph {
  const { variables } = compilation;
  const key = [step.key, isWhole, options.clipNorm, JSON.stringify(traceOptions()), shapesKey(like)].join(' ');
  const known = compilation.gradients.get(key);
  if (known !== undefined) return known;
  let names: string[] = [];
  const build = (arrays: Tensors, tracer: Tracer) => {
    const reads = variables.parameters.map((variable) => readVariable(engine, variable));
    const found = lossAndGradients(parameters, reads.map(tracer.tensor), step, arrays);
    names = found.names;
    const numbers = tracer.port(found.numbers);
    const gradients = found.gradients.map(tracer.port);
    if (!isWhole) {
      compilation.sums ??= parameters.layout.specs.map(({ shape }) => extraVariable(engine, variables.first, shape));
      const sums = compilation.sums;
      const change = (op: string) => sums.map((sum, i) => changeNode(tracer, op, sum, gradients[i] as Port));
      return {
        outputs: { numbers, norm: numbers },
        targets: { begin: change('AssignVariableOp'), add: change('AssignAddVariableOp') },
      };
    }
    const loss = tf.slice(found.numbers as Tensor, [0], [1]);
    const { norm, targets } = adamWNodes(tracer, variables, { gradients, reads, loss, arrays, adam, options });
    return { outputs: { numbers, norm }, targets: { apply: targets } };
  };
  const graph = madeFor(engine, variables.parameters, () => compile(engine, traceOptions(), like, build));
  const made = { graph, names };
  compilation.gradients.set(key, made);
  return made;
}

/** The graph that applies summed gradients. */
function applyGraph<Name extends string>(
  { engine, adam, options, compilation }: Build<Name>,
  like: HostArrays,
): Compiled<'norm'> {
  const key = [options.clipNorm, JSON.stringify(traceOptions())].join(' ');
  const known = compilation.apply.get(key);
  if (known !== undefined) return known;
  const { variables } = compilation;
  const build = (arrays: Tensors, tracer: Tracer) => {
    const read = (variable: Variable): Port => readVariable(engine, variable);
    const gradients = (compilation.sums as readonly Variable[]).map(read);
    const reads = variables.parameters.map(read);
    const loss = tf.reshape(pick(arrays, 'loss'), [1]);
    const { norm, targets } = adamWNodes(tracer, variables, { gradients, reads, loss, arrays, adam, options });
    return { outputs: { norm }, targets: { apply: targets } };
  };
  const made = madeFor(engine, variables.parameters, () => compile(engine, traceOptions(), like, build));
  compilation.apply.set(key, made);
  return made;
}

function changeNode(tracer: Tracer, op: string, { handle }: Variable, value: Port) {
  const attributes = { dtype: { kind: 'type', value: FLOAT32 } } as const;
  return tracer.node({ op, inputs: [handle, value], attributes }).operation;
}

/** Numbers to report [1 + stats], loss first, and the gradient of each trained parameter. */
function lossAndGradients<Name extends string>(
  parameters: Parameters,
  trained: readonly Tensor[],
  step: LossStep<Name>,
  arrays: Tensors,
): { numbers: Tensor; names: string[]; gradients: Tensor[] } {
  const { specs } = parameters.layout;
  const seed = arrays[DROPOUT] as Scalar | undefined;
  let names: string[] = [];
  let numbers: Tensor | null = null;
  const engine = tf.engine() as unknown as {
    gradients(f: () => Tensor, xs: readonly Tensor[], dy: null, allowNone: boolean): { grads: (Tensor | undefined)[] };
  };
  const { grads } = engine.gradients(
    () => {
      const byName = Object.fromEntries(specs.map(({ name }, i) => [name, trained[i] as Tensor]));
      const { loss, stats } = step.terms(assembleWeights(parameters, byName, seed), arrays);
      names = Object.keys(stats);
      numbers = tf.keep(tf.stack([loss, ...names.map((name) => stats[name as Name])]));
      return loss;
    },
    trained,
    null,
    true,
  );
  const gradients = grads.map((gradient, i) => gradient ?? tf.zerosLike(trained[i] as Tensor));
  return { numbers: numbers as unknown as Tensor, names, gradients };
}

/** Name of the array that seeds what adapters drop. */
const DROPOUT = 'dropout seed';

function dropoutArray({ adapters }: Parameters, { dropoutSeed }: UpdateOptions, index: number): HostArrays {
  if (dropoutSeed === undefined || (adapters?.dropout ?? 0) === 0) return {};
  return { [DROPOUT]: { shape: [], values: Int32Array.of(dropoutSeed + 1000 * index) } };
}

/** What changes from update to update, in float64 until here. */
function rateArrays(adam: AdamW, { learningRate }: UpdateOptions): HostArrays {
  const { epsilon, epsilonStyle, weightDecay } = adam.options;
  const correction = biasCorrections(adam.options, adam.step + 1);
  return {
    rate: number((learningRate * correction.second) / correction.first),
    epsilon: number(epsilonStyle === 'pytorch' ? epsilon * correction.second : epsilon),
    decay: number(learningRate * weightDecay),
  };
}
