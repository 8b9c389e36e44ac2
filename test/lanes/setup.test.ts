import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { addonFile, addonPackage, addonPresent, readNote } from '../../src/lanes/addon-file.ts';
import { addonBuilt, compileAddon } from '../../src/lanes/compile-addon.ts';
import { installOfficial, officialBuilt } from '../../src/lanes/official.ts';
import { type SetupOptions, setUpTensorflow } from '../../src/lanes/setup.ts';
import { verifyAddon } from '../../src/lanes/verify-addon.ts';
import type { StepContext } from '../../src/lanes/wheel.ts';
import { writeExecutable } from '../helpers/executable.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-setup-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
let folder = '';
let packageFolder = '';
let said: string[] = [];
beforeEach(() => {
  folder = join(root, String(count++));
  packageFolder = makePackage();
  said = [];
});

const { close, address: closedPort } = await serve();
close();
const unreachable = `official download: ${closedPort} cannot be reached (ECONNREFUSED). Name a mirror with TFJS_NODE_BASE_URI, or go without.`;
const noPython =
  'PATH: no python3 was found, which fetches the TensorFlow wheel. Install python3 with pip (Debian: apt install python3-pip).';
const unavailable = (ways: number): string =>
  `tensorflow lane not available (${ways} ways tried); the wasm lane serves.`;

/** An HTTP server that answers everything with 200. */
async function serve(): Promise<{ address: string; close: () => void }> {
  const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

/** A package like the real one, with an install script of our own. */
function makePackage(script = ''): string {
  const path = join(folder, 'node_modules', 'tfjs-node-gpu');
  for (const part of ['scripts', 'binding']) mkdirSync(join(path, part), { recursive: true });
  writeFileSync(join(path, 'package.json'), '{ "name": "tfjs-node-gpu", "version": "4.22.0" }');
  writeFileSync(join(path, 'binding.gyp'), '');
  writeFileSync(join(path, 'binding', 'a.cc'), 'int a;');
  writeFileSync(join(path, 'scripts', 'install.js'), script);
  return path;
}

function environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { PATH: '', PLUMBLINE_CACHE: join(folder, 'cache'), TFJS_NODE_CDN_STORAGE: closedPort, ...extra };
}

function options(extra: SetupOptions = {}): SetupOptions {
  const wheel = { project: 'fake', version: '1', sha256: 'a'.repeat(64), platforms: ['any'], megabytes: 1 };
  const set = { name: 'wheel', device: 'cpu', tensorflow: '0', megabytesNeeded: 1, wheels: [wheel] } as const;
  const say = (line: string): void => void said.push(line);
  return { environment: environment(), packageFolder, nvidiaDriver: false, wheelSets: [set], say, ...extra };
}

function context(extra: NodeJS.ProcessEnv = {}): StepContext {
  mkdirSync(folder, { recursive: true });
  return { folder, environment: environment(extra), say: (line) => said.push(line) };
}

describe('setUpTensorflow where no way works', () => {
  it('says why each way failed, and that wasm serves', async () => {
    const result = await setUpTensorflow(options());
    expect(said).toEqual([unreachable, noPython, unavailable(2)]);
    expect([result.ready, result.cached]).toEqual([false, false]);
    expect(result.problems).toEqual([unreachable, noPython]);
  });

  it('remembers the failure for an hour, and tries again when asked', async () => {
    await setUpTensorflow(options());
    said = [];
    const second = await setUpTensorflow(options());
    expect([second.ready, second.cached]).toEqual([false, true]);
    expect(said).toEqual([`${unavailable(2)} Try again: npm run setup -- --again`]);

    said = [];
    expect((await setUpTensorflow(options({ quiet: true }))).cached).toBe(true);
    expect(said).toEqual([]);

    await setUpTensorflow(options({ again: true }));
    expect(said).toEqual([unreachable, noPython, unavailable(2)]);

    const file = join(folder, 'cache', 'setup-failed.json');
    writeFileSync(file, JSON.stringify({ at: Date.now() - 3_600_001, hadAddon: false, problems: [] }));
    expect((await setUpTensorflow(options())).cached).toBe(false);
  });

  it('tries the wheels first where there is an NVIDIA driver', async () => {
    await setUpTensorflow(options({ nvidiaDriver: true }));
    expect(said).toEqual([noPython, unreachable, unavailable(2)]);
  });

  it('leaves nothing in the cache but the failure and what can be used again', async () => {
    await setUpTensorflow(options());
    expect(readdirSync(join(folder, 'cache'))).toEqual(['setup-failed.json']);
  });

  it('says so where the cache cannot be written', async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'file'), '');
    const cache = join(folder, 'file', 'cache');
    await setUpTensorflow(options({ environment: environment({ PLUMBLINE_CACHE: cache }) }));
    expect(said[0]).toMatch(
      /cache: the cache folder cannot be written \(ENOTDIR.*\)\. Set PLUMBLINE_CACHE to a folder you own\./,
    );
    expect(said[1]).toBe(unavailable(1));
  });

  it('does nothing under PLUMBLINE_NO_TENSORFLOW=1', async () => {
    const result = await setUpTensorflow(options({ environment: environment({ PLUMBLINE_NO_TENSORFLOW: '1' }) }));
    expect(result.problems).toEqual(['PLUMBLINE_NO_TENSORFLOW=1: switched off. Unset it.']);
    expect(said).toEqual(['tensorflow lane switched off by PLUMBLINE_NO_TENSORFLOW=1; the wasm lane serves']);
    expect(existsSync(join(folder, 'cache'))).toBe(false);
  });

  it('does not take an addon that is there but does not load', async () => {
    mkdirSync(join(packageFolder, 'lib', 'napi-v8'), { recursive: true });
    writeFileSync(addonFile(packageFolder), 'not a library');
    const result = await setUpTensorflow(options());
    expect(result.ready).toBe(false);
    expect(result.problems[0]).toMatch(/tfjs_binding\.node: the addon does not work here \(.+; exit code 1\)\./);
  });
});

