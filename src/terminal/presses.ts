/** Tells one press of Ctrl-C from two where the program that started this one passes every signal on a second time. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a signal is: the first press, one more copy of the press before, or another press. */
export type Press = 'first' | 'copy' | 'again';

/** A copy comes at once; on a busy machine its sender may have to wait for its turn. */
const COPY_MILLISECONDS = 1000;

/**
 * A terminal sends SIGINT to every program that runs in it. npm sends the one it got to its child too, so each press
 * arrives twice; `timeout` and job schedulers do the same with SIGTERM, which a user does not send twice within a second.
 *
 * @param copies how often one press of Ctrl-C arrives
 * @param now    milliseconds of a steady clock; replaced in tests
 */
export function pressCounter(copies: number, now = () => performance.now()): (signal: NodeJS.Signals) => Press {
  let pressedAt = Number.NEGATIVE_INFINITY;
  let received = 0;
  return (signal) => {
    const time = now();
    const mayBeCopy = signal === 'SIGTERM' ? received > 0 : received % copies !== 0;
    const press = received === 0 ? 'first' : mayBeCopy && time - pressedAt < COPY_MILLISECONDS ? 'copy' : 'again';
    if (press === 'copy') received += 1;
    else [pressedAt, received] = [time, 1];
    return press;
  };
}

/** Programs that pass on what the terminal has sent to all of its programs already; the last one is `under-tsx.ts`. */
const passOn =
  /(^|[\s/])(npm|npx|pnpm|pnpx|yarn|timeout)(-cli)?(\.[cm]?js)?(\s|$)|[\\/]tsx[\\/]dist[\\/]preflight\.cjs/;

/** How often a press of Ctrl-C arrives here: twice where the parent passes signals on. */
export function copiesOfPress(command: string = commandOf(process.ppid)): number {
  return passOn.test(command) ? 2 : 1;
}

/** The command line of a process; empty where the system does not tell. */
function commandOf(pid: number): string {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    if (process.platform === 'win32') return '';
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8', timeout: 2000 }).trim();
  } catch {
    return '';
  }
}
