/** A faster matrix product for the wasm backend, which multiplies quickly only one untransposed matrix by another. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { type Library, replaceKernel, type WasmBackend } from './library.ts';

interface MatMulArguments {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Below this many rows packing the right-hand matrix costs more than multiplying by it. */
const FEW_ROWS = 16;

/**
 * Replaces the backend's BatchMatMul. The stock kernel sends a single untransposed product to XNNPACK, on one thread, and
 * everything else to a scalar loop about ten times slower (tfjs-backend-wasm src/cc/batch_mat_mul_impl.cc).
 */
export function registerWasmMatMul(library: Library): void {
  replaceKernel('BatchMatMul', (stock) => (call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo };
    const { transposeA, transposeB } = call.attrs as unknown as MatMulArguments;
    const [rows, inner] = orient(a.shape, transposeA);
    const [, columns] = orient(b.shape, transposeB);
    const batch = leadingSize(a.shape);
    // XNNPACK keeps the right-hand matrix packed, which pays where few rows are multiplied again and again.
    const few = rows < FEW_ROWS && batch === 1 && !transposeA && !transposeB;
    const sameBatch = a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
    // Broadcast batches are left to the stock kernel: nothing here uses them.
    if (few || !sameBatch) return stock(call);
    const backend = call.backend as WasmBackend;
    const product = backend.makeOutput([...a.shape.slice(0, -2), rows, columns], 'float32');
    const [left, right, to] = [a, b, product].map((tensor) => backend.getMemoryOffset(tensor.dataId)) as [number, number, number]; // biome-ignore format: one list
    library.multiply(left, right, to, { batch, m: rows, n: columns, k: inner }, transposeA, transposeB);
    return product;
  });
}

function leadingSize(shape: readonly number[]): number {
  return shape.slice(0, -2).reduce((product, size) => product * size, 1);
}

function orient(shape: readonly number[], transpose: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transpose ? [columns, rows] : [rows, columns];
}
