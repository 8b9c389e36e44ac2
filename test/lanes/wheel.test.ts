import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { LaneError } from '../../src/errors.ts';
import { hashFile } from '../../src/files/hash.ts';
import type { WheelSet } from '../../src/lanes/pinned-wheels.ts';
import { fetchLibraries, type StepContext } from '../../src/lanes/wheel.ts';
import { writeExecutable } from '../helpers/executable.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-wheel-'));
afterAll(() => rmSync(root, { recursive: true }));

const python = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
let count = 0;
let folder = '';
let said: string[] = [];
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
  said = [];
});

/** An environment in which pip sees only the wheels in `links`. */
function context(extra: NodeJS.ProcessEnv = {}): StepContext {
  const environment = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: join(folder, 'links'), ...extra };
  return { folder, environment, say: (line) => said.push(line) };
}

/** A real wheel file with these entries, made by Python's zipfile. */
function makeWheel(entries: readonly string[]): string {
  mkdirSync(join(folder, 'links'), { recursive: true });
  const path = join(folder, 'links', 'plumbline_fake-1.0-py3-none-any.whl');
  const script = `
import sys, zipfile
path, *names = sys.argv[1:]
metadata = {'plumbline_fake-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\\nName: plumbline-fake\\nVersion: 1.0\\n',
            'plumbline_fake-1.0.dist-info/WHEEL': 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
            'plumbline_fake-1.0.dist-info/RECORD': ''}
with zipfile.ZipFile(path, 'w') as archive:
    for name in names: archive.writestr(name, 'content of ' + name)
    for name, text in metadata.items(): archive.writestr(name, text)
`;
  execFileSync('python3', ['-c', script, path, ...entries]);
  return path;
}

function wheelSet(sha256: string, megabytesNeeded = 1): WheelSet {
  const wheel = { project: 'plumbline-fake', version: '1.0', sha256, platforms: ['any'], megabytes: 1 };
  return { name: 'fake', device: 'cpu', tensorflow: '0.0', megabytesNeeded, wheels: [wheel] };
}

/** A folder with a python3 that has pip, and whose downloads end with this output. */
function fakePython(output: string): string {
  const path = join(folder, 'bin');
  mkdirSync(path);
  const script = `#!/bin/sh\ncase "$*" in *--version*) exit 0;; esac\necho "${output}" >&2; exit 1\n`;
  writeExecutable(join(path, 'python3'), script);
  return path;
}

