/** Ctrl-C: the first asks a stage to save and stop, the second ends the program at once. */

/** Thrown by a stage that has saved its state because it was asked to stop. */
export class Interrupted extends Error {
  readonly step: number;
  constructor(step: number) {
    super(`saved at step ${step}`);
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
    say('stopping: the state is saved after this step. Press Ctrl-C again to stop at once and lose it.');
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
 * Lets signals, timers and streams have their turn. Tensor work blocks the event loop, and promises that are already
 * settled do not free it, so a training loop awaits this once a step.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
