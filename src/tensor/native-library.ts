/** The one door to koffi, which calls functions of native libraries that are in the process already. */
import { createRequire } from 'node:module';

/** What koffi gives. */
export type Koffi = typeof import('koffi');

/**
 * Koffi runs a call on a stack of its own. That of asynchronous ones has 128 KiB by default: too little
 * to rely on where TensorFlow prepares a large graph. As much as synchronous calls have.
 */
const STACK_BYTES = 2 ** 21;

/**
 * Loaded when it is first needed, so that lanes without TensorFlow need no native package. Set up here, before anybody
 * loads a library: after that koffi refuses.
 * @throws Error where it is not installed
 */
export function loadKoffi(): Koffi {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  if ((koffi.config().async_stack_size ?? 0) < STACK_BYTES) koffi.config({ async_stack_size: STACK_BYTES });
  return koffi;
}

/** Makes a type known to koffi, once: types are global to it, and tests load their users more than once. */
export function defineStruct(koffi: Koffi, name: string, members: Readonly<Record<string, string>>): void {
  try {
    koffi.type(name);
  } catch {
    koffi.struct(name, { ...members });
  }
}
