/** The addon's inner interface, as far as it is used (tfjs-node nodejs_kernel_backend.ts, tfjs_backend.cc). Tensorflow lane only. */
import type { Tensor } from './tf.ts';
import { tf } from './tf.ts';

/** TensorFlow's DataType enum (tensorflow/core/framework/types.proto), as far as it is used. */
export const DATA_TYPES = { float32: 1, int32: 3, int64: 9, bool: 10, bfloat16: 14, resource: 20 } as const;

/** A tensor inside the addon, of any type TensorFlow has. */
export interface Handle {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** An attribute as TensorFlow.js gives it to the addon; `type` is one of the binding's TF_ATTR numbers. */
export interface AddonAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

export interface AddonBinding {
  readonly TF_Version: string;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  executeOp(name: string, attributes: readonly AddonAttribute[], inputs: readonly number[], outputs: number): Handle[];
  createTensor(shape: readonly number[], dtype: number, values: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): unknown;
}

export interface AddonBackend {
  readonly isUsingGpuDevice: boolean;
  /** Tracing puts another one in its place. */
  binding: AddonBinding;
  executeMultipleOutputs(name: string, attributes: AddonAttribute[], inputs: Tensor[], outputs: number): Tensor[];
  getInputTensorIds(tensors: readonly Tensor[]): number[];
  createOutputTensor(handle: Handle): Tensor;
  /** Tensors that hold memory in the addon. */
  getNumOfTFTensors(): number;
  readSync(dataId: object): unknown;
  /** Where TensorFlow.js keeps a tensor: its id in the addon (−1: none yet), and values that are not uploaded yet. */
  readonly tensorMap: { get(dataId: object): { id: number; values: unknown } };
  write(values: unknown, shape: number[], dtype: string): object;
  disposeData(dataId: object, force?: boolean): boolean;
}

/** The backend of the tensorflow lane, which must be open. */
export function addonBackend(): AddonBackend {
  return tf.backend() as unknown as AddonBackend;
}
