import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { nativeBuild, setUpNativeOps } from '../../src/lanes/compile-native.ts';
import { writeExecutable } from '../helpers/executable.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-native-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder = '';
let said: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
  said = [];
});
const say = (line: string): number => said.push(line);

/** An environment whose compiler is a script; it writes down how it was called. */
function withCompiler(script: string): NodeJS.ProcessEnv {
  const path = join(folder, 'compiler');
  writeExecutable(path, `#!/bin/sh\necho "$@" >> ${folder}/calls\nfor last; do :; done\n${script}`);
  return { PATH: '/usr/bin:/bin', PLUMBLINE_CACHE: join(folder, 'cache'), CXX: path };
}
const calls = (): string[] => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
/** What a program that stands for the unit test prints and how it ends. */
const makesTest = (line: string, code: number): string =>
  `case "$*" in *unit-test.cc*) printf '#!/bin/sh\\necho "${line}"\\nexit ${code}\\n' > "$last"; chmod 755 "$last";; *) echo library > "$last";; esac`;

describe.runIf(process.platform === 'linux')('setUpNativeOps', () => {
  it('compiles the unit test, runs it, compiles the library, and does it once', async () => {
    const environment = withCompiler(makesTest('12 checks, 0 failed', 0));
    const made = await setUpNativeOps({ say, environment });
    expect(made.says).toBe('12 checks, 0 failed');
    expect(readFileSync(made.file as string, 'utf8')).toBe('library\n');
    expect(said).toEqual(['compiling native ops (half a minute)', 'native ops ready: 12 checks, 0 failed']);
    expect(calls()).toHaveLength(3);
    expect(calls()[0]).toMatch(/^-std=c\+\+17 -O3 -march=native .*unit-test\.cc -o .*unit-test$/);
    expect(await setUpNativeOps({ say, environment })).toEqual(made);
    expect(nativeBuild(environment)).toEqual(made);
    expect(calls()).toHaveLength(3);
    await setUpNativeOps({ say, environment, again: true });
    expect(calls()).toHaveLength(6);
  });

  it('builds anew for another compiler', async () => {
    const environment = withCompiler(makesTest('12 checks, 0 failed', 0));
    await setUpNativeOps({ say, environment });
    expect(nativeBuild({ ...environment, CXX: 'clang++' })).toBeUndefined();
  });

  it('keeps no library whose kernels compute something wrong', async () => {
    const environment = withCompiler(makesTest('error: attention differs', 1));
    const made = await setUpNativeOps({ say, environment });
    expect(made.file).toBeNull();
    expect(made.says).toMatch(/the kernels do not compute right here \(error: attention differs; exit code 1\)\.$/);
    expect(said.at(-1)).toBe(`no native ops: ${made.says}`);
    expect(calls()).toHaveLength(1);
    // Not tried again by every program.
    expect(await setUpNativeOps({ say, environment })).toEqual(made);
    expect(calls()).toHaveLength(1);
  });

  it('says what the compiler said', async () => {
    const environment = withCompiler('echo "vectors.h:9: error: unknown type" >&2; exit 1');
    const made = await setUpNativeOps({ say, environment });
    expect(made).toEqual({
      file: null,
      says:
        `${join(folder, 'compiler')}: src/native does not compile (vectors.h:9: error: unknown type). ` +
        'Update g++ to 9 or newer, or set CXX to another compiler; then run npm run setup -- --again.',
    });
  });

  it('goes without a compiler, and leaves nothing half-made', async () => {
    const environment = { PATH: '', PLUMBLINE_CACHE: join(folder, 'cache') };
    const made = await setUpNativeOps({ say, environment });
    expect(made.file).toBeNull();
    expect(made.says).toContain('PATH: no C++ compiler was found');
    expect(existsSync(join(folder, 'cache', 'setup.lock'))).toBe(false);
  });

  it('says so where the cache cannot be written', async () => {
    const made = await setUpNativeOps({ say, environment: { PATH: '', PLUMBLINE_CACHE: '/dev/null/cache' } });
    expect(made.file).toBeNull();
    expect(made.says).toContain('/dev/null/cache: the cache folder cannot be written');
  });
});
