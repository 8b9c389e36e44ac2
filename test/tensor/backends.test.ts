/** Opening backends in this process; those that cannot be opened at all are in test/lanes/open-failures.test.ts. */
import { describe, expect, it } from 'vitest';
import { addonPresent } from '../../src/lanes/addon-file.ts';
import { hasGpuHint } from '../../src/lanes/hardware.ts';
import { openCpu, openTensorflow, openWasm } from '../../src/tensor/backends.ts';
import { tf } from '../../src/tensor/tf.ts';

describe('opening a backend', () => {
  it('makes it current and says what it is', async () => {
    const wasm = await openWasm('auto');
    expect([tf.getBackend(), wasm.device, wasm.what]).toEqual(['wasm', 'cpu', 'CPU (WebAssembly)']);
    expect(wasm.versions.wasm).toBe('4.22.0');
    expect(await openCpu('cpu')).toEqual({ device: 'cpu', what: 'CPU (plain JavaScript, slow)', versions: {} });
    expect(tf.getBackend()).toBe('cpu');
    expect(await openWasm('cpu')).toEqual(wasm);
    expect(tf.getBackend()).toBe('wasm');
  });

  it('refuses a GPU where the backend never has one', async () => {
    await expect(openWasm('gpu')).rejects.toThrow(
      'wasm runs on the CPU only. Use runtime.backend tensorflow or webgpu.',
    );
    await expect(openCpu('gpu')).rejects.toThrow('cpu is not a GPU lane. Use runtime.backend tensorflow or webgpu.');
  });

  it.runIf(addonPresent() && !hasGpuHint())('says that TensorFlow sees no GPU, and runs on the CPU', async () => {
    await expect(openTensorflow('gpu')).rejects.toThrow(
      'TensorFlow sees no GPU. Check the driver with nvidia-smi, then run npm run doctor.',
    );
    const opened = await openTensorflow('auto');
    expect(opened).toMatchObject({ device: 'cpu', what: expect.stringMatching(/^CPU \(TensorFlow 2\.\d+\.\d+\)$/) });
    expect(opened.hint).toBeUndefined();
  });
});
