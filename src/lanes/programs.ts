/** Runs other programs (pip, a C++ compiler, node) to their end, with a time limit, and stops them with this process. */

import { type ChildProcess, spawn } from 'node:child_process';

export interface ProgramOptions {
  folder?: string;
  environment?: NodeJS.ProcessEnv;
  limitSeconds: number;
}

export interface ProgramResult {
  ok: boolean;
  /** The last lines of standard output and standard error together. */
  output: string;
  standardOutput: string;
  /** Why it failed, in a few words; empty where it did not. */
  failure: string;
}

const running = new Set<ChildProcess>();
const keptCharacters = 20_000;

/** Runs a program. Never throws: a program that is missing, fails, or takes too long is a result. */
export function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  return new Promise((settle) => {
    let output = '';
    let standardOutput = '';
    let failure = '';
    const child = spawn(program, args, {
      cwd: options.folder,
      env: options.environment ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    const timer = setTimeout(() => {
      failure = `took longer than ${options.limitSeconds} s`;
      child.kill('SIGKILL');
    }, options.limitSeconds * 1000);
    const finish = (): void => {
      clearTimeout(timer);
      running.delete(child);
      settle({ ok: failure === '', output: output.trim(), standardOutput: standardOutput.trim(), failure });
    };
    child.stdout.on('data', (bytes: Buffer) => {
      output = (output + bytes).slice(-keptCharacters);
      standardOutput = (standardOutput + bytes).slice(-keptCharacters);
    });
    child.stderr.on('data', (bytes: Buffer) => {
      output = (output + bytes).slice(-keptCharacters);
    });
    child.on('error', (error) => {
      failure ||= error.message;
      finish();
    });
    child.on('close', (code, signal) => {
      if (code !== 0) failure ||= signal ? `stopped by ${signal}` : `exit code ${code}`;
      finish();
    });
  });
}

/** Stops every program that still runs; for signal handlers. */
export function stopPrograms(): void {
  for (const child of running) child.kill('SIGTERM');
}

/** The line of a program's output that says most: the last with "error" in it, else the last. */
export function tellingLine(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const line = lines.findLast((text) => /error|fatal|cannot|denied/i.test(text)) ?? lines.at(-1) ?? '';
  return line.trim().slice(0, 240);
}
