/**
 * Clipping by global norm and AdamW with decoupled decay, each in its three forms: op by op on one flat vector; as nodes of a
 * graph on one variable a parameter, where TensorFlow has a kernel for the whole of Adam; and as one native op.
 */
import type { Pointer } from '../graph/c-api.ts';
import type { Attribute, NodeSpec, Port, Variable } from '../graph/graph.ts';
import { FLOAT32 } from '../graph/graph.ts';
import type { Tracer } from '../graph/trace.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick } from '../tensor/host-arrays.ts';
import { sharableFloat32 } from '../tensor/host-memory.ts';
import { usesNativeOps } from '../tensor/native-ops.ts';
import type { ParameterLayout, Parameters } from '../tensor/parameters.ts';
import type { Scalar, Tensor, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { AdamW, AdamWOptions } from './adamw.ts';

const F: Attribute = { kind: 'type', value: FLOAT32 };
const NO: Attribute = { kind: 'bool', value: false };

/** The global norm of a gradient [total]. */
export function gradientNormOf(gradient: Tensor1D): number {
  return tf.tidy(() => tf.sqrt(tf.sum(tf.square(gradient))).dataSync()[0] as number);
}

/**
 * The gradient scaled to `clipNorm` where longer, a new tensor; else the gradient itself. The 1e-6 is that of
 * torch.nn.utils.clip_grad_norm_.
 */
export function clip(gradient: Tensor1D, norm: number, clipNorm: number | null): Tensor1D {
  if (clipNorm === null || norm <= clipNorm) return gradient;
  return tf.mul(gradient, clipNorm / (norm + 1e-6));
}

/** In a graph, what gradients are multiplied with: clipNorm / (norm + 1e-6) where longer, 0 where a number is not finite. */
function gradientScale(norm: Scalar, loss: Tensor, clipNorm: number | null): Scalar {
  const isSound = tf.logicalAnd(tf.isFinite(norm), tf.isFinite(tf.reshape(loss, [])));
  const scale =
    clipNorm === null
      ? tf.onesLike(norm)
      : tf.where(tf.greater(norm, clipNorm), tf.div(clipNorm, tf.add(norm, 1e-6)), tf.onesLike(norm));
  return tf.where(isSound, scale, tf.zerosLike(scale)) as Scalar;
}

/** Numbers of one update: √(1 − β₂ᵗ) and 1 − β₁ᵗ of update t (from 1). */
function biasCorrections({ beta1, beta2 }: AdamWOptions, step: number): { first: number; second: number } {
  return { first: 1 - beta1 ** step, second: Math.sqrt(1 - beta2 ** step) };
}

/**
 * One update: replaces the parameters and moments and disposes the old ones. Does not dispose the gradient.
 * @param gradient [total]
 * @see Loshchilov and Hutter 2019, arXiv:1711.05101, Algorithm 2; Kingma and Ba 2015, arXiv:1412.6980
 */
export function applyAdamW(adam: AdamW, parameters: Parameters, gradient: Tensor1D, learningRate: number): void {
  const { beta1, beta2, epsilon, epsilonStyle, weightDecay } = adam.options;
  adam.step += 1;
  const correction = biasCorrections(adam.options, adam.step);
  adam.spread ??= {
    decays: adam.decays.some(Boolean) ? spread(parameters.layout, adam.decays.map(Number)) : null,
    rates: adam.rates.every((rate) => rate === 1) ? null : spread(parameters.layout, adam.rates),
  };
  const { decays, rates } = adam.spread;
  // Each in its own tidy, and the old moments freed immediately: for a large model these are most of the memory.
  adam.first.replace(
    tf.tidy(() => tf.add(tf.mul(adam.first.tensor(), beta1), tf.mul(gradient, 1 - beta1)) as Tensor1D),
  );
  adam.second.replace(
    tf.tidy(() => {
      const square = tf.tidy(() => tf.mul(tf.square(gradient), 1 - beta2));
      return tf.add(tf.mul(adam.second.tensor(), beta2), square) as Tensor1D;
    }),
  );
  const scaled = (x: Tensor1D): Tensor1D => (rates === null ? x : tf.mul(x, rates));
  const change = tf.tidy(() => {
    const denominator = tf.tidy(() => {
      const root = tf.sqrt(adam.second.tensor());
      return epsilonStyle === 'pytorch'
        ? tf.add(tf.div(root, correction.second), epsilon)
        : tf.div(tf.add(root, epsilon), correction.second);
    });
    return scaled(tf.mul(tf.div(adam.first.tensor(), denominator), learningRate / correction.first));
  });
  const flat = tf.tidy(() => {
    const before = parameters.flat;
    const decayed =
      decays === null ? before : tf.mul(before, tf.sub(1, scaled(tf.mul(decays, learningRate * weightDecay))));
    return tf.sub(decayed, change) as Tensor1D;
  });
  change.dispose();
  parameters.stored.replace(flat);
}

/** One number for each parameter, repeated for all its elements: [total]. */
function spread(layout: ParameterLayout, numbers: readonly number[]): Tensor1D {
  const values = sharableFloat32(layout.total);
  layout.offsets.forEach((start, index) => {
    values.fill(numbers[index] as number, start, start + (layout.sizes[index] as number));
  });
  return tf.tensor1d(values);
}

/** One variable for each trained parameter. */
export interface OptimizerVariables {
  readonly parameters: readonly Variable[];
  readonly first: readonly Variable[];
  readonly second: readonly Variable[];
}

/** What the nodes of an update read. */
export interface AdamWInputs {
  readonly gradients: readonly Port[];
  /** The parameters before the update. */
  readonly reads: readonly Port[];
  /** [1] */
  readonly loss: Tensor;
  /** With those of `adamWArrays`. */
  readonly arrays: Tensors;
  readonly adam: AdamW;
  readonly clipNorm: number | null;
}

/** What changes from update to update, for the graph: `rate`, `epsilon` and `decay`. In float64 until here. */
export function adamWArrays({ options, step }: AdamW, learningRate: number): HostArrays {
  const { epsilon, epsilonStyle, weightDecay } = options;
  const correction = biasCorrections(options, step + 1);
  return {
    rate: number((learningRate * correction.second) / correction.first),
    epsilon: number(epsilonStyle === 'pytorch' ? epsilon * correction.second : epsilon),
    decay: number(learningRate * weightDecay),
  };
}

/**
 * The update of every parameter. TensorFlow's ApplyAdam is Kingma and Ba's section 2, lr_t · m / (√v + ε̂): with the
 * corrected rate and ε · √(1 − β₂ᵗ) it is their Algorithm 1, exactly. Decay comes first, on its own.
 * @returns the norm before clipping, and the nodes that do the update
 */
export function adamWNodes(
  tracer: Tracer,
  variables: OptimizerVariables,
  inputs: AdamWInputs,
): { norm: Port; targets: Pointer[] } {
  if (usesNativeOps()) return nativeAdamWNodes(tracer, variables, inputs);
  const { gradients, reads, loss, arrays, adam, clipNorm } = inputs;
  const one = (spec: NodeSpec): Port => tracer.node(spec).outputs[0] as Port;
  const halves = gradients.map((gradient) => one({ op: 'L2Loss', inputs: [gradient], attributes: { T: F } }));
  const sum = halves.length === 1 ? (halves[0] as Port) : one({ op: 'AddN', inputs: [halves], attributes: { T: F } });
  const norm = tf.sqrt(tf.mul(tracer.tensor(sum), 2)) as Scalar;
  const scale = tracer.port(gradientScale(norm, loss, clipNorm));
  const rateOf = perParameter(tracer, pick<Scalar>(arrays, 'rate'), adam.rates);
  const decayOf = perParameter(tracer, pick<Scalar>(arrays, 'decay'), adam.rates);
  const number = (value: number): Port => tracer.port(tf.scalar(value));
  const { beta1, beta2 } = adam.options;
  const fixed = { powers: number(0), beta1: number(beta1), beta2: number(beta2) };
  const epsilon = tracer.port(pick(arrays, 'epsilon'));
  const targets = gradients.map((gradient, i) => {
    // Zero times what is not finite is zero here, so that a broken step changes no parameter.
    const clipped = one({ op: 'MulNoNan', inputs: [gradient, scale], attributes: { T: F } });
    const handle = (variables.parameters[i] as Variable).handle;
    const decayed = adam.decays[i] ? [decayNode(tracer, handle, reads[i] as Port, decayOf(i), scale)] : [];
    return tracer.node({
      op: 'ResourceApplyAdam',
      inputs: [
        handle,
        (variables.first[i] as Variable).handle,
        (variables.second[i] as Variable).handle,
        fixed.powers,
        fixed.powers,
        rateOf(i),
        fixed.beta1,
        fixed.beta2,
        epsilon,
        clipped,
      ],
      attributes: { T: F, use_locking: NO, use_nesterov: NO },
      after: decayed,
    }).operation;
  });
  return { norm: tracer.port(norm), targets };
}

/** parameter −= parameter · decay, when all gradients are known; nothing where the step is broken. */
function decayNode(tracer: Tracer, handle: Port, value: Port, decay: Port, scale: Port): Pointer {
  const one = (op: string, inputs: Port[]): Port =>
    tracer.node({ op, inputs, attributes: { T: F } }).outputs[0] as Port;
  const isApplied = one('Sign', [scale]);
  const change = one('MulNoNan', [value, one('Mul', [decay, isApplied])]);
  return tracer.node({ op: 'AssignSubVariableOp', inputs: [handle, change], attributes: { dtype: F } }).operation;
}

/** A scalar times the factor of each parameter; one node for all with the same factor. */
function perParameter(tracer: Tracer, scalar: Scalar, factors: readonly number[]): (index: number) => Port {
  const made = new Map<number, Port>();
  return (index) => {
    const factor = factors[index] as number;
    const known = made.get(factor);
    if (known !== undefined) return known;
    const port = tracer.port(factor === 1 ? scalar : tf.mul(scalar, factor));
    made.set(factor, port);
    return port;
  };
}

/**
 * As `adamWNodes`. Values and moments change in the variables' own memory, which nothing else shares: they were set from
 * feeds. The op takes every gradient and the loss, a slice of all numbers that the step returns, so whatever reads the old
 * values has run.
 */
function nativeAdamWNodes(
  tracer: Tracer,
  variables: OptimizerVariables,
  { gradients, reads, loss, arrays, adam, clipNorm }: AdamWInputs,
): { norm: Port; targets: Pointer[] } {
  const read = ({ handle }: Variable): Port => {
    return tracer.node({ op: 'ReadVariableOp', inputs: [handle], attributes: { dtype: F } }).outputs[0] as Port;
  };
  const vector = (name: string, factors: readonly number[]): Port =>
    tracer.port(tf.mul(pick<Scalar>(arrays, name), tf.tensor1d([...factors])));
  const decays = adam.rates.map((rate, i) => (adam.decays[i] ? rate : 0));
  const number = (value: number): Attribute => ({ kind: 'float', value });
  const { operation, outputs } = tracer.node({
    op: 'PlumblineAdamW',
    inputs: [
      gradients,
      reads,
      variables.first.map(read),
      variables.second.map(read),
      vector('rate', adam.rates),
      vector('decay', decays),
      tracer.port(pick(arrays, 'epsilon')),
      tracer.port(tf.reshape(loss, [])),
    ],
    attributes: {
      fresh1: number(1 - adam.options.beta1),
      fresh2: number(1 - adam.options.beta2),
      clip_norm: number(clipNorm ?? 0),
      output_shapes: { kind: 'ints', value: [0] },
    },
  });
  return { norm: outputs[0] as Port, targets: [operation] };
}
