/** Cheap looks at the machine: is there a GPU, and whose? Reads a few paths and starts no program. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** True where an NVIDIA driver is loaded, so that a CUDA build is worth its download. */
export function hasNvidiaDriver(): boolean {
  return (
    existsSync('/proc/driver/nvidia/version') || existsSync('/dev/nvidiactl') || findProgram('nvidia-smi') !== undefined
  );
}

/** True where a GPU may be: an NVIDIA driver, a render node, or a system that always has one. */
export function hasGpuHint(): boolean {
  if (process.platform === 'darwin' || process.platform === 'win32' || hasNvidiaDriver()) return true;
  try {
    return readdirSync('/dev/dri').some((name) => name.startsWith('renderD'));
  } catch {
    return false;
  }
}

/** What Linux says of its processors; empty elsewhere. */
export function readCpuInfo(): string {
  return existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
}

/** True on GPUs, and where the processor multiplies bfloat16 itself (AVX512-BF16, AMX, or Arm's BF16) or that cannot be seen. */
export function multipliesBfloat16(device: 'cpu' | 'gpu', cpuinfo = readCpuInfo()): boolean {
  if (device === 'gpu') return true;
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1];
  return line === undefined || /\b(?:avx512_bf16|amx_bf16|bf16)\b/.test(line);
}

/** The first file of this name on a search path (PATH by default); undefined where there is none. */
export function findProgram(name: string, searchPath = process.env.PATH ?? ''): string | undefined {
  const names = process.platform === 'win32' ? [`${name}.exe`, `${name}.cmd`] : [name];
  for (const folder of searchPath.split(delimiter)) {
    for (const candidate of names) if (folder && existsSync(join(folder, candidate))) return join(folder, candidate);
  }
  return undefined;
}

/** True where an adapter's description names a software renderer, which is no GPU. */
export function isSoftwareAdapter(description: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(description);
}
