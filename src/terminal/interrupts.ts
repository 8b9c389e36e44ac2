/** Ctrl-C: the first asks a stage to save and stop, the second ends the program at once. */

import { copiesOfPress, pressCounter } from './presses.ts';

/** Exit status after Ctrl-C, as shells have it. */
export const INTERRUPTED = 130;

/** Thrown by a stage that stops because it was asked to: saved at a step, or at 0 where it keeps nothing half-done. */
export class Interrupted extends Error {
  readonly step: number;
  constructor(step: number) {
    super(step === 0 ? 'stopped; this stage saves nothing before its end' : `saved at step ${step}`);
    this.name = 'Interrupted';
    this.step = step;
  }
}

/** A watch on SIGINT (Ctrl-C), SIGTERM (`kill`, job schedulers) and SIGHUP (the terminal was closed). */
export interface InterruptWatch {
  /** True once a signal has come. Signals are only seen where the program awaits more than microtasks: see `breathe`. */
  interrupted(): boolean;
  /** Ends the watch; where no signal came, signals have their usual effect again. */
  stop(): void;
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Watches that are open, the innermost last: only that one is notified. */
const open: ((signal: NodeJS.Signals) => void)[] = [];
/**
 * A watch that has ended after a signal. It still takes signals: a launcher may pass the same one on a little later, and
 * that must not end the program between its save and its last words.
 */
let last: ((signal: NodeJS.Signals) => void) | undefined;

function dispatch(signal: NodeJS.Signals): void {
  (open.at(-1) ?? last)?.(signal);
}

/** Listens while there is someone to tell; without a listener a signal has its usual effect. */
function listen(): void {
  for (const signal of signals) {
    process.off(signal, dispatch);
    if (open.length > 0 || last !== undefined) process.on(signal, dispatch);
  }
}

/** True while a run is watched, or was stopped by a signal: it continues although its output is not read. */
export function interruptsWatched(): boolean {
  return open.length > 0 || last !== undefined;
}

/**
 * Starts to watch for signals, before any watch that is open already.
 * @param say  called at the first, with a line to print
 * @param kill ends the program; called at the second
 */
export function watchInterrupts(say: (line: string) => void, kill: () => void): InterruptWatch {
  // nohup asks for closed terminals to be ignored, and Node forgets that.
  const ignoresHangUp = process.env._?.endsWith('/nohup') ?? false;
  const press = pressCounter(copiesOfPress());
  let seen = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGHUP' && ignoresHangUp) return;
    // The shell and the kernel both send SIGHUP; it does not come from a key.
    const kind = signal === 'SIGHUP' ? 'copy' : press(signal);
    if (kind === 'again') kill();
    else if (!seen) {
      seen = true;
      say('stopping after this step; a stage with checkpoints saves one first. Press Ctrl-C again to stop at once.');
    }
  };
  open.push(onSignal);
  last = undefined;
  listen();
  return {
    interrupted: () => seen,
    stop: () => {
      const index = open.indexOf(onSignal);
      if (index < 0) return;
      open.splice(index, 1);
      if (seen) last = onSignal;
      listen();
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
