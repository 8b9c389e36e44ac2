/** Faster split and concat for the wasm backend, whose own copy element by element or call JavaScript for every row. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { type Library, replaceKernel, type WasmBackend } from './library.ts';

/** Replaces SplitV and Concat by copies of blocks: [lead, axis, rest], cut or joined along the axis. */
export function registerWasmSplitAndConcat(library: Library): void {
  replaceKernel('SplitV', (stock) => (call) => {
    const { x } = call.inputs as { x: TensorInfo };
    const attributes = call.attrs as unknown as { numOrSizeSplits: number | number[]; axis: number };
    const axis = fromTheFront(attributes.axis, x);
    const given = attributes.numOrSizeSplits;
    const length = x.shape[axis] as number;
    const sizes = typeof given === 'number' ? new Array<number>(given).fill(length / given) : given;
    // A size of −1 ("the rest") and bytes are left to the stock kernel: nothing here uses them.
    if (sizes.includes(-1) || !hasWords(x)) return stock(call);
    const backend = call.backend as WasmBackend;
    const parts = sizes.map((size) => backend.makeOutput(withAxis(x, axis, size), x.dtype));
    copyParts(library, backend, parts, x, axis, 'split');
    return parts;
  });
  replaceKernel('Concat', (stock) => (call) => {
    const parts = Object.values(call.inputs) as TensorInfo[];
    const first = parts[0] as TensorInfo;
    const axis = fromTheFront((call.attrs as unknown as { axis: number }).axis, first);
    if (!parts.every((part) => hasWords(part) && fits(part, first, axis))) return stock(call);
    const backend = call.backend as WasmBackend;
    const length = parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0);
    const whole = backend.makeOutput(withAxis(first, axis, length), first.dtype);
    copyParts(library, backend, parts, whole, axis, 'concat');
    return whole;
  });
}

/** Copies every part from (split) or into (concat) its place in the whole. */
function copyParts(
  library: Library,
  backend: WasmBackend,
  parts: readonly TensorInfo[],
  whole: TensorInfo,
  axis: number,
  way: 'split' | 'concat',
): void {
  const lead = product(whole.shape.slice(0, axis));
  const stride = product(whole.shape.slice(axis));
  let inside = backend.getMemoryOffset(whole.dataId);
  for (const part of parts) {
    const length = product(part.shape.slice(axis));
    const outside = backend.getMemoryOffset(part.dataId);
    if (way === 'split') library.copyBlocks(inside, stride, outside, length, lead, length);
    else library.copyBlocks(outside, length, inside, stride, lead, length);
    inside += length * 4;
  }
}

function hasWords({ dtype }: TensorInfo): boolean {
  return dtype === 'float32' || dtype === 'int32';
}

/** Whether a part has the type and, but for the axis, the shape of the first; the stock kernel says what is wrong. */
function fits(part: TensorInfo, first: TensorInfo, axis: number): boolean {
  return part.dtype === first.dtype && withAxis(part, axis, 0).join() === withAxis(first, axis, 0).join();
}

function fromTheFront(axis: number, { shape }: TensorInfo): number {
  return axis < 0 ? axis + shape.length : axis;
}

function withAxis({ shape }: TensorInfo, axis: number, size: number): number[] {
  return shape.map((given, i) => (i === axis ? size : given));
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1);
}
