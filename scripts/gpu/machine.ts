/** The GPU by its driver, and programs of this project in processes of their own. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LaneError } from '../../src/errors.ts';
import { hasNvidiaDriver } from '../../src/lanes/hardware.ts';
import { setUpTensorflow } from '../../src/lanes/setup.ts';

/** What the driver says of the first GPU that programs see; null where nvidia-smi cannot be asked. */
export interface Gpu {
  readonly name: string;
  readonly driver: string;
  readonly memory: string;
  /** 8.0 is Ampere. */
  readonly computeCapability: number;
}

/** Asks nvidia-smi. */
export function gpuOf(environment: NodeJS.ProcessEnv = process.env): Gpu | null {
  const first = environment.CUDA_VISIBLE_DEVICES?.split(',')[0] || '0';
  const query = ['--query-gpu=name,driver_version,memory.total,compute_cap', '--format=csv,noheader', `--id=${first}`];
  const { stdout, status } = spawnSync('nvidia-smi', query, { encoding: 'utf8', env: environment });
  const [name, driver, memory, capability] = (stdout ?? '').trim().split('\n', 1)[0]?.split(', ') ?? [];
  if (status !== 0 || !name || !driver || !memory || !capability) return null;
  return { name, driver, memory, computeCapability: Number(capability) };
}

/**
 * Makes sure that there is a lane to measure.
 * @throws LaneError where there is no NVIDIA driver, or TensorFlow cannot be set up
 */
export async function prepare(device: 'gpu' | 'cpu', say: (line: string) => void): Promise<void> {
  if (device === 'gpu' && !hasNvidiaDriver()) {
    throw new LaneError(
      '--device gpu: no NVIDIA driver was found on this machine. Install one until nvidia-smi shows the GPU, or try these scripts with --device cpu.',
    );
  }
  const { ready, problems } = await setUpTensorflow({ say });
  if (!ready) throw new LaneError(['the tensorflow lane is not set up:', ...problems]);
}

/**
 * Runs a program to its end; what it says goes to the terminal.
 * @param script relative to this folder
 * @returns standard output, where `isRead`
 * @throws LaneError where it fails
 */
export function runScript(script: string, argv: readonly string[], { isRead }: { isRead: boolean }): string {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const { stdout, status, signal } = spawnSync(process.execPath, ['--import', 'tsx', file, ...argv], {
    encoding: 'utf8',
    stdio: ['ignore', isRead ? 'pipe' : 'inherit', 'inherit'],
  });
  if (status !== 0) throw new LaneError(`${script} ${argv.join(' ')}: ended with ${signal ?? `exit code ${status}`}.`);
  return stdout ?? '';
}
