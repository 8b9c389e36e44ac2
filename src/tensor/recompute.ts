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
 * f(inputs), keeping nothing but the inputs for the gradient: it runs f again.
 * @param inputs everything f depends on that has a gradient; f must use all of them
 * @see Chen et al. 2016, arXiv:1604.06174
 */
export function recompute<T extends Tensor>(inputs: readonly Tensor[], f: (inputs: readonly Tensor[]) => T): T {
  const op = tf.customGrad((...given: unknown[]) => {
    const save = given.at(-1) as (tensors: Tensor[]) => void;
    const args = given.slice(0, -1) as Tensor[];
    save(args);
    return {
      value: f(args),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const engine = tf.engine() as unknown as EngineWithTape;
        // TensorFlow.js forgets the outer tape when an inner gradient is done, and needs it to free what was saved.
        const outer = engine.state.activeTape;
        const late = notBefore(dy, saved);
        const { value, grads } = engine.gradients(() => f(late), late, dy);
        engine.state.activeTape = outer;
        value.dispose();
        return grads;
      },
    };
  });
  return op(...(inputs as Tensor1D[])) as T;
}
