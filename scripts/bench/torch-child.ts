/** PyTorch in a process beside ours: a twin of one case that waits until a repetition of it is asked for. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../src/errors.ts';
import type { TaskName } from './cases.ts';
import type { Repetition } from './compare.ts';

const SCRIPT = fileURLToPath(new URL('torch/twin.py', import.meta.url));
const REQUIREMENTS = 'scripts/bench/torch/requirements.txt';

/** What a twin can be asked for, by task. `compile-max` is `torch.compile` with mode max-autotune. */
export const torchVariants: Readonly<Record<TaskName, readonly string[]>> = {
  train: ['eager', 'compile', 'compile-max', 'bf16', 'bf16-compile', 'bf16-compile-max'],
  lora: ['eager', 'compile', 'bf16', 'bf16-compile'],
  reward: ['eager', 'compile', 'compile-max', 'bf16', 'bf16-compile', 'bf16-compile-max'],
  generate: ['eager', 'compile', 'bf16', 'bf16-compile'],
  ppo: ['eager', 'compile', 'bf16', 'bf16-compile', 'trl'],
};

/** A twin that is set up. */
export interface Twin {
  readonly parameters: number;
  readonly versions: Readonly<Record<string, string>>;
  /** Variants it does not have here, and why. */
  readonly skipped: Readonly<Record<string, string>>;
  /** One repetition of a variant, in milliseconds of all its steps. */
  run(variant: string): Promise<Repetition>;
  close(): Promise<void>;
}

/**
 * Starts Python on a case and waits until it is set up.
 * @throws UserError where there is no Python, no PyTorch or no transformers, saying what to install; or where it failed
 */
export async function openTwin(python: string, content: Readonly<Record<string, unknown>>): Promise<Twin> {
  const child = spawn(python, [SCRIPT], { env: { ...process.env, PYTHONWARNINGS: 'ignore' } });
  const ask = await talk(python, child);
  const first = await ask(content);
  if (typeof first.missing === 'string') {
    child.kill();
    throw new UserError(
      `--python: ${python} has no ${first.missing}. Make a virtual environment with what the twins need:\n` +
        `  python3 -m venv .venv && .venv/bin/pip install -r ${REQUIREMENTS}\nand add --python .venv/bin/python.`,
    );
  }
  if (first.error !== undefined) {
    child.kill();
    throw new UserError(`--python: ${first.error}`);
  }
  return {
    parameters: Number(first.parameters),
    versions: first.versions as Record<string, string>,
    skipped: first.skipped as Record<string, string>,
    run: async (variant) => {
      const { ms, cpuMs, value, error } = await ask({ run: variant });
      if (error !== undefined) throw new UserError(String(error));
      return { ms: Number(ms), cpuMs: Number(cpuMs), value: Number(value), nodes: null };
    },
    close: async () => {
      if (child.exitCode !== null) return;
      const closed = once(child, 'close');
      child.stdin.end();
      await closed;
    },
  };
}

/** Sends one line and gives the line that answers it. */
type Ask = (content: unknown) => Promise<Record<string, unknown>>;

async function talk(python: string, child: ChildProcessWithoutNullStreams): Promise<Ask> {
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw new UserError(
      `--python: cannot start "${python}". Install Python 3.10 or later with the packages of ${REQUIREMENTS}, or name it.`,
      { cause: error },
    );
  }
  // What is written to a process that has died is reported below by its missing answer.
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const closed = once(child, 'close');
  return async (content) => {
    child.stdin.write(`${JSON.stringify(content)}\n`);
    const { value, done } = await lines.next();
    if (done) {
      await closed;
      throw new UserError(`the PyTorch twin ended without an answer. It said last:\n${said.trimEnd()}`);
    }
    return JSON.parse(value) as Record<string, unknown>;
  };
}
