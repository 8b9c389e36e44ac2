import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cacheFolder, folderBytes } from '../../src/lanes/cache.ts';
import { describeMachine, diagnoseLanes } from '../../src/lanes/diagnose.ts';
import { findProgram, isSoftwareAdapter, multipliesBfloat16 } from '../../src/lanes/hardware.ts';
import { requirements, wheelSetsFor } from '../../src/lanes/pinned-wheels.ts';
import { runProgram, tellingLine } from '../../src/lanes/programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'plumbline-machine-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the cache folder', () => {
  it('is PLUMBLINE_CACHE, else below XDG_CACHE_HOME, else below the home folder', () => {
    expect(cacheFolder({ PLUMBLINE_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/plumbline');
    expect(cacheFolder({})).toBe(join(homedir(), '.cache', 'plumbline'));
  });

  it('is measured with everything in it', async () => {
    mkdirSync(join(folder, 'a', 'b'), { recursive: true });
    writeFileSync(join(folder, 'a', 'x'), 'four');
    writeFileSync(join(folder, 'a', 'b', 'y'), 'seven!!');
    expect(await folderBytes(join(folder, 'a'))).toBe(11);
    expect(await folderBytes(join(folder, 'none'))).toBe(0);
  });
});

describe('products in bfloat16', () => {
  it.each([
    ['flags\t\t: fpu avx512f avx512_bf16 avx512vl', true],
    ['flags\t\t: fpu amx_bf16 amx_tile', true],
    ['Features\t: fp asimd bf16 i8mm', true],
    ['flags\t\t: fpu sse2 avx2 fma', false],
    ['Features\t: fp asimd', false],
    ['', true], // nothing is known: not on Linux
  ])('are known from %j', (line, multiplies) => {
    expect(multipliesBfloat16('cpu', `processor\t: 0\n${line}\nbugs\t\t:`)).toBe(multiplies);
  });
});

describe('runProgram', () => {
  const node = (code: string, limitSeconds = 600) => runProgram(process.execPath, ['-e', code], { limitSeconds });

  it('tells standard output from both together', async () => {
    const result = await node('console.log("out"); console.error("err")');
    expect([result.ok, result.standardOutput, result.failure]).toEqual([true, 'out', '']);
    expect(result.output.split('\n').sort()).toEqual(['err', 'out']);
  });

  it('reports an exit code, a signal, a time limit and a missing program as results', async () => {
    expect((await node('process.exit(3)')).failure).toBe('exit code 3');
    expect((await node('process.kill(process.pid, "SIGKILL")')).failure).toBe('stopped by SIGKILL');
    expect((await node('setTimeout(() => {}, 60000)', 0.3)).failure).toBe('took longer than 0.3 s');
    expect((await runProgram('plumbline-none', [], { limitSeconds: 1 })).failure).toMatch(/ENOENT/);
  });

  it('finds the line that tells most', () => {
    expect(tellingLine('a\nx.cc:1: fatal error: c_api.h: No such file\ncompilation terminated.\n')).toBe(
      'x.cc:1: fatal error: c_api.h: No such file',
    );
    expect(tellingLine('first\nlast\n\n')).toBe('last');
    expect(tellingLine('')).toBe('');
  });
});

describe('looking at the machine', () => {
  it('finds programs in the order of the search path', () => {
    for (const name of ['p', 'q']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'q', 'tool'), '');
    chmodSync(join(folder, 'q', 'tool'), 0o755);
    const path = `${join(folder, 'p')}:${join(folder, 'q')}`;
    expect(findProgram('tool', path)).toBe(join(folder, 'q', 'tool'));
    expect(findProgram('other', path)).toBeUndefined();
    expect(findProgram('tool', '')).toBeUndefined();
  });

  it('does not take a software renderer for a GPU', () => {
    expect(isSoftwareAdapter('google swiftshader SwiftShader driver 5.0.0')).toBe(true);
    expect(isSoftwareAdapter('mesa llvmpipe (LLVM 15.0.6, 256 bits)')).toBe(true);
    expect(isSoftwareAdapter('nvidia hopper NVIDIA H200')).toBe(false);
  });

  it('diagnoses every lane, best first; wasm and cpu always work', async () => {
    const lanes = await diagnoseLanes();
    expect(lanes.map((row) => row.lane)).toEqual(['tensorflow', 'webgpu', 'wasm', 'cpu']);
    for (const row of lanes) {
      if (row.available) expect(row.device).toMatch(/^(cpu|gpu)$/);
      else expect(row.remark && row.fix).not.toBe('');
    }
    expect(lanes.slice(2).map((row) => row.available)).toEqual([true, true]);
  });

  it('describes the machine without an empty line', async () => {
    const machine = await describeMachine();
    expect(machine.node).toContain(process.version);
    expect(Object.values(machine).every((value) => value !== '')).toBe(true);
  });
});

describe('pinned wheels', () => {
  it('are chosen by system, processor and driver', () => {
    const names = (...machine: Parameters<typeof wheelSetsFor>): string[] =>
      wheelSetsFor(...machine).map((set) => set.name);
    expect(names('linux', 'x64', false)).toEqual(['wheel-2.21.0-cpu-x64']);
    expect(names('linux', 'x64', true)).toEqual(['wheel-2.21.0-gpu-x64', 'wheel-2.21.0-cpu-x64']);
    expect(names('linux', 'arm64', false)).toEqual(['wheel-2.21.0-cpu-arm64']);
    expect(names('darwin', 'arm64', false)).toEqual([]);
    expect(names('win32', 'x64', true)).toEqual([]);
  });

  it('are all pinned by a whole sha256, each once', () => {
    const wheels = [...wheelSetsFor('linux', 'x64', true), ...wheelSetsFor('linux', 'arm64', false)].flatMap(
      (set) => set.wheels,
    );
    for (const line of requirements(wheels).trim().split('\n')) {
      expect(line).toMatch(/^[a-z0-9-]+==\d[\d.]+ --hash=sha256:[0-9a-f]{64}$/);
    }
    expect(new Set(wheels.map((wheel) => wheel.sha256)).size).toBe(wheels.length);
  });
});
