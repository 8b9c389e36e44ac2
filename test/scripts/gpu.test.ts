/** What a GPU is checked by, the table of its numbers, and the command on a machine without one. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findingsOf } from '../../scripts/gpu/check.ts';
import { gpuOf, runScript } from '../../scripts/gpu/machine.ts';
import type { Numbers } from '../../scripts/gpu/numbers.ts';
import type { Plan } from '../../scripts/gpu/plan.ts';
import { markdownTable } from '../../scripts/gpu/table.ts';
import { hasNvidiaDriver } from '../../src/lanes/hardware.ts';
import { writeExecutable } from '../helpers/executable.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { lanesToTest } from '../helpers/use-lane.ts';

const path = useTemporaryFolder();

describe('findings', () => {
  const lane = { name: 'tensorflow', device: 'gpu', versions: {}, note: '' } as const;
  const numbers = (productError: number, some: Partial<Numbers> = {}): Numbers => {
    return { lane, productError, compiled: [6, 5.9, 5.8], eager: [6, 5.9, 5.8], cacheError: 1e-6, ...some };
  };
  // Root mean squares of uniformly distributed rounding errors of both operands, and of the product in bfloat16.
  const device = { f32: numbers(3e-7), tf32: numbers(2.8e-4), bf16: numbers(2.9e-3) };
  const wrong = (given: Parameters<typeof findingsOf>[0], cpu: Numbers, hasTensorFloat32: boolean | null) =>
    findingsOf(given, { cpu, xla: null }, hasTensorFloat32)
      .filter(({ holds }) => !holds)
      .map(({ what }) => what);

  it('are good where every precision does what it says', () => {
    const [cpu, xla] = [numbers(3e-7), numbers(3e-7)];
    expect(findingsOf(device, { cpu, xla: null }, true)).toHaveLength(6);
    expect(findingsOf(device, { cpu, xla }, true).filter(({ holds }) => holds)).toHaveLength(7);
    expect(wrong(device, numbers(3e-7), true)).toEqual([]);
    expect(wrong(device, numbers(3e-7), null)).toEqual([]);
  });

  it('name a precision that is not the one asked for', () => {
    expect(wrong({ ...device, f32: numbers(2.8e-4) }, numbers(3e-7), true)).toEqual(['products in f32: error']);
    expect(wrong({ ...device, tf32: numbers(3e-7) }, numbers(3e-7), true)).toEqual(['products in tf32: error']);
    expect(wrong({ ...device, bf16: numbers(2.8e-4) }, numbers(3e-7), true)).toEqual(['products in bf16: error']);
  });

  it('take float32 for TensorFloat-32 where a GPU has none, or nobody knows', () => {
    const older = { ...device, tf32: numbers(3e-7) };
    expect(wrong(older, numbers(3e-7), false)).toEqual([]);
    expect(wrong(older, numbers(3e-7), null)).toEqual([]);
    expect(wrong(device, numbers(3e-7), false)).toEqual(['products in tf32: error']);
  });

  it('name steps that differ from eager ones or the CPU’s, a wrong cache, and what is no number', () => {
    const steps = ['compiled and eager steps, f32: losses', 'this device and the CPU, f32: losses'];
    const other = { ...device, f32: numbers(3e-7, { compiled: [6, 5.9, 5.8001] }) };
    expect(wrong(other, numbers(3e-7), true)).toEqual(steps);
    const broken = { ...device, f32: numbers(3e-7, { compiled: [6, Number.NaN, 5.8] }) };
    expect(wrong(broken, numbers(3e-7), true)).toEqual(steps);
    const xla = numbers(3e-7, { compiled: [6, 5.9, 5.8001] });
    expect(findingsOf(device, { cpu: numbers(3e-7), xla }, true).filter(({ holds }) => !holds)).toMatchObject([
      { what: 'compiled by XLA and eager steps, f32: losses' },
    ]);
    const cache = { ...device, f32: numbers(3e-7, { cacheError: 0.01 }) };
    expect(wrong(cache, numbers(3e-7), true)).toEqual([
      'drawn with a cache and in a full pass, f32: log-probabilities',
    ]);
  });
});

/** A file of the bench with these programs: side, variant, precision, milliseconds of a repetition. */
function plant(name: string, timed: readonly (readonly [string, string, string, number])[]) {
  const programs = timed.map(([side, variant, precision, ms]) => ({ side, variant, precision, ms: [ms, ms] }));
  const result = { name: 'train-1m', shapes: '8 × 128', tokens: 1024, steps: 2, operations: 1e9, timed: programs };
  writeFileSync(path(name), JSON.stringify({ gpuMemoryMiB: 5120, results: [result] }));
}

