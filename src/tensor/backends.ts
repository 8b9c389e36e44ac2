/** How each TensorFlow.js backend is loaded and made current. Each opener throws a sentence with a remedy. */

import { errorMessage } from '../errors.ts';
import { addonPresent } from '../lanes/addon-file.ts';
import { hasNvidiaDriver } from '../lanes/hardware.ts';
import { addonBackend } from './addon.ts';
import { requireBackend, tf } from './tf.ts';
import { registerWasmBackend } from './wasm/backend.ts';

export type Device = 'auto' | 'gpu' | 'cpu';

/** What a lane turned out to be. */
export interface Opened {
  device: 'cpu' | 'gpu';
  /** Words for "lane x on …". */
  what: string;
  versions: Record<string, string>;
  /** What keeps it from being better, with the command that may mend it. */
  hint?: string;
}

/** TensorFlow's own kernels through the addon, on CUDA where the library finds a device. */
export async function openTensorflow(device: Device): Promise<Opened> {
  if (!addonPresent()) throw new Error('the TensorFlow addon is not set up. Run npm run setup.');
  // Read by the library when it loads, so a later change has no effect.
  if (device === 'cpu') process.env.CUDA_VISIBLE_DEVICES = '-1';
  try {
    requireBackend('@tensorflow/tfjs-node-gpu');
  } catch (error) {
    throw new Error(`the TensorFlow addon does not load (${firstLine(error)}). Run npm run setup -- --again.`);
  }
  await tf.setBackend('tensorflow');
  const backend = addonBackend();
  const gpu = backend.isUsingGpuDevice;
  if (device === 'gpu' && !gpu) {
    throw new Error('TensorFlow sees no GPU. Check the driver with nvidia-smi, then run npm run doctor.');
  }
  if (device === 'cpu' && gpu) {
    throw new Error('TensorFlow was already loaded with a GPU in this process. Start with CUDA_VISIBLE_DEVICES=-1.');
  }
  const version = backend.binding.TF_Version;
  return {
    device: gpu ? 'gpu' : 'cpu',
    what: `${gpu ? 'GPU' : 'CPU'} (TensorFlow ${version})`,
    versions: { tensorflow: version },
    // TensorFlow goes on without a GPU whose libraries it cannot open, and says nothing.
    ...(!gpu && device === 'auto' && hasNvidiaDriver()
      ? { hint: 'An NVIDIA driver is here but TensorFlow sees no GPU. Run npm run doctor.' }
      : {}),
  };
}

/** WebAssembly kernels, all from npm but the matrix product, which runs on all cores. */
export async function openWasm(device: Device): Promise<Opened> {
  if (device === 'gpu') throw new Error('wasm runs on the CPU only. Use runtime.backend tensorflow or webgpu.');
  const version = await registerWasmBackend();
  if (!(await tf.setBackend('wasm'))) throw new Error('WebAssembly did not start. Run npm ci.');
  return { device: 'cpu', what: 'CPU (WebAssembly)', versions: { wasm: version } };
}

/** Plain JavaScript kernels: slow, always there. */
export async function openCpu(device: Device): Promise<Opened> {
  if (device === 'gpu') throw new Error('cpu is not a GPU lane. Use runtime.backend tensorflow or webgpu.');
  await tf.setBackend('cpu');
  return { device: 'cpu', what: 'CPU (plain JavaScript, slow)', versions: {} };
}

function firstLine(error: unknown): string {
  return errorMessage(error).split('\n', 1)[0] ?? '';
}
