/**
 * Programs started by tsx's own command (`npx tsx stages/…`). It ends its child 60 ms after a Ctrl-C unless the child has
 * answered by then, which a training step cannot. So the child that it started starts the program once more, by node
 * itself, and only waits: it answers in time.
 */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { pressCounter } from './presses.ts';

/** Loaded by tsx's command alone, and by nothing that node starts with `--import tsx`. */
const PREFLIGHT = /[\\/]tsx[\\/]dist[\\/]preflight\.cjs$/;

/** Node's own arguments without what tsx's command adds; undefined where it did not start this program. */
export function withoutPreflight(nodeArguments: readonly string[]): string[] | undefined {
  const at = nodeArguments.findIndex((argument) => PREFLIGHT.test(argument));
  // It stands behind `--require`.
  return at < 1 ? undefined : [...nodeArguments.slice(0, at - 1), ...nodeArguments.slice(at + 1)];
}

/**
 * Runs the program once more where tsx's command started it, and waits for its end.
 * @returns its exit status; undefined where this process is to do the work
 */
export async function runOutsideTsx(): Promise<number | undefined> {
  const nodeArguments = withoutPreflight(process.execArgv);
  if (nodeArguments === undefined) return undefined;
  const child = spawn(process.execPath, [...nodeArguments, ...process.argv.slice(1)], { stdio: 'inherit' });
  // What a terminal sends reaches the child by itself; what was sent to this process alone does not. The child knows
  // that a press may arrive twice (`presses.ts`), so each is passed on once.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const press = pressCounter(Number.POSITIVE_INFINITY);
    process.on(signal, () => {
      if (press(signal) !== 'copy') child.kill(signal);
    });
  }
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
