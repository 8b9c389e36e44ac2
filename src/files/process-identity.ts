/** Which process is meant, for files that outlive it: a number alone is given to another process sooner or later. */

import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { hasCode } from '../errors.ts';

/** A process, told apart from every other. */
export interface Process {
  readonly pid: number;
  readonly host: string;
  /** Where its number counts: containers on one host may share its name and not its numbers. Empty outside Linux. */
  readonly space: string;
  /** When it started, in the system's own words; empty where the system does not tell. */
  readonly startedAt: string;
}

/** This process. */
export function thisProcess(): Process {
  return { pid: process.pid, host: hostname(), space: numberSpace(), startedAt: startOf(process.pid) };
}

/** True where it can be seen from here whether a process lives. */
export function isHere({ host, space }: Process): boolean {
  return host === hostname() && space === numberSpace();
}

/** Whether a process that is here still runs: its number is in use, and by the process that started then. */
export function isAlive({ pid, startedAt }: Process): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and another user's.
    if (!hasCode(error, 'EPERM')) return false;
  }
  const now = startOf(pid);
  return now === '' || startedAt === '' || now === startedAt;
}

/** On Linux the boot and the kernel's ticks since then; elsewhere what `ps` says, to the second. */
function startOf(pid: number): string {
  try {
    if (process.platform === 'win32') return '';
    if (process.platform !== 'linux') {
      const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', timeout: 2000, env }).trim();
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; state is the third field, the start the twenty-second.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; its parent has not read its exit status yet.
    if (fields[0] === 'Z' || fields[0] === 'X') return 'ended';
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    return '';
  }
}

function numberSpace(): string {
  try {
    return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : '';
  } catch {
    return '';
  }
}
