/** Ctrl-C: the first asks a stage to save and stop, the second ends the program at once. */

/** Thrown by a stage that stops because it was asked to: saved at a step, or at 0 where it keeps nothing half-done. */
export class Interrupted extends Error {
  readonly step: number;
  constructor(step: number) {
    super(step === 0 ? 'stopped; this stage saves nothing before its end' : `saved at step ${step}`);
    this.name = 'Interrupted';
    this.step = step;
  }
}

/** A watch on SIGINT and SIGTERM. */
export interface InterruptWatch {
  /** True once a signal has come. Signals are only seen where the program awaits more than microtasks: see `breathe`. */
  interrupted(): boolean;
  /** Restores the signals' usual effect. */
  stop(): void;
}

/**
 * Starts to watch for signals.
 * @param say  prints one line
 * @param kill ends the program
 */
export function watchInterrupts(say: (line: string) => void, kill: () => void): InterruptWatch {
  let seen = false;
  const onSignal = (): void => {
    if (seen) {
      kill();
      return;
    }
    seen = true;
    say('stopping after this step; a stage with checkpoints saves one first. Press Ctrl-C again to stop at once.');
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    interrupted: () => seen,
    stop: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}

/**
 * Lets signals, timers and streams have their turn. Tensor work blocks the event loop where steps run eagerly, and promises
 * that are already settled do not free it, so a training loop awaits this once a step.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