describe('the table', () => {
  it('has a row for each program, the fastest of each precision first, with its share of the peak and the memory held', () => {
    plant('gpu-train-1m-f32.json', [
      ['ours', 'compiled', 'f32', 8],
      ['ours', 'eager', 'f32', 80],
      ['ours', 'compiled bf16', 'bf16', 4],
    ]);
    plant('gpu-train-1m-f32-torch.json', [
      ['torch', 'bf16', 'bf16', 8],
      ['torch', 'bf16-compile', 'bf16', 6],
    ]);
    plant('gpu-train-1m-tf32.json', [['ours', 'compiled', 'tf32', 2]]);
    writeFileSync(path('gpu-peak-bf16.json'), JSON.stringify({ gflops: [3000, 4000] }));
    plant('gpu-train-1m-f32-xla.json', [['ours', 'compiled bf16', 'bf16', 1]]);
    const cases = ['train-1m', 'train-12m'];
    const float32 = ['f32', 'tf32'] as const;
    const plan: Plan = { to: path('.'), device: 'gpu', cases, float32, repetitions: 2, python: 'x', torch: ['bf16'] };
    // 10⁹ operations in 4 ms are 0.25 · 10¹² a second; 5,120 MiB.
    expect(markdownTable(plan).slice(2)).toEqual([
      '| train-1m, 8 × 128 | f32 | ours, compiled | 4 | 256,000 | 0.250 |  | 5 |',
      '| train-1m, 8 × 128 | f32 | ours, eager | 40 | 25,600 | 0.025 |  | 5 |',
      '| train-1m, 8 × 128 | tf32 | ours, compiled | 1 | 1,024,000 | 1 |  | 5 |',
      '| train-1m, 8 × 128 | bf16 | ours, compiled bf16, XLA | 0.500 | 2,048,000 | 2 | 50 | 5 |',
      '| train-1m, 8 × 128 | bf16 | ours, compiled bf16 | 2 | 512,000 | 0.500 | 12.50 | 5 |',
      '| train-1m, 8 × 128 | bf16 | PyTorch, bf16-compile | 3 | 341,333 | 0.333 | 8.333 | 5 |',
      '| train-1m, 8 × 128 | bf16 | PyTorch, bf16 | 4 | 256,000 | 0.250 | 6.250 | 5 |',
    ]);
  });
});

describe('the driver', () => {
  it('is asked for name, memory and capability of the GPU that programs see', () => {
    const answer = `console.log('NVIDIA X, 570.1, 81559 MiB, 9.0'); if (!process.argv.includes('--id=3')) process.exit(1);`;
    writeExecutable(path('nvidia-smi'), `#!${process.execPath}\n${answer}\n`);
    expect(gpuOf({ PATH: path('.'), CUDA_VISIBLE_DEVICES: '3,1' })).toEqual({
      ...{ name: 'NVIDIA X', driver: '570.1', memory: '81559 MiB', computeCapability: 9 },
    });
    expect(gpuOf({ PATH: path('.') })).toBeNull();
    expect(gpuOf({ PATH: path('none') })).toBeNull();
  });
});

describe('the command', () => {
  const script = fileURLToPath(new URL('../../scripts/gpu/run.ts', import.meta.url));
  const run = (...argv: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', script, ...argv], { encoding: 'utf8' });

  it.runIf(!hasNvidiaDriver())('refuses a machine without a GPU', () => {
    expect(run()).toMatchObject({
      status: 1,
      stderr:
        '--device gpu: no NVIDIA driver was found on this machine. Install one until nvidia-smi shows the GPU, or try these scripts with --device cpu.\n',
    });
  });

  it('refuses what it does not know', () => {
    expect(run('bench').stderr).toBe('gpu: expected check, measure or nothing (for both), received "bench".\n');
    expect(run('--cases', 'train-2m').stderr).toBe('--cases: there is no case "train-2m". Did you mean train-1m?\n');
  });

  it('names a part that failed', () => {
    expect(() => runScript('numbers.ts', ['--device', 'tpu'], { isRead: true })).toThrow(
      'numbers.ts --device tpu: ended with exit code 1.',
    );
  });

  it.runIf(lanesToTest().includes('tensorflow'))(
    'checks the CPU, where tf32 is f32, and measures what has no file',
    () => {
      const checked = run('check', '--device', 'cpu', '--to', path('.'));
      expect({ status: checked.status, stderr: checked.stderr }).toEqual({ status: 0, stderr: '' });
      const report = JSON.parse(readFileSync(path('check.json'), 'utf8')) as { numbers: Record<string, Numbers> };
      expect(report).toMatchObject({ device: 'cpu', gpu: null });
      expect(report.numbers.tf32?.productError).toBe(report.numbers.f32?.productError);

      for (const float32 of ['f32', 'tf32']) plant(`cpu-train-1m-${float32}.json`, [['ours', 'compiled', float32, 8]]);
      for (const precision of ['f32', 'tf32']) writeFileSync(path(`cpu-peak-${precision}.json`), '{"gflops": [1000]}');
      const measured = run('measure', '--device', 'cpu', '--cases', 'train-1m', '--to', path('.'));
      expect(measured).toMatchObject({ status: 0, stderr: '' });
      expect(measured.stdout).toContain('cpu-train-1m-tf32.json is there already\n');
      expect(measured.stdout).toContain(
        '| train-1m, 8 × 128 | tf32 | ours, compiled | 4 | 256,000 | 0.250 | 25 | 5 |\n',
      );
      expect(JSON.parse(readFileSync(path('cpu-peak-bf16.json'), 'utf8'))).toMatchObject({
        ...{ precision: 'bf16', gpuMemoryMiB: null, gflops: { length: 5 } },
      });
    },
  );
});
