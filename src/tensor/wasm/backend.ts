/** The wasm backend with a memory that several threads may use. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as Package from '@tensorflow/tfjs-backend-wasm';
import { requireBackend, tf } from '../tf.ts';
import { registerWasmKernels } from './kernels.ts';
import { openLibrary, type SharedMemory } from './library.ts';

const PACKAGE = '@tensorflow/tfjs-backend-wasm';
const resolve = createRequire(import.meta.url).resolve;

/** The part of the package's Emscripten module that is used here. */
interface EmscriptenModule {
  readonly asm: { readonly memory: SharedMemory };
  readonly _malloc: (bytes: number) => number;
  cwrap(name: string, returns: 'number' | null, takes: 'number'[]): (...values: number[]) => number;
  tfjs?: Record<string, (...values: number[]) => number>;
}

let opening: Promise<string> | undefined;

/**
 * Registers the backend "wasm" with its kernels, once. The package's own start refuses threads in Node
 * (tensorflow/tfjs#3830) and its binary with SIMD has a memory of its own, so the module is made here, from the
 * same files, after one bit of the binary is set: that its memory is shared.
 * @returns the package's version
 */
export function registerWasmBackend(): Promise<string> {
  opening ??= register();
  return opening;
}

async function register(): Promise<string> {
  const { BackendWasm, version_wasm } = requireBackend(PACKAGE) as typeof Package;
  const create = requireBackend(`${PACKAGE}/wasm-out/tfjs-backend-wasm.js`) as (
    options: object,
  ) => Promise<EmscriptenModule>;
  const wasmBinary = shareMemory(readFileSync(join(dirname(resolve(PACKAGE)), 'tfjs-backend-wasm-simd.wasm')));
  const module = await create({ wasmBinary });
  const wrap = (name: string, takes: number, returns: 'number' | null = null) =>
    module.cwrap(name, returns, new Array<'number'>(takes).fill('number'));
  module.tfjs = {
    init: wrap('init', 0),
    initWithThreadsCount: wrap('init_with_threads_count', 1),
    getThreadsCount: wrap('get_threads_count', 0, 'number'),
    registerTensor: wrap('register_tensor', 3),
    disposeData: wrap('dispose_data', 1),
    dispose: wrap('dispose', 0),
  };
  registerWasmKernels(openLibrary(module.asm.memory, module._malloc));
  tf.removeBackend('wasm');
  tf.registerBackend('wasm', () => new BackendWasm(module as unknown as ConstructorParameters<typeof BackendWasm>[0]));
  return version_wasm;
}

const MEMORY_SECTION = 5;
const HAS_MAXIMUM = 1;
const IS_SHARED = 2;

/**
 * A WebAssembly binary whose one memory is shared instead of private. Its flags are the second byte of the section, after
 * the number of memories (https://webassembly.github.io/spec/core/binary/modules.html#memory-section).
 */
export function shareMemory(binary: Uint8Array): Uint8Array {
  const shared = Uint8Array.from(binary);
  let at = 8; // after magic number and version
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = shared[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < shared.length) {
    const section = shared[at++];
    const length = leb();
    if (section === MEMORY_SECTION && shared[at] === 1 && shared[at + 1] === HAS_MAXIMUM) {
      shared[at + 1] = HAS_MAXIMUM | IS_SHARED;
      return shared;
    }
    at += length;
  }
  throw new Error(`${PACKAGE} is not the version expected: its binary has no memory with a maximum. Run npm ci.`);
}
