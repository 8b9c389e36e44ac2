/** Host arrays that TensorFlow can use where they lie. */

/**
 * TensorFlow shares memory that begins at a multiple of 64 bytes and copies what does not (TF_NewTensor,
 * tensorflow/c/tf_tensor.cc). Blocks of more than 32 MB begin 16 bytes after a page with the C allocator of Linux. Where
 * an allocator does otherwise, arrays are copied, and nothing else changes.
 */
const FIRST_BYTE = 48;
const LINE_BYTES = 64;
const SLAB_BYTES = 2 ** 26;
/** What is smaller stays where it is when frozen weights move into a session (src/graph/trace.ts), and would keep its slab. */
const LEAST_BYTES = 2 ** 16;

/** A zeroed array that an upload shares instead of copying, where it is large. The uploader must not touch it again. */
export function sharableFloat32(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(new ArrayBuffer(FIRST_BYTE + 4 * length), FIRST_BYTE, length);
}

/**
 * Makes arrays that uploads share, those of middle size cut from large blocks, which are freed when all of their arrays are.
 * For the parameters of one model, which move or die together.
 */
export function hostSlabs(): (length: number) => Float32Array<ArrayBuffer> {
  let slab = new ArrayBuffer(0);
  let next = FIRST_BYTE;
  return (length) => {
    const bytes = 4 * length;
    if (bytes < LEAST_BYTES || bytes >= SLAB_BYTES / 2) return sharableFloat32(length);
    if (next + bytes > slab.byteLength) {
      slab = new ArrayBuffer(SLAB_BYTES);
      next = FIRST_BYTE;
    }
    const array = new Float32Array(slab, next, length);
    next += Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
    return array;
  };
}
