/** The webgpu backend in Node: Dawn from the npm package `webgpu` behind TensorFlow.js's WebGPU kernels. */

import { LaneError } from '../errors.ts';
import { isSoftwareAdapter } from '../lanes/hardware.ts';
import type { Device, Opened } from './backends.ts';
import { requireBackend, tf } from './tf.ts';

/** The part of an adapter's description that is read here. */
interface AdapterInfo {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  isFallbackAdapter?: boolean;
}

interface Gpu {
  requestAdapter(options?: object): Promise<{ info: AdapterInfo } | null>;
}

/**
 * Opens webgpu. A software adapter counts as device `cpu`: it works (slowly) when named, and never passes for a GPU.
 *
 * @throws Error with a remedy where the packages or an adapter are missing, or the device asked for is not that kind
 */
export async function openWebgpu(device: Device): Promise<Opened> {
  const gpu = provideNavigator();
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter)
    throw new Error('no Vulkan, Metal or D3D12 adapter was found. Install a GPU driver, or use runtime.backend auto.');
  const { info } = adapter;
  const label = info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(' ');
  const software = info.isFallbackAdapter === true || isSoftwareAdapter(`${label} ${info.architecture}`);
  if (device === 'gpu' && software) throw new Error(`the only adapter is software (${label}). Install a GPU driver.`);
  if (device === 'cpu' && !software) throw new Error('webgpu runs on the GPU. Use runtime.backend tensorflow or wasm.');
  const backend = requireBackend('@tensorflow/tfjs-backend-webgpu') as { version_webgpu?: string };
  if (!(await tf.setBackend('webgpu'))) throw new Error(`WebGPU did not start on ${label}. Update the GPU driver.`);
  refuseSynchronousReads();
  return {
    device: software ? 'cpu' : 'gpu',
    what: `${software ? 'CPU, software adapter' : 'GPU'} (WebGPU, ${label})`,
    versions: { webgpu: backend.version_webgpu ?? tf.version.tfjs, adapter: label },
  };
}

/** TensorFlow.js reads WebGPU buffers synchronously through a canvas, which Node has not; its own error names only that. */
function refuseSynchronousReads(): void {
  const backend = tf.backend() as unknown as { readSync(dataId: object): unknown; refuses?: boolean };
  if (backend.refuses) return;
  const readSync = backend.readSync.bind(backend);
  backend.readSync = (dataId) => {
    try {
      return readSync(dataId);
    } catch (error) {
      if (!(error instanceof ReferenceError)) throw error;
      throw new LaneError(
        'runtime.backend webgpu: a result was read synchronously, which WebGPU cannot do in Node. Use await tensor.data() in your own code; for training use runtime.backend tensorflow or wasm.',
        { cause: error },
      );
    }
  };
  backend.refuses = true;
}

let dawn: Gpu | undefined;

/** Gives TensorFlow.js the browser names it looks for. Node 21 and newer has a `navigator` without `gpu`. */
function provideNavigator(): Gpu {
  if (dawn) return dawn;
  let bindings: { create(flags: string[]): Gpu; globals: object };
  try {
    bindings = requireBackend('webgpu') as typeof bindings;
  } catch {
    throw new Error('the npm package "webgpu" is not installed or does not load here. Run npm ci.');
  }
  dawn = bindings.create([]);
  Object.assign(globalThis, bindings.globals);
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu: dawn, userAgent: 'node' },
    configurable: true,
    writable: true,
  });
  return dawn;
}
