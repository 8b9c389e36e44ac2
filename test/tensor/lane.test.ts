import { existsSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { LaneError } from '../../src/errors.ts';
import { addonPresent } from '../../src/lanes/addon-file.ts';
import { hasGpuHint } from '../../src/lanes/hardware.ts';
import { currentLane, laneNames, openLane, tensorCount } from '../../src/tensor/lane.ts';
import { type Tensor2D, tf } from '../../src/tensor/tf.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

afterEach(() => vi.unstubAllEnvs());

describe.each(lanesToTest())('lane %s', (name) => {
  beforeAll(() => useLane(name));

  it('becomes the current one and says what it is', async () => {
    const lane = await openLane({ backend: name, device: 'auto' });
    expect(currentLane()).toBe(name);
    expect(lane.name).toBe(name);
    expect(lane.versions.tfjs).toBe('4.22.0');
    expect(lane.note).toMatch(new RegExp(`^lane ${name} on (CPU|GPU)`));
  });

  it('multiplies matrices', async () => {
    const product = tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5, 6], [7, 8]]))); // biome-ignore format: matrices
    expect(Array.from(await product.data())).toEqual([19, 22, 43, 50]);
    product.dispose();
  });

  it('differentiates an embedding look-up: rows that are read twice get both gradients', async () => {
    const table = tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: matrix
    const ids = tf.tensor1d([2, 0, 2], 'int32');
    const weights = tf.tensor2d([[1, 10], [2, 20], [4, 40]]); // biome-ignore format: matrix
    const gradient = tf.grad((x) => tf.sum(tf.mul(tf.gather(x as Tensor2D, ids), weights)))(table);
    expect(Array.from(await gradient.data())).toEqual([2, 20, 0, 0, 5, 50]);
    tf.dispose([table, ids, weights, gradient]);
  });

  it('counts live tensors, and none stay after a training-like step', () => {
    const variable = tf.variable(tf.ones([4, 4]));
    const step = (): void => {
      const { value, grads } = tf.variableGrads(() => tf.sum(tf.square(tf.matMul(variable as Tensor2D, variable as Tensor2D))), [variable]); // biome-ignore format: one call
      value.dataSync();
      tf.dispose([value, grads]);
    };
    step();
    const before = tensorCount();
    step();
    expect(tensorCount()).toBe(before);
    const kept = tf.add(variable, 1);
    expect(tensorCount()).toBe(before + 1);
    tf.dispose([kept, variable]);
  });
});

describe('wasm kernels', () => {
  beforeAll(() => useLane('wasm'));

  it('sums segments of int32 rows, drops ids outside the range, and clears its memory', async () => {
    for (let round = 0; round < 3; round++) {
      const x = tf.tensor2d([[1, 2], [4, 8], [16, 32], [64, 128]], undefined, 'int32'); // biome-ignore format: matrix
      const ids = tf.tensor1d([1, -1, 1, 3], 'int32');
      const sums = tf.unsortedSegmentSum(x, ids, 3);
      expect(Array.from(await sums.data())).toEqual([0, 0, 17, 34, 0, 0]);
      tf.dispose([x, ids, sums]);
    }
  });
});

