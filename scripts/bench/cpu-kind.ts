/** Which kind of CPU this is, as far as the speed of steps depends on it: virtual machines call different ones by one name. */
import { cpus } from 'node:os';
import { readCpuInfo } from '../../src/lanes/hardware.ts';

/** Instruction sets of matrix products with the flags Linux has for them; the first of each list that is there is named. */
const VECTORS: readonly (readonly (readonly [flag: string, name: string])[])[] = [
  [
    ['avx512f', 'AVX-512'],
    ['avx2', 'AVX2'],
    ['avx', 'AVX'],
    ['sse2', 'SSE2'],
    ['sve', 'SVE'],
    ['asimd', 'NEON'],
  ],
  [
    ['avx512_bf16', 'bfloat16'],
    ['bf16', 'bfloat16'],
  ],
  [['amx_bf16', 'AMX']],
];

/** "AuthenticAMD family 23 model 1, AVX2, 2 threads" */
export function cpuKind(threads: number): string {
  return kindOf(readCpuInfo(), cpus()[0]?.model ?? `unknown ${process.arch}`, threads);
}

/**
 * The same from what Linux says of its processors.
 * @param info /proc/cpuinfo; empty elsewhere, and then `model` is all there is
 */
export function kindOf(info: string, model: string, threads: number): string {
  const field = (name: string): string | undefined => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(info)?.[1]?.trim();
  const [vendor, family, number] = [field('vendor_id'), field('cpu family'), field('model')];
  const [implementer, part] = [field('CPU implementer'), field('CPU part')];
  const name =
    vendor !== undefined
      ? `${vendor} family ${family} model ${number}`
      : implementer !== undefined
        ? `implementer ${implementer} part ${part}`
        : model;
  const flags = new Set((field('flags') ?? field('Features') ?? '').split(' '));
  const vectors = VECTORS.flatMap((some) => some.find(([flag]) => flags.has(flag))?.[1] ?? []);
  return [name, ...vectors, `${threads} ${threads === 1 ? 'thread' : 'threads'}`].join(', ');
}
