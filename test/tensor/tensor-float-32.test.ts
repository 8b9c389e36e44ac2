/** TensorFloat-32: the switch inside TensorFlow, and what a lane on a GPU does with it. */
import { describe, expect, it, vi } from 'vitest';
import { LaneError } from '../../src/errors.ts';
import { openCApi } from '../../src/graph/c-api.ts';
import { openLane } from '../../src/tensor/lane.ts';
import { tensorFloat32 } from '../../src/tensor/tensor-float-32.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

describe('the switch', () => {
  it('is not found before TensorFlow is loaded', () => {
    expect(() => tensorFloat32()).toThrow(LaneError);
    expect(() => tensorFloat32()).toThrow(
      /^runtime\.precision: TensorFlow's switch for TensorFloat-32 could not be found \(.+\), so float32 on this GPU might not be float32\. Run npm ci and npm run setup -- --again\.$/s,
    );
  });

  it.runIf(lanesToTest().includes('tensorflow'))('says what it was set to, and is on unless it is set', async () => {
    await useLane('tensorflow');
    const found = tensorFloat32();
    expect(found.isAllowed()).toBe(true);
    found.allow(false);
    expect(tensorFloat32().isAllowed()).toBe(false);
    found.allow(true);
    expect(tensorFloat32().isAllowed()).toBe(true);
    // On a GPU it comes first: what calls TensorFlow has to be set up for compiled steps by then.
    expect(() => openCApi()).not.toThrow();
  });
});

describe('a lane', () => {
  /** Opens a lane whose TensorFlow says it runs on this device; gives what was asked of the switch. */
  async function asked(device: 'cpu' | 'gpu', precision: 'f32' | 'tf32' | 'bf16' | undefined): Promise<boolean[]> {
    const calls: boolean[] = [];
    vi.resetModules();
    vi.doMock('../../src/tensor/backends.ts', async (original) => ({
      ...(await original<object>()),
      openTensorflow: async () => ({ device, what: device, versions: {} }),
    }));
    vi.doMock('../../src/tensor/tensor-float-32.ts', () => ({
      tensorFloat32: () => ({ isAllowed: () => true, allow: (allowed: boolean) => calls.push(allowed) }),
    }));
    const lane = await import('../../src/tensor/lane.ts');
    await lane.openLane({ backend: 'tensorflow', device: 'auto', ...(precision && { precision }) });
    vi.doUnmock('../../src/tensor/backends.ts');
    vi.doUnmock('../../src/tensor/tensor-float-32.ts');
    return calls;
  }

  it('on a GPU keeps float32 unless tf32 is asked for, and on a CPU leaves the switch alone', async () => {
    expect(await asked('gpu', undefined)).toEqual([false]);
    expect(await asked('gpu', 'f32')).toEqual([false]);
    expect(await asked('gpu', 'bf16')).toEqual([false]);
    expect(await asked('gpu', 'tf32')).toEqual([true]);
    expect(await asked('cpu', 'f32')).toEqual([]);
    expect(await asked('cpu', 'tf32')).toEqual([]);
  });

  it.runIf(lanesToTest().includes('tensorflow'))('takes tf32 on a CPU without a word', async () => {
    const { note } = await openLane({ backend: 'tensorflow', device: 'cpu', precision: 'tf32' });
    expect(note).toMatch(/^lane tensorflow on CPU \(TensorFlow [\d.]+\)\.$/);
  });
});
