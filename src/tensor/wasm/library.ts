/** The kernels of kernels.c in the backend's memory, with a thread for each core. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import { tf } from '../tf.ts';
import { KERNELS } from './kernels-binary.ts';

/** The part of the wasm backend that a kernel needs. */
export interface WasmBackend {
  makeOutput(shape: number[], dtype: TensorInfo['dtype']): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array | Int32Array;
  /** The tensor's address in the memory, in bytes. */
  getMemoryOffset(dataId: object): number;
  incRef(dataId: object): void;
}

/** Kernels of our own; matrices, tables and ids are addresses. */
export interface Library {
  /** c [batch, m, n] = a [batch, m, k] · b [batch, k, n]; transposed, a is [batch, k, m] and b [batch, n, k]. */
  multiply(a: number, b: number, c: number, shape: ProductShape, transposeA: boolean, transposeB: boolean): void;
  /** Copies blocks of `length` words that start `fromStride` and `toStride` words apart. */
  copyBlocks(from: number, fromStride: number, to: number, toStride: number, blocks: number, length: number): void;
  /** Row ids[i] of a table [.., width] to row i. Every id must be a row of the table. */
  gatherRows(table: number, ids: number, to: number, rows: number, width: number): void;
}

export interface ProductShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** A shared WebAssembly.Memory. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
}

/** The part of WebAssembly used here, which TypeScript declares only for browsers. */
const { Instance, Module } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
interface WebAssemblyApi {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object, imports: { env: { memory: SharedMemory } }) => { readonly exports: unknown };
}

interface Exports {
  job_bytes(): number;
  failed_at(): number;
  scratch_bytes(): number;
  multiply(job: number, scratch: number, ...values: number[]): number;
  copy_blocks: Library['copyBlocks'];
  gather_rows: Library['gatherRows'];
}

/**
 * A helping thread: JavaScript as text, so that it starts without the loader of TypeScript. What ends it is left in the
 * job, since the main thread waits inside WebAssembly and sees no event.
 */
const THREAD = `
const { module, memory, job, scratch, failedAt } = require('node:worker_threads').workerData;
try {
  new WebAssembly.Instance(module, { env: { memory } }).exports.serve(job, scratch);
} catch (error) {
  Atomics.store(new Int32Array(memory.buffer), (job + failedAt) / 4, 1);
  throw error;
}`;

/**
 * Instantiates the kernels in a shared memory and starts their threads, which end with the process.
 * @param allocate returns the address of so many bytes
 * @param threads that multiply, the calling one included
 */
export function openLibrary(
  memory: SharedMemory,
  allocate: (bytes: number) => number,
  threads = availableParallelism(),
): Library {
  const module = new Module(Buffer.from(KERNELS.binary, 'base64'));
  const exports = new Instance(module, { env: { memory } }).exports as Exports;
  const [bytes, failedAt] = [exports.job_bytes(), exports.failed_at()];
  const job = allocate(bytes);
  const scratches = Array.from({ length: threads }, () => allocate(exports.scratch_bytes()));
  new Uint8Array(memory.buffer, job, bytes).fill(0);
  for (const scratch of scratches.slice(1)) {
    const workerData = { module, memory, job, scratch, failedAt };
    new Worker(THREAD, { eval: true, execArgv: [], workerData }).unref();
  }
  const mine = scratches[0] as number;
  return {
    multiply: (a, b, c, { batch, m, n, k }, transposeA, transposeB) => {
      const isDone = exports.multiply(job, mine, a, b, c, batch, m, n, k, +transposeA, +transposeB, threads);
      if (!isDone) throw new Error('A thread of the wasm lane has ended. Start the program again.');
    },
    copyBlocks: exports.copy_blocks,
    gatherRows: exports.gather_rows,
  };
}

/** Puts a kernel in the place of the backend's own, which it may call. */
export function replaceKernel(name: string, replacement: (stock: KernelFunc) => KernelFunc): void {
  const stock = tf.getKernel(name, 'wasm');
  tf.unregisterKernel(name, 'wasm');
  tf.registerKernel({ ...stock, kernelFunc: replacement(stock.kernelFunc) });
}
