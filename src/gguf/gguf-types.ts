/** Numbers of the GGUF format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */

/** The first four bytes of a file, and the version that is written. */
export const GGUF_MAGIC = 'GGUF';
export const GGUF_VERSION = 3;

/** Where `general.alignment` says nothing else, data begins at multiples of this many bytes. */
export const GGUF_ALIGNMENT = 32;

/** Kinds of metadata values by their number in the file. */
export const VALUE_TYPES = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

/** Types of tensors that are written: number in the file, values of a block, bytes of a block. */
export const TENSOR_TYPES = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  BF16: { id: 30, block: 1, bytes: 2 },
} as const;
export type TensorType = keyof typeof TENSOR_TYPES;
