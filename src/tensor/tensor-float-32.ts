/**
 * TensorFloat-32: whether a GPU (NVIDIA's Ampere and newer) multiplies float32 matrices with 10 bits of their mantissas
 * instead of 23. TensorFlow does so by default, and its C API has no call for it; this is the function
 * behind tf.config.experimental.enable_tensor_float_32_execution. One switch for eager ops and sessions, read at every
 * product (xla/stream_executor/cuda/cuda_blas.cc, DoBlasInternalImpl). Kernels of CPUs are left alone.
 */
import { errorMessage, LaneError } from '../errors.ts';
import { loadKoffi } from './native-library.ts';

/** The switch inside the library. */
export interface TensorFloat32 {
  isAllowed(): boolean;
  allow(allowed: boolean): void;
}

/** By its name as a shared object: the loader gives what is in the process already. */
const LIBRARY = 'libtensorflow_framework.so.2';
/** The namespace in C++ names as they are linked: tsl since TensorFlow 2.12, tensorflow before. */
const NAMESPACES = ['3tsl', '10tensorflow'];

/**
 * Finds the switch. The tensorflow lane must be open.
 * @throws LaneError where the library has none, or what calls it (koffi) is not installed
 */
export function tensorFloat32(): TensorFloat32 {
  const refusals: string[] = [];
  for (const namespace of NAMESPACES) {
    try {
      return bind(namespace);
    } catch (error) {
      refusals.push(errorMessage(error).split('\n', 1)[0] ?? '');
    }
  }
  throw new LaneError(
    `runtime.precision: TensorFlow's switch for TensorFloat-32 could not be found (${refusals[0]}), so float32 on this GPU ` +
      'might not be float32. Run npm ci and npm run setup -- --again.',
  );
}

function bind(namespace: string): TensorFloat32 {
  const library = loadKoffi().load(LIBRARY);
  const allow = library.func(`void _ZN${namespace}32enable_tensor_float_32_executionEb(bool)`);
  const isAllowed = library.func(`bool _ZN${namespace}33tensor_float_32_execution_enabledEv()`);
  return { isAllowed: () => isAllowed() as boolean, allow: (allowed) => void allow(allowed) };
}
