/** Lanes for tests: one to run on, or all that work here. */

import { addonPresent } from '../../src/lanes/addon-file.ts';
import { type Lane, type LaneName, openLane } from '../../src/tensor/lane.ts';

/** True where tests may use the tensorflow lane. */
function tensorflowIsSetUp(): boolean {
  return addonPresent() && process.env.PLUMBLINE_NO_TENSORFLOW !== '1';
}

/** PLUMBLINE_NATIVE=on runs every test of the tensorflow lane on native ops, which set-up must have built. */
const isNative = process.env.PLUMBLINE_NATIVE === 'on';

/** Opens PLUMBLINE_BACKEND where it is set, else tensorflow where it is set up, else wasm. */
export async function useLane(name?: LaneName): Promise<Lane> {
  const usual = tensorflowIsSetUp() ? 'tensorflow' : 'wasm';
  const backend = name ?? (process.env.PLUMBLINE_BACKEND ? 'auto' : usual);
  return openLane({ backend, device: 'auto', native: isNative && backend === 'tensorflow' ? 'on' : 'off' });
}

/**
 * The lanes to run a test on, for `describe.each(lanesToTest())`: tensorflow (where set up) and wasm, or only
 * PLUMBLINE_BACKEND. With PLUMBLINE_REQUIRE_LANE=tensorflow a missing tensorflow lane fails instead of being left out.
 * Each such block opens its lane itself: `beforeAll(() => useLane(name))`.
 */
export function lanesToTest(): LaneName[] {
  const only = process.env.PLUMBLINE_BACKEND;
  if (only && only !== 'auto') return [only as LaneName];
  const required = process.env.PLUMBLINE_REQUIRE_LANE === 'tensorflow';
  return tensorflowIsSetUp() || required ? ['tensorflow', 'wasm'] : ['wasm'];
}

/** Every way to run a step on these lanes, for `describe.each(waysToTest())`: graphs off, and on where the lane has them. */
export function waysToTest(): { lane: LaneName; compile: 'off' | 'on' }[] {
  return lanesToTest().flatMap((lane) => {
    const modes = lane === 'tensorflow' ? (['off', 'on'] as const) : (['off'] as const);
    return modes.map((compile) => ({ lane, compile }));
  });
}
