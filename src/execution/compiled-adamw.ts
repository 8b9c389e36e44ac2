/** Clipping and AdamW as nodes of a graph, on variables. */
import type { Pointer } from '../graph/c-api.ts';
import type { Attribute, Port, Variable } from '../graph/graph.ts';
import { FLOAT32 } from '../graph/graph.ts';
import type { Tracer } from '../graph/trace.ts';
import type { Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { AdamW } from './adamw.ts';
import type { UpdateOptions } from './eager-update.ts';

/** One variable for each trained parameter. */
export interface OptimizerVariables {
  readonly parameters: readonly Variable[];
  readonly first: readonly Variable[];
  readonly second: readonly Variable[];
}

/** What an update is made from. */
export interface UpdateInputs {
  readonly gradients: readonly Port[];
  /** The parameters before the update. */
  readonly reads: readonly Port[];
  /** [1] */
  readonly loss: Tensor;
  /** `rate`, `epsilon` and `decay`, scalars. */
  readonly arrays: Tensors;
  readonly adam: AdamW;
  readonly options: UpdateOptions;
}

const F: Attribute = { kind: 'type', value: FLOAT32 };
const NO: Attribute = { kind: 'bool', value: false };

/**
 * The update of every parameter. TensorFlow's ApplyAdam is Kingma and Ba's section 2, lr_t · m / (√v + ε̂): with the
 * corrected rate and ε · √(1 − β₂ᵗ) it is their Algorithm 1, exactly. Decay comes first, on its own.
 * @returns the norm before clipping, and the nodes that do the update
 */
export function adamWNodes(
  tracer: Tracer,
  variables: OptimizerVariables,
  { gradients, reads, loss, arrays, adam, options }: UpdateInputs,
): { norm: Port; targets: Pointer[] } {
  const one = (spec: Parameters<Tracer['node']>[0]): Port => tracer.node(spec).outputs[0] as Port;
  const halves = gradients.map((gradient) => one({ op: 'L2Loss', inputs: [gradient], attributes: { T: F } }));
  const sum = halves.length === 1 ? (halves[0] as Port) : one({ op: 'AddN', inputs: [halves], attributes: { T: F } });
  const norm = tf.sqrt(tf.mul(tracer.tensor(sum), 2)) as Scalar;
  const scale = tracer.port(gradientScale(norm, loss, options.clipNorm));
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

/** What gradients are multiplied with: clipNorm / (norm + 1e-6) where longer, and 0 where a number is not finite. */
function gradientScale(norm: Scalar, loss: Tensor, clipNorm: number | null): Scalar {
  const isSound = tf.logicalAnd(tf.isFinite(norm), tf.isFinite(tf.reshape(loss, [])));
  const scale =
    clipNorm === null
      ? tf.onesLike(norm)
      : tf.where(tf.greater(norm, clipNorm), tf.div(clipNorm, tf.add(norm, 1e-6)), tf.onesLike(norm));
  return tf.where(isSound, scale, tf.zerosLike(scale)) as Scalar;
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