describe.runIf(python)('fetchLibraries with real pip', () => {
  it('keeps the C libraries and headers of the wheel, deletes the wheel, and does nothing the second time', async () => {
    const wheel = makeWheel([
      'tensorflow/libtensorflow_cc.so.2',
      'tensorflow/libtensorflow_framework.so.2',
      'tensorflow/include/tensorflow/c/c_api.h',
      'tensorflow/python/large.py',
      'nvidia/cublas/lib/libcublas.so.12',
    ]);
    const set = wheelSet((await hashFile(wheel)).slice(7));
    const unpacked = await fetchLibraries(set, context());
    expect(readdirSync(unpacked).sort()).toEqual(['nvidia', 'tensorflow']);
    expect(readdirSync(join(unpacked, 'tensorflow')).sort()).toEqual([
      'include',
      'libtensorflow_cc.so.2',
      'libtensorflow_framework.so.2',
    ]);
    expect(readFileSync(join(unpacked, 'tensorflow/libtensorflow_cc.so.2'), 'utf8')).toBe(
      'content of tensorflow/libtensorflow_cc.so.2',
    );
    expect(existsSync(join(folder, 'wheels'))).toBe(false);
    expect(said[0]).toBe(`downloading TensorFlow 0.0 (cpu, 1 MB) with pip to ${folder}`);

    said = [];
    rmSync(wheel);
    expect(await fetchLibraries(set, context())).toBe(unpacked);
    expect(said).toEqual([]);
  });

  it('continues after a kill between download and unpacking without downloading again', async () => {
    const wheel = makeWheel(['tensorflow/libtensorflow_cc.so.2']);
    const set = wheelSet((await hashFile(wheel)).slice(7));
    mkdirSync(join(folder, 'wheels'));
    mkdirSync(join(folder, 'unpacked.partial'));
    writeFileSync(join(folder, 'wheels', 'plumbline_fake-1.0-py3-none-any.whl'), readFileSync(wheel));
    const address = { PIP_FIND_LINKS: '', PIP_NO_INDEX: '', PIP_INDEX_URL: 'http://127.0.0.1:9/' };
    expect(existsSync(await fetchLibraries(set, context(address)))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['links', 'unpacked']);
  });

  it('refuses a file with another hash, and names both', async () => {
    const wheel = makeWheel(['tensorflow/libtensorflow_cc.so.2']);
    const received = (await hashFile(wheel)).slice(7);
    const expected = 'a'.repeat(64);
    await expect(fetchLibraries(wheelSet(expected), context())).rejects.toThrow(
      new LaneError(
        `pip download plumbline-fake==1.0: the file is not the pinned one; expected sha256 ${expected}, received ${received}. Check your package index or mirror.`,
      ),
    );
    expect(existsSync(join(folder, 'unpacked'))).toBe(false);
  });

  it('says so where the index does not have the file', async () => {
    mkdirSync(join(folder, 'links'));
    await expect(fetchLibraries(wheelSet('a'.repeat(64)), context())).rejects.toThrow(
      'pip download plumbline-fake==1.0: the package index does not have this file. Set PIP_INDEX_URL to a full mirror of PyPI, or update pip.',
    );
  });

  it('says so where the index cannot be reached', async () => {
    const address = { PIP_FIND_LINKS: '', PIP_NO_INDEX: '', PIP_INDEX_URL: 'http://127.0.0.1:9/' };
    await expect(fetchLibraries(wheelSet('a'.repeat(64)), context(address))).rejects.toThrow(
      'pip download plumbline-fake==1.0: the package index cannot be reached. Check the network, or set PIP_INDEX_URL to a mirror.',
    );
  });

  it('fetches a wheel without the libraries anew next time', async () => {
    const wheel = makeWheel(['tensorflow/include/tensorflow/c/c_api.h']);
    await expect(fetchLibraries(wheelSet((await hashFile(wheel)).slice(7)), context())).rejects.toThrow(
      /unpacked: the wheel could not be unpacked \(it holds no libtensorflow\)\. Run: npm run setup -- --again/,
    );
    expect(readdirSync(folder)).toEqual(['links']);
  });

  it('asks for space before it downloads', async () => {
    await expect(fetchLibraries(wheelSet('a'.repeat(64), 1e12), context())).rejects.toThrow(
      /: not enough space; expected 1000000000000 MB free, received \d+ MB\. Free some space, or set PLUMBLINE_CACHE/,
    );
    expect(said).toEqual([]);
  });
});

describe('fetchLibraries without a working pip', () => {
  it('says what to install where there is no Python', async () => {
    await expect(fetchLibraries(wheelSet(''), context({ PATH: '' }))).rejects.toThrow(
      'PATH: no python3 was found, which fetches the TensorFlow wheel. Install python3 with pip (Debian: apt install python3-pip).',
    );
  });

  it('says what to install where Python has no pip', async () => {
    const path = join(folder, 'bin');
    mkdirSync(path);
    writeExecutable(join(path, 'python3'), '#!/bin/sh\necho "No module named pip" >&2; exit 1\n');
    await expect(fetchLibraries(wheelSet(''), context({ PATH: path }))).rejects.toThrow(
      `PATH: no Python with pip was found (${join(path, 'python3')}: No module named pip). Install pip (Debian: apt install python3-pip).`,
    );
  });

  it('recognises a full disk', async () => {
    const path = fakePython('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device');
    await expect(fetchLibraries(wheelSet(''), context({ PATH: path }))).rejects.toThrow(
      'pip download plumbline-fake==1.0: the disk is full. Free some space, or set PLUMBLINE_CACHE to a folder on another disk.',
    );
  });

  it('recognises a disk that fills up while unpacking, and keeps what was fetched', async () => {
    const path = join(folder, 'bin');
    mkdirSync(path);
    const script = '#!/bin/sh\ncase "$1" in -m) exit 0;; esac\necho "OSError: [Errno 28] No space left" >&2; exit 1\n';
    writeExecutable(join(path, 'python3'), script);
    await expect(fetchLibraries(wheelSet(''), context({ PATH: path }))).rejects.toThrow(
      /unpacked: the disk is full\. Free some space, or set PLUMBLINE_CACHE to a folder on another disk\./,
    );
    expect(readdirSync(folder).sort()).toEqual(['bin', 'wheels']);
  });

  it('quotes the telling line of any other failure', async () => {
    const path = fakePython('Traceback: MemoryError');
    await expect(fetchLibraries(wheelSet(''), context({ PATH: path }))).rejects.toThrow(
      'pip download plumbline-fake==1.0: exit code 1 (Traceback: MemoryError). Run the command by hand to see more.',
    );
  });
});
