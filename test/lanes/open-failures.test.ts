/** Lanes that cannot be opened: tried in a copy of the source whose node_modules lacks a package or holds a broken one. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'plumbline-open-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
let folder = '';
beforeEach(() => {
  folder = join(root, String(count++));
  for (const part of ['errors.ts', 'random.ts', 'files', 'lanes', 'tensor']) {
    cpSync(join(project, 'src', part), join(folder, 'src', part), { recursive: true });
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const modules = join(folder, 'node_modules', '@tensorflow');
  mkdirSync(modules, { recursive: true });
  for (const name of readdirSync(join(project, 'node_modules/@tensorflow'))) {
    if (name !== 'tfjs-node-gpu') symlinkSync(join(project, 'node_modules/@tensorflow', name), join(modules, name));
  }
});

/** A package that stands at `name` and whose main file is this text. */
function plant(name: string, main: string): string {
  const path = join(folder, 'node_modules', name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'package.json'), `{ "name": "${name}", "version": "1.0.0", "main": "main.cjs" }`);
  writeFileSync(join(path, 'main.cjs'), main);
  return path;
}

/** What `openLane` says there. */
function open(backend: string, device = 'auto'): string {
  const code = `import('./src/tensor/lane.ts').then(({ openLane }) => openLane({ backend: '${backend}', device: '${device}' }))
    .then((lane) => console.log(lane.note), (error) => console.log(error.name + ' ' + error.message)).then(() => process.exit(0));`;
  const { PLUMBLINE_BACKEND: _, PLUMBLINE_NO_TENSORFLOW: __, ...env } = process.env;
  const tsx = new URL('node_modules/tsx/dist/loader.mjs', `file://${project}`).href;
  const run = spawnSync(process.execPath, ['--import', tsx, '-e', code], { cwd: folder, encoding: 'utf8', env });
  return run.stdout.trim() || run.stderr;
}

const adapter = (description: string): string =>
  `exports.globals = {}; exports.create = () => ({ requestAdapter: async () => (${description}) });`;

describe('opening tensorflow', () => {
  it('names the command where the addon is not set up, and auto says so', () => {
    plant('@tensorflow/tfjs-node-gpu', '');
    expect(open('tensorflow')).toBe(
      'LaneError runtime.backend tensorflow, runtime.device auto: the TensorFlow addon is not set up. Run npm run setup.',
    );
    expect(open('auto', 'cpu')).toBe(
      'lane wasm on CPU (WebAssembly). Not tensorflow: the TensorFlow addon is not set up. Run npm run setup.',
    );
  });

  it('names the command where the addon does not load', () => {
    const path = plant('@tensorflow/tfjs-node-gpu', `throw new Error('libtensorflow_cc.so.2: cannot open\\nmore');`);
    mkdirSync(join(path, 'lib/napi-v8'), { recursive: true });
    writeFileSync(join(path, 'lib/napi-v8/tfjs_binding.node'), '');
    expect(open('tensorflow')).toBe(
      'LaneError runtime.backend tensorflow, runtime.device auto: the TensorFlow addon does not load (libtensorflow_cc.so.2: cannot open). Run npm run setup -- --again.',
    );
  });
});

describe('opening webgpu', () => {
  it('says what is missing: package, adapter, real GPU', () => {
    expect(open('webgpu')).toMatch(
      /runtime\.device auto: the npm package "webgpu" is not installed or does not load here\. Run npm ci\.$/,
    );
    plant('webgpu', adapter('null'));
    expect(open('webgpu')).toMatch(/: no Vulkan, Metal or D3D12 adapter was found\. Install a GPU driver, or use/);
    plant(
      'webgpu',
      adapter(`{ info: { vendor: 'google', architecture: 'swiftshader', device: '', description: '' } }`),
    );
    expect(open('webgpu', 'gpu')).toMatch(
      /: the only adapter is software \(google swiftshader\)\. Install a GPU driver\.$/,
    );
  });

  it('refuses device cpu on a real GPU', () => {
    plant('webgpu', adapter(`{ info: { vendor: 'nvidia', architecture: 'hopper', device: '', description: 'H200' } }`));
    expect(open('webgpu', 'cpu')).toMatch(/: webgpu runs on the GPU\. Use runtime\.backend tensorflow or wasm\.$/);
  });
});
