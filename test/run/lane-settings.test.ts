import { expect, test } from 'vitest';
import { laneNotes, refuseForLane, usableOn } from '../../src/run/lane-settings.ts';
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
  expect(await problems({ runtime: { compile: 'off', xla: true } }, 'tensorflow')).toEqual([
    'runtime.xla: only compiled steps have it, and runtime.compile is off. Change one of the two.',
  ]);
  expect(
    await problems({ runtime: { compile: 'auto', precision: 'f32' }, memory: { frozen: 'float32' } }, 'cpu'),
  ).toEqual([]);
});

test('what the device does not have is told', () => {
  const all = { bfloat16Products: true, xla: true };
  const none = { bfloat16Products: false, xla: false };
  expect(laneNotes({ precision: 'tf32' }, { device: 'cpu' }, none)).toEqual([
    'runtime.precision tf32: CPUs have no TensorFloat-32; it is the same as f32 here.',
  ]);
  expect(laneNotes({ precision: 'tf32', xla: true }, { device: 'gpu' }, all)).toEqual([]);
  expect(laneNotes({ precision: 'f32', xla: false }, { device: 'cpu' }, none)).toEqual([]);
  expect(laneNotes({ precision: 'bf16' }, { device: 'cpu' }, all)).toEqual([]);
  expect(laneNotes({ precision: 'bf16', xla: true }, { device: 'cpu' }, none)).toEqual([
    expect.stringMatching(/no instruction for bfloat16 .* steps are f32\.$/),
    'runtime.xla: it is for the tensorflow lane on a GPU, and is not used here.',
  ]);
});

test('XLA is used on the tensorflow lane on a GPU, where it is asked for', () => {
  const used = (xla: boolean, name: 'tensorflow' | 'webgpu', device: 'gpu' | 'cpu') =>
    usableOn({ xla }, { name, device }).xla;
  expect(used(true, 'tensorflow', 'gpu')).toBe(true);
  expect([
    used(false, 'tensorflow', 'gpu'),
    used(true, 'webgpu', 'gpu'),
    used(true, 'tensorflow', 'cpu'),
    usableOn({}, { name: 'tensorflow', device: 'gpu' }).xla,
  ]).toEqual([false, false, false, false]);
});
