/** Gradient checkpointing: a function's intermediate results are computed again for its gradient, not kept. */
import { notBefore } from './order.ts';
import type { Tensor, Tensor1D } from './tf.ts';
import { tf } from './tf.ts';

/** The part of the engine that a gradient within a gradient would lose. */
interface EngineWithTape {
  readonly state: { activeTape: unknown };
  gradients(f: () => Tensor, xs: Tensor[], dy: Tensor): { value: Tensor; grads: Tensor[] };
}

/**
 * f(inputs, constants), keeping nothing but these for the gradient: it runs f again.
 * @param inputs everything f depends on that has a gradient; f must use all of them
 * @param constants what else f reads that was computed, and might be freed before the gradient
 * @see Chen et al. 2016, arXiv:1604.06174
 */
export function recompute<T extends Tensor>(
  inputs: readonly Tensor[],
  constants: readonly Tensor[],
  f: (inputs: readonly Tensor[], constants: readonly Tensor[]) => T,
): T {
  const op = tf.customGrad((...given: unknown[]) => {
    const save = given.at(-1) as (tensors: Tensor[]) => void;
    const args = given.slice(0, -1) as Tensor[];
    save([...args, ...constants]);
    return {
      value: f(args, constants),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const kept = saved.slice(args.length);
        const engine = tf.engine() as unknown as EngineWithTape;
        // TensorFlow.js forgets the outer tape when an inner gradient is done, and needs it to free what was saved.
        const outer = engine.state.activeTape;
        const late = notBefore(dy, saved.slice(0, args.length));
        const { value, grads } = engine.gradients(() => f(late, kept), late, dy);
        engine.state.activeTape = outer;
        value.dispose();
        return grads;
      },
    };
  });
  return op(...(inputs as Tensor1D[])) as T;
}
