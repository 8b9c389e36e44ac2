/** Kernels that training needs and the wasm backend of TensorFlow.js 4.22 lacks. Registered once, by `openLane`. */

import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import { tf } from '../tf.ts';
import { registerWasmMatMul } from './matmul.ts';
import { registerWasmSplit } from './split.ts';

/** The part of the wasm backend that a kernel needs. */
interface WasmBackend {
  makeOutput(shape: number[], dtype: TensorInfo['dtype']): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array | Int32Array;
}

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

/** Adds the missing kernels and replaces the slow ones; does nothing the second time. */
export function registerWasmKernels(): void {
  if (tf.getKernel('UnsortedSegmentSum', 'wasm')) return;
  tf.registerKernel({ kernelName: 'UnsortedSegmentSum', backendName: 'wasm', kernelFunc: unsortedSegmentSum });
  registerWasmMatMul();
  registerWasmSplit();
}
