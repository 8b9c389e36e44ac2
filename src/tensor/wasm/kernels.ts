/** Kernels that training needs and the wasm backend of TensorFlow.js 4.22 lacks, or has in a slow way. */

import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import { tf } from '../tf.ts';
import { type Library, replaceKernel, type WasmBackend } from './library.ts';
import { registerWasmMatMul } from './matmul.ts';
import { registerWasmSplitAndConcat } from './split-and-concat.ts';

/**
 * Sums rows that share a segment: x [rows, ...rest], segmentIds [rows] → [numSegments, ...rest]. The gradient of every
 * embedding look-up is this sum (tensorflow/tfjs#8082). Ids outside [0, numSegments) are dropped, as TensorFlow does.
 */
const unsortedSegmentSum: KernelFunc = ({ inputs, attrs, backend }) => {
  const wasm = backend as WasmBackend;
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = attrs as unknown as { numSegments: number };
  const rest = x.shape.slice(segmentIds.shape.length);
  const width = rest.reduce((product, size) => product * size, 1);
  const output = wasm.makeOutput([numSegments, ...rest], x.dtype);
  const ids = wasm.typedArrayFromHeap(segmentIds);
  const values = wasm.typedArrayFromHeap(x);
  const sums = wasm.typedArrayFromHeap(output).fill(0); // wasm memory is not cleared between tensors
  for (let row = 0; row < ids.length; row++) {
    const segment = ids[row] as number;
    if (segment < 0 || segment >= numSegments) continue;
    const from = row * width;
    const to = segment * width;
    for (let column = 0; column < width; column++) {
      sums[to + column] = (sums[to + column] as number) + (values[from + column] as number);
    }
  }
  return output;
};

/** Another tensor of the same values: shared, since no kernel changes a tensor; the backend's own copies them. */
const identity: KernelFunc = ({ inputs, backend }) => {
  const { x } = inputs as { x: TensorInfo };
  (backend as WasmBackend).incRef(x.dataId);
  return { ...x };
};

/** Rows of a matrix by number; everything else, and an error, is the stock kernel's, which is slow for any shape. */
function gather(library: Library, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { x, indices } = call.inputs as { x: TensorInfo; indices: TensorInfo };
    const { axis, batchDims } = call.attrs as unknown as { axis: number; batchDims: number };
    const backend = call.backend as WasmBackend;
    const isRows = x.shape.length === 2 && indices.shape.length === 1 && axis === 0 && batchDims === 0;
    if (!isRows || x.dtype !== 'float32' || indices.dtype !== 'int32') return stock(call);
    const [height, width] = x.shape as [number, number];
    const ids = backend.typedArrayFromHeap(indices);
    if (ids.some((id) => id < 0 || id >= height)) return stock(call);
    const rows = backend.makeOutput([ids.length, width], x.dtype);
    const [table, at, to] = [x, indices, rows].map(({ dataId }) => backend.getMemoryOffset(dataId)) as [number, number, number]; // biome-ignore format: one list
    library.gatherRows(table, at, to, ids.length, width);
    return rows;
  };
}

/** Adds the missing kernels and replaces the slow ones; to be called once. */
export function registerWasmKernels(library: Library): void {
  tf.registerKernel({ kernelName: 'UnsortedSegmentSum', backendName: 'wasm', kernelFunc: unsortedSegmentSum });
  replaceKernel('Identity', () => identity);
  replaceKernel('GatherV2', (stock) => gather(library, stock));
  registerWasmMatMul(library);
  registerWasmSplitAndConcat(library);
}
