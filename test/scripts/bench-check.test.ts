/** The check against committed ratios: kinds of CPU, verdicts, and what stays when new ones are written. */
import { describe, expect, it } from 'vitest';
import type { KeptRatio } from '../../scripts/bench/check.ts';
import { compareRatios, withRatios } from '../../scripts/bench/check.ts';
import { kindOf } from '../../scripts/bench/cpu-kind.ts';

describe('a kind of CPU', () => {
  // Lines as Linux 6 writes them, shortened.
  it('is vendor, family, model, vectors and threads, whatever a virtual machine calls it', () => {
    const amd = [
      'processor\t: 0',
      'vendor_id\t: AuthenticAMD',
      'cpu family\t: 23',
      'model\t\t: 1',
      'model name\t: AMD EPYC',
      'flags\t\t: fpu sse sse2 fma avx f16c avx2',
    ];
    expect(kindOf(amd.join('\n'), 'AMD EPYC', 2)).toBe('AuthenticAMD family 23 model 1, AVX2, 2 threads');
    const intel = ['vendor_id\t: GenuineIntel', 'cpu family\t: 6', 'model\t\t: 207', 'model name\t: Intel(R) Xeon'];
    const flags = 'flags\t\t: sse2 avx avx2 avx512f avx512bw';
    expect(kindOf([...intel, flags].join('\n'), 'Intel(R) Xeon', 1)).toBe(
      'GenuineIntel family 6 model 207, AVX-512, 1 thread',
    );
    expect(kindOf([...intel, `${flags} avx512_bf16 amx_bf16 amx_tile`].join('\n'), 'Intel(R) Xeon', 8)).toBe(
      'GenuineIntel family 6 model 207, AVX-512, bfloat16, AMX, 8 threads',
    );
  });

  it('is implementer and part on arm64, and what Node calls it elsewhere', () => {
    const arm = 'Features\t: fp asimd bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n';
    expect(kindOf(arm, 'unknown arm64', 4)).toBe('implementer 0x41 part 0xd0c, NEON, bfloat16, 4 threads');
    expect(kindOf('', 'Apple M2', 8)).toBe('Apple M2, 8 threads');
  });
});

describe('ratios', () => {
  const kept: KeptRatio[] = [
    { case: 'train-1m', against: 'our compiled', times: 2, commit: 'abc', date: '2026-01-01' },
    { case: 'train-1m', against: "PyTorch's best", times: 1, commit: 'abc', date: '2026-01-01' },
  ];

  it('are worse by more than 5 %, as fast, or new', () => {
    const { rows, worse } = compareRatios(kept, [
      { case: 'train-1m', against: 'our compiled', times: 1.89 },
      { case: 'train-1m', against: "PyTorch's best", times: 0.951 },
      { case: 'ppo-1m', against: 'our compiled', times: 0.1 },
    ]);
    expect(rows).toEqual([
      ['train-1m', 'our compiled', 1.89, 2, 'abc', 'worse'],
      ['train-1m', "PyTorch's best", 0.951, 1, 'abc', 'as fast'],
      ['ppo-1m', 'our compiled', 0.1, null, null, 'nothing committed'],
    ]);
    expect(worse).toEqual([
      'train-1m: native is 1.89 times as fast as our compiled; expected at least 1.90, 95 % of what it was at abc. ' +
        'Find what made it slower, or where it has to be so: --write.',
    ]);
  });

  it('take the places of those before them, and no others', () => {
    const other = { 'another kind': kept };
    const now: KeptRatio = { case: 'train-1m', against: 'our compiled', times: 3, commit: 'def', date: '2026-02-02' };
    expect(withRatios(other, 'this kind', [now])).toEqual({ 'another kind': kept, 'this kind': [now] });
    expect(withRatios({ 'this kind': kept }, 'this kind', [now])).toEqual({ 'this kind': [kept[1], now] });
  });
});
