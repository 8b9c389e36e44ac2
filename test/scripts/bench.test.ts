/** The benchmark as a command, on a tiny model: its table, its JSON, and what it says of wrong options. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { writeBase, writeTokenizer } from '../helpers/tiny-world.ts';

const path = useTemporaryFolder();
const script = fileURLToPath(new URL('../../scripts/bench/bench.ts', import.meta.url));
const bench = (...argv: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', script, ...argv], { encoding: 'utf8' });

it('measures three things on a lane and writes them with the machine they were measured on', () => {
  mkdirSync(path('model'));
  writeBase(path('model'), writeTokenizer(path('model'), ['some words'], 300), {
    layers: 1,
    heads: 1,
    kvHeads: 1,
    dModel: 8,
  });
  const { stdout, stderr, status } = bench(
    '--lane',
    'wasm',
    '--model',
    path('model'),
    '--out',
    path('a', 'bench.json'),
  );
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(stdout.split('\n').filter((line) => line.startsWith('wasm '))).toHaveLength(3);
  const report = JSON.parse(readFileSync(path('a', 'bench.json'), 'utf8')) as {
    results: Record<string, string | number>[];
  };
  expect(report).toMatchObject({
    date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    machine: { cores: expect.any(Number), cpu: expect.any(String), node: process.version },
    versions: { wasm: { node: process.version } },
  });
  expect(report.results.map(({ lane, name, unit }) => [lane, name, unit])).toEqual([
    ['wasm', 'instruct step', 'tokens/s'],
    ['wasm', 'rollouts', 'tokens/s'],
    ['wasm', 'PPO iteration', 's'],
  ]);
  for (const { min, median, max } of report.results) {
    expect(min).toBeGreaterThan(0);
    expect(median).toBeGreaterThanOrEqual(Number(min));
    expect(max).toBeGreaterThanOrEqual(Number(median));
  }
});

it('refuses a lane or an option it does not know', () => {
  expect(bench('--lane', 'gpu')).toMatchObject({
    status: 1,
    stderr: '--lane: expected one of tensorflow, wasm, webgpu, cpu, received "gpu". Correct it.\n',
  });
  const { status, stderr } = bench('--lanes', 'wasm');
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^bench: Unknown option '--lanes'.*; expected --lane, --model, --out, --against torch or --check\.\n$/,
  );
});