describe.runIf(addonPresent())('setUpTensorflow where an addon works', () => {
  it('tries an installed addon once, and then finds it ready in a few reads', async () => {
    const real = addonFile(addonPackage()!);
    const script = `const fs = require('fs'); fs.mkdirSync('lib/napi-v8', { recursive: true }); fs.symlinkSync(${JSON.stringify(real)}, 'lib/napi-v8/tfjs_binding.node');`; // biome-ignore format: one script
    rmSync(packageFolder, { recursive: true });
    packageFolder = makePackage(script);
    const server = await serve();
    const reachable = environment({ TFJS_NODE_CDN_STORAGE: server.address });

    const first = await setUpTensorflow(options({ environment: reachable }));
    server.close();
    expect(said[0]).toMatch(/^downloading the official libtensorflow 2\.9\.1 \(cpu, about 100 MB\) to /);
    expect(said[1]).toMatch(/^tensorflow lane ready after \d+ s: TensorFlow 2\.\d+\.\d+ on [CG]PU$/);
    expect(lstatSync(addonFile(packageFolder)).isSymbolicLink()).toBe(true);
    expect(first.note?.source).toBe('official-2.9.1-cpu');

    said = [];
    const second = await setUpTensorflow(options());
    expect([second.ready, second.cached, second.note]).toEqual([true, true, first.note]);
    expect(said).toEqual([expect.stringMatching(/^tensorflow lane ready \(cached\): TensorFlow/)]);

    // As after `npm ci`: the package is new, the cache is not, and no download is tried.
    rmSync(packageFolder, { recursive: true });
    packageFolder = makePackage();
    said = [];
    expect((await setUpTensorflow(options())).ready).toBe(true);
    expect(said).toEqual([expect.stringMatching(/^tensorflow lane ready after \d+ s/)]);

    // A changed file is not trusted.
    rmSync(addonFile(packageFolder));
    writeFileSync(addonFile(packageFolder), 'not a library');
    expect(readNote(packageFolder)).toBeUndefined();
  });
});

describe('installOfficial', () => {
  it('passes on the telling line of the install script and keeps nothing of it', async () => {
    const server = await serve();
    writeFileSync(join(packageFolder, 'scripts', 'install.js'), `throw new Error('Unsupported system: gpu-linux-arm')`);
    const installing = installOfficial(packageFolder, true, context({ TFJS_NODE_CDN_STORAGE: server.address }));
    await expect(installing).rejects.toThrow(
      "official download: the package's install script failed (Error: Unsupported system: gpu-linux-arm).",
    );
    server.close();
    expect(officialBuilt(folder)).toBe(false);
    expect(readdirSync(folder)).toEqual(['node_modules']);
  });

  it('recognises a host without a name', async () => {
    const name = 'http://plumbline.invalid/'; // .invalid never resolves: RFC 2606
    await expect(installOfficial(packageFolder, false, context({ TFJS_NODE_CDN_STORAGE: name }))).rejects.toThrow(
      /^official download: http:\/\/plumbline\.invalid\/ cannot be reached \(.+\)\. Name a mirror/,
    );
  });
});

describe('compileAddon', () => {
  it('says what to install where there is no compiler', async () => {
    await expect(compileAddon(folder, packageFolder, context())).rejects.toThrow(
      'PATH: no C++ compiler was found, which builds the addon. Install g++ (Debian: apt install g++).',
    );
  });

  it('quotes a compiler that fails, and keeps no half-built addon', async () => {
    const compiler = join(folder, 'cxx');
    writeExecutable(compiler, '#!/bin/sh\necho "cxx: error: unrecognized option -std=c++17" >&2; exit 2\n');
    await expect(compileAddon(folder, packageFolder, context({ CXX: compiler }))).rejects.toThrow(
      `${compiler}: the addon does not compile (cxx: error: unrecognized option -std=c++17). Update g++ to 9 or newer, or set CXX to another compiler.`,
    );
    expect(addonBuilt(folder, packageFolder)).toBe(false);
  });
});

describe('setUpTensorflow without its npm package', () => {
  it('says what to run', async () => {
    expect((await setUpTensorflow(options({ packageFolder: join(folder, 'none') }))).problems).toEqual([
      '@tensorflow/tfjs-node-gpu: the npm package is not installed. Run: npm ci',
    ]);
    expect(said.at(-1)).toBe(unavailable(1));
  });
});

describe.runIf(addonPresent())('the addon that setup built', () => {
  it('multiplies matrices in a child process', async () => {
    const verified = await verifyAddon(addonFile(addonPackage()!), process.env);
    expect(verified.tensorflow).toMatch(/^2\./);
  });

  it('writes nothing of its own to standard error when it loads, and leaves standard error open', () => {
    const code = `require(process.argv[1]); console.error('open')`;
    const run = spawnSync(process.execPath, ['-e', code, addonFile(addonPackage()!)], {
      encoding: 'utf8',
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' },
    });
    expect(run.stderr).toBe('open\n');
  });
});
