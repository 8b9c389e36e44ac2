/** A faster matrix product for the wasm backend, which multiplies quickly only one untransposed matrix by another. */
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import { tf } from '../tf.ts';

interface WasmBackend {
  makeOutput(shape: number[], dtype: TensorInfo['dtype']): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array;
  disposeData(dataId: object): boolean;
}

interface MatMulArguments {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/**
 * Replaces the backend's BatchMatMul. The stock kernel sends a single untransposed product to XNNPACK and everything
 * else to a scalar loop about ten times slower (tfjs-backend-wasm src/cc/batch_mat_mul_impl.cc). Here each matrix of
 * a batch is copied, transposed on the way where asked, and multiplied by the fast path: the copies cost a few
 * percent of what they save.
 */
export function registerWasmMatMul(): void {
  const stock = tf.getKernel('BatchMatMul', 'wasm');
  const multiply = stock.kernelFunc;
  const kernelFunc: KernelFunc = (call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo };
    const { transposeA, transposeB } = call.attrs as unknown as MatMulArguments;
    const plain = leadingSize(a.shape) === 1 && !transposeA && !transposeB;
    const sameBatch = a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
    // Broadcast batches are left to the stock kernel: nothing here uses them.
    if (plain || !sameBatch) return multiply(call);
    return batched(call.backend as WasmBackend, multiply, { a, b, transposeA, transposeB });
  };
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel({ ...stock, kernelFunc });
}

function batched(backend: WasmBackend, multiply: KernelFunc, product: MatMulArguments): TensorInfo {
  const { a, b, transposeA, transposeB } = product;
  const [rows, inner] = orient(a.shape, transposeA);
  const [, columns] = orient(b.shape, transposeB);
  const batch = leadingSize(a.shape);
  const output = backend.makeOutput([...a.shape.slice(0, -2), rows, columns], 'float32');
  const left = backend.makeOutput([rows, inner], 'float32');
  const right = backend.makeOutput([inner, columns], 'float32');
  for (let item = 0; item < batch; item++) {
    // Every view is taken anew: the wasm heap may have grown, and moved, in the call before.
    copyMatrix(backend, a, item, left, transposeA);
    // XNNPACK packs and caches the right-hand matrix by tensor, so each needs a tensor of its own.
    const packed = item === 0 ? right : backend.makeOutput([inner, columns], 'float32');
    copyMatrix(backend, b, item, packed, transposeB);
    const attrs = { transposeA: false, transposeB: false };
    const result = multiply({ inputs: { a: left, b: packed }, attrs, backend }) as TensorInfo;
    const size = rows * columns;
    backend.typedArrayFromHeap(output).set(backend.typedArrayFromHeap(result), item * size);
    backend.disposeData(result.dataId);
    backend.disposeData(packed.dataId);
  }
  backend.disposeData(left.dataId);
  return output;
}

/** Copies matrix `item` of a batch, transposing it where asked. */
function copyMatrix(
  backend: WasmBackend,
  source: TensorInfo,
  item: number,
  target: TensorInfo,
  transpose: boolean,
): void {
  const [rows, columns] = source.shape.slice(-2) as [number, number];
  const size = rows * columns;
  const from = backend.typedArrayFromHeap(source).subarray(item * size, (item + 1) * size);
  const to = backend.typedArrayFromHeap(target);
  if (!transpose) {
    to.set(from);
    return;
  }
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[start + column] as number;
  }
}

function leadingSize(shape: readonly number[]): number {
  return shape.slice(0, -2).reduce((product, size) => product * size, 1);
}

function orient(shape: readonly number[], transpose: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transpose ? [columns, rows] : [rows, columns];
}
