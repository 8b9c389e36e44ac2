/** What `npm run doctor` finds out: every lane tried in a child process, and the machine around it. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, freemem, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage } from '../errors.ts';
import { addonFile, addonPackage, readNote } from './addon-file.ts';
import { cacheFolder, folderBytes, megabytes } from './cache.ts';
import { nativeBuild } from './compile-native.ts';
import { findProgram, hasNvidiaDriver, isSoftwareAdapter } from './hardware.ts';
import { runProgram, tellingLine } from './programs.ts';
import { verifyAddon } from './verify-addon.ts';

export interface LaneDiagnosis {
  lane: 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';
  available: boolean;
  /** "cpu", "gpu", or empty where the lane is not available. */
  device: string;
  version: string;
  /** What is wrong or worth knowing; empty where nothing is. */
  remark: string;
  /** The command or step that mends it; empty where nothing is to be mended. */
  fix: string;
}

const resolver = createRequire(import.meta.url);

/** The state of every lane, best first. Never throws. */
export async function diagnoseLanes(): Promise<LaneDiagnosis[]> {
  return Promise.all([diagnoseTensorflow(), diagnoseWebgpu(), diagnoseWasm(), diagnoseCpu()]);
}

/** Facts about the machine as name and value, in the order to print. Never throws. */
export async function describeMachine(): Promise<Record<string, string>> {
  const cache = cacheFolder();
  const folder = addonPackage();
  const note = folder ? readNote(folder) : undefined;
  const compiler = ['g++', 'c++', 'clang++'].map((name) => findProgram(name)).find(Boolean);
  return {
    node: `${process.version} (Node-API ${process.versions.napi})`,
    system: `${process.platform} ${release()} ${process.arch}`,
    cores: String(availableParallelism()),
    memory: `${gigabytes(totalmem())} GB, ${gigabytes(freemem())} GB free`,
    'NVIDIA GPU': await nvidiaGpu(),
    cache: `${cache} (${megabytes(await folderBytes(cache))} MB)`,
    'native ops': nativeOps(),
    addon: note ? `${note.file} (from ${note.source})` : 'not set up',
    python: findProgram('python3') ?? 'none',
    'C++ compiler': compiler ?? 'none',
  };
}

function nativeOps(): string {
  const built = nativeBuild();
  if (built === undefined) return 'not built (npm run setup)';
  return built.file === null ? `none: ${built.says}` : `built: ${built.says}`;
}

async function diagnoseTensorflow(): Promise<LaneDiagnosis> {
  const row = { lane: 'tensorflow', available: false, device: '', version: '', remark: '', fix: '' } as const;
  const folder = addonPackage();
  if (!folder) return { ...row, remark: 'the npm package is not installed', fix: 'npm ci' };
  if (!existsSync(addonFile(folder))) return { ...row, remark: 'the addon is not built', fix: 'npm run setup' };
  try {
    const { tensorflow, device } = await verifyAddon(addonFile(folder), process.env);
    const unused = device === 'cpu' && hasNvidiaDriver();
    const switchedOff = process.env.PLUMBLINE_NO_TENSORFLOW === '1';
    const remark = switchedOff ? 'not taken by auto: PLUMBLINE_NO_TENSORFLOW=1' : unused ? 'sees no GPU' : '';
    const fix = switchedOff ? 'unset PLUMBLINE_NO_TENSORFLOW' : unused ? 'npm run setup -- --again' : '';
    return { ...row, available: true, device, version: tensorflow, remark, fix };
  } catch (error) {
    return { ...row, remark: errorMessage(error), fix: 'npm run setup -- --again' };
  }
}

const adapterTrial = `
require('webgpu').create([]).requestAdapter().then((adapter) => {
  const info = adapter && adapter.info;
  console.log(JSON.stringify(info ? [info.vendor, info.architecture, info.device, info.description] : null));
  process.exit(0);
});
`;

async function diagnoseWebgpu(): Promise<LaneDiagnosis> {
  const row = { lane: 'webgpu', available: false, device: '', version: '', remark: '', fix: '' } as const;
  try {
    const version = versionOf('@tensorflow/tfjs-backend-webgpu');
    resolver.resolve('webgpu');
    const folder = dirname(resolver.resolve('@tensorflow/tfjs/package.json'));
    const result = await runProgram(process.execPath, ['-e', adapterTrial], { folder, limitSeconds: 30 });
    if (!result.ok) return { ...row, version, remark: tellingLine(result.output) || result.failure, fix: 'npm ci' };
    const info = JSON.parse(result.standardOutput.split('\n').at(-1) ?? 'null') as string[] | null;
    if (!info) return { ...row, version, remark: 'no adapter found', fix: 'install a Vulkan driver for the GPU' };
    const software = isSoftwareAdapter(info.join(' '));
    const remark = info.filter(Boolean).join(' ') + (software ? ' (software, not a GPU)' : '');
    return { ...row, available: true, device: software ? 'cpu' : 'gpu', version, remark };
  } catch {
    return { ...row, remark: 'the optional npm packages are not installed', fix: 'npm ci' };
  }
}

async function diagnoseWasm(): Promise<LaneDiagnosis> {
  const row = { lane: 'wasm', available: false, device: '', version: '', remark: '', fix: '' } as const;
  try {
    const version = versionOf('@tensorflow/tfjs-backend-wasm');
    const file = join(dirname(resolver.resolve('@tensorflow/tfjs-backend-wasm')), 'tfjs-backend-wasm-simd.wasm');
    if (!existsSync(file)) return { ...row, version, remark: `${file} is missing`, fix: 'npm ci' };
    return { ...row, available: true, device: 'cpu', version };
  } catch {
    return { ...row, remark: 'the npm package is not installed', fix: 'npm ci' };
  }
}

async function diagnoseCpu(): Promise<LaneDiagnosis> {
  const row = { lane: 'cpu', available: false, device: '', version: '', remark: '', fix: '' } as const;
  try {
    return {
      ...row,
      available: true,
      device: 'cpu',
      version: versionOf('@tensorflow/tfjs'),
      remark: 'slow; for tests',
    };
  } catch {
    return { ...row, remark: 'the npm package is not installed', fix: 'npm ci' };
  }
}

async function nvidiaGpu(): Promise<string> {
  const program = findProgram('nvidia-smi');
  if (!program) return hasNvidiaDriver() ? 'driver loaded, nvidia-smi not found' : 'none seen';
  const args = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  const result = await runProgram(program, args, { limitSeconds: 10 });
  return result.ok ? result.standardOutput.replaceAll('\n', '; ') : `nvidia-smi failed: ${tellingLine(result.output)}`;
}

function versionOf(name: string): string {
  return (resolver(`${name}/package.json`) as { version: string }).version;
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
