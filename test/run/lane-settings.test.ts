import { expect, test } from 'vitest';
import { precisionNote, refuseForLane } from '../../src/run/lane-settings.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

const problems = (settings: Parameters<typeof refuseForLane>[0], name: 'tensorflow' | 'wasm' | 'webgpu' | 'cpu') =>
  problemsOf(() => refuseForLane(settings, { name }), '');
const wanting = { runtime: { compile: 'on', precision: 'bf16' }, memory: { frozen: 'bfloat16' } } as const;

test('what a lane cannot do is refused by key, all at once', async () => {
  for (const lane of ['wasm', 'webgpu', 'cpu'] as const) {
    expect(await problems(wanting, lane)).toEqual([
      `runtime.compile on: needs TensorFlow’s graphs, and the lane is ${lane}. Use runtime.compile=auto, or the tensorflow lane.`,
      `runtime.precision bf16: needs compiled steps, and the lane is ${lane}. Use runtime.precision=f32, or the tensorflow lane.`,
      `memory.frozen bfloat16: needs TensorFlow’s bfloat16, and the lane is ${lane}. Use memory.frozen=float32, or the tensorflow lane.`,
    ]);
  }
  expect(await problems(wanting, 'tensorflow')).toEqual([]);
  expect(await problems({ runtime: { compile: 'off', precision: 'bf16' } }, 'tensorflow')).toEqual([
    'runtime.precision bf16: only compiled steps have it, and runtime.compile is off. Change one of the two.',
  ]);
  expect(
    await problems({ runtime: { compile: 'auto', precision: 'f32' }, memory: { frozen: 'float32' } }, 'cpu'),
  ).toEqual([]);
});

test('a precision that the device does not have is told', () => {
  expect(precisionNote({ precision: 'tf32' }, { device: 'cpu' }, true)).toBe(
    'runtime.precision tf32: CPUs have no TensorFloat-32; it is the same as f32 here.',
  );
  expect(precisionNote({ precision: 'tf32' }, { device: 'gpu' }, true)).toBeUndefined();
  expect(precisionNote({ precision: 'f32' }, { device: 'cpu' }, false)).toBeUndefined();
  expect(precisionNote({ precision: 'bf16' }, { device: 'cpu' }, true)).toBeUndefined();
  expect(precisionNote({ precision: 'bf16' }, { device: 'cpu' }, false)).toMatch(
    /no instruction for bfloat16 .* steps are f32\.$/,
  );
});