describe('openLane', () => {
  it('lets PLUMBLINE_BACKEND replace auto', async () => {
    vi.stubEnv('PLUMBLINE_BACKEND', 'cpu');
    const lane = await openLane({ backend: 'auto', device: 'auto' });
    expect([lane.name, lane.device, lane.note]).toEqual(['cpu', 'cpu', 'lane cpu on CPU (plain JavaScript, slow).']);
  });

  it('names the lanes where PLUMBLINE_BACKEND is none', async () => {
    vi.stubEnv('PLUMBLINE_BACKEND', 'cuda');
    const opening = openLane({ backend: 'auto', device: 'auto' });
    await expect(opening).rejects.toThrow(LaneError);
    await expect(opening).rejects.toThrow(
      `PLUMBLINE_BACKEND: unknown lane; expected auto or one of ${laneNames.join(', ')}, received "cuda". Unset it or correct it.`,
    );
  });

  it('takes wasm and says why where tensorflow is switched off', async () => {
    vi.stubEnv('PLUMBLINE_BACKEND', '');
    vi.stubEnv('PLUMBLINE_NO_TENSORFLOW', '1');
    const lane = await openLane({ backend: 'auto', device: 'cpu' });
    expect(lane.name).toBe('wasm');
    expect(lane.note).toBe(
      'lane wasm on CPU (WebAssembly). Not tensorflow: switched off by PLUMBLINE_NO_TENSORFLOW=1. Unset it and run npm run setup.',
    );
  });

  it.runIf(addonPresent())('takes tensorflow where it is set up', async () => {
    vi.stubEnv('PLUMBLINE_BACKEND', '');
    vi.stubEnv('PLUMBLINE_NO_TENSORFLOW', '');
    const lane = await openLane({ backend: 'auto', device: 'auto' });
    expect(lane.name).toBe('tensorflow');
    expect(lane.versions.tensorflow).toMatch(/^2\.\d+\.\d+/);
  });

  it.each(['wasm', 'cpu'] as const)('refuses %s with device gpu', async (backend) => {
    await expect(openLane({ backend, device: 'gpu' })).rejects.toThrow(
      new RegExp(`^runtime.backend ${backend}, runtime.device gpu: .* Use runtime.backend tensorflow or webgpu.$`),
    );
  });

  it('opens webgpu where an adapter is, differentiates, and explains why results cannot be read synchronously', async ({
    skip,
  }) => {
    // Debian's chromium-common brings a software adapter that Dawn accepts.
    const software = '/usr/lib/chromium/vk_swiftshader_icd.json';
    if (existsSync(software)) vi.stubEnv('VK_DRIVER_FILES', software);
    const lane = await openLane({ backend: 'webgpu', device: 'auto' }).catch(() => undefined);
    if (!lane) return skip('no WebGPU adapter here');
    expect(currentLane()).toBe('webgpu');
    expect(lane.device === 'gpu' || lane.note.includes('software adapter')).toBe(true);
    const x = tf.tensor1d([1, 2, 3]);
    const gradient = tf.grad((y) => tf.sum(tf.square(y)))(x);
    expect(Array.from(await gradient.data())).toEqual([2, 4, 6]);
    const doubled = tf.mul(x, 2);
    expect(() => doubled.dataSync()).toThrow(
      'runtime.backend webgpu: a result was read synchronously, which WebGPU cannot do in Node. Use await tensor.data() in your own code; for training use runtime.backend tensorflow or wasm.',
    );
    return undefined;
  });

  it.skipIf(hasGpuHint())('refuses device gpu where there is none, with a remedy for each lane', async () => {
    vi.stubEnv('PLUMBLINE_BACKEND', '');
    const message = await openLane({ backend: 'auto', device: 'gpu' }).catch(String);
    expect(message).toMatch(/runtime.device: no lane with device "gpu" works here\. Use runtime.device=auto/);
    expect(message).toMatch(/\n {2}tensorflow: \S.*\n {2}webgpu: \S/);
  });

  it('refuses lanes without native ops where these have to be used, and only there', async () => {
    await expect(openLane({ backend: 'wasm', device: 'auto', native: 'on' })).rejects.toThrow(
      'runtime.backend wasm, runtime.device auto: no native ops: they are for the tensorflow lane on a CPU.',
    );
    expect((await openLane({ backend: 'wasm', device: 'auto', native: 'auto' })).note).toBe(
      'lane wasm on CPU (WebAssembly).',
    );
    vi.stubEnv('PLUMBLINE_BACKEND', '');
    vi.stubEnv('PLUMBLINE_NO_TENSORFLOW', '1');
    const message = await openLane({ backend: 'auto', device: 'auto', native: 'on' }).catch(String);
    expect(message).toMatch(
      /runtime.native: no lane has native ops here\. Use runtime.native=auto, or mend this:\n {2}tensorflow: switched off/,
    );
  });

  it.runIf(addonPresent() && !hasGpuHint())('says why there are no native ops on the tensorflow lane', async () => {
    vi.stubEnv('PLUMBLINE_CACHE', '/nowhere');
    const lane = await openLane({ backend: 'tensorflow', device: 'cpu', native: 'auto' });
    expect(lane.note).toMatch(/But no native ops: they are not built\. Run npm run setup\.$/);
    expect(lane.versions).not.toHaveProperty('nativeOps');
    await expect(openLane({ backend: 'tensorflow', device: 'cpu', native: 'on' })).rejects.toThrow(
      'runtime.backend tensorflow, runtime.device cpu: no native ops: they are not built. Run npm run setup.',
    );
  });
});
