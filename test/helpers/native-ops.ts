/** Whether tests of native ops can run here, and how their lane is opened. */
import { findCompiler } from '../../src/lanes/compile-addon.ts';
import { setUpNativeOps } from '../../src/lanes/compile-native.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { openLane } from '../../src/tensor/lane.ts';
import { useNativeProducts } from '../../src/tensor/native-ops.ts';
import { lanesToTest } from './use-lane.ts';

/** True where the tensorflow lane is set up and there is a C++ compiler. */
export function canHaveNativeOps(): boolean {
  try {
    findCompiler(process.env);
  } catch {
    return false;
  }
  return process.platform === 'linux' && lanesToTest().includes('tensorflow');
}

/** Builds native ops where that was not done before, some 30 seconds, and opens the tensorflow lane with them, own products too. */
export async function openNativeLane(): Promise<Lane> {
  await setUpNativeOps({ say: () => undefined });
  const lane = await openLane({ backend: 'tensorflow', device: 'cpu', native: 'on' });
  // They are tested where they are slow as well.
  useNativeProducts(true);
  return lane;
}
