/** The addon file in `node_modules`: where it lies, whether it is there, and the note beside it that it was tried. */

import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { atomicWrite } from '../files/atomic-write.ts';
import type { VerifiedAddon } from './verify-addon.ts';

/** Written after a successful trial; says what the addon was when it was tried. */
export interface AddonNote extends VerifiedAddon {
  /** Where it came from: a wheel set's name, "official", or "installed" for one that was there before. */
  source: string;
  /** True where a GPU build was wanted, so that a later driver makes setup look again. */
  nvidiaDriver: boolean;
  file: string;
  bytes: number;
  modified: number;
}

/** The folder of the npm package `@tensorflow/tfjs-node-gpu`; undefined where it is not installed. */
export function addonPackage(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json'));
  } catch {
    return undefined;
  }
}

/** The file that the package loads. Its prebuilt and own builds are for Node-API 8, which Node 20, 22 and 24 share. */
export function addonFile(packageFolder: string): string {
  return join(packageFolder, 'lib', 'napi-v8', 'tfjs_binding.node');
}

/** True where the addon file (or what its link points to) exists. */
export function addonPresent(): boolean {
  const folder = addonPackage();
  return folder !== undefined && existsSync(addonFile(folder));
}

/** The note of an addon that was tried and has not changed since; undefined otherwise. */
export function readNote(packageFolder: string): AddonNote | undefined {
  try {
    const note = JSON.parse(readFileSync(noteFile(packageFolder), 'utf8')) as AddonNote;
    const now = fingerprint(addonFile(packageFolder));
    return note.file === now.file && note.bytes === now.bytes && note.modified === now.modified ? note : undefined;
  } catch {
    return undefined;
  }
}

/** Records a successful trial of the addon in `node_modules`. */
export async function writeNote(
  packageFolder: string,
  note: Omit<AddonNote, 'file' | 'bytes' | 'modified'>,
): Promise<AddonNote> {
  const whole = { ...note, ...fingerprint(addonFile(packageFolder)) };
  await atomicWrite(noteFile(packageFolder), `${JSON.stringify(whole, null, 2)}\n`);
  return whole;
}

/**
 * Puts a link to the cached addon into `node_modules`, in one rename. A link, because the addon finds its libraries
 * from where it really lies; a copy where the system forbids links.
 */
export async function linkAddon(addon: string, packageFolder: string): Promise<void> {
  const place = addonFile(packageFolder);
  const temporary = `${place}.${process.pid}.partial`;
  await mkdir(dirname(place), { recursive: true });
  await rm(temporary, { force: true });
  await symlink(addon, temporary).catch(() => copyFile(addon, temporary));
  await rename(temporary, place);
}

function noteFile(packageFolder: string): string {
  return join(dirname(addonFile(packageFolder)), 'plumbline-verified.json');
}

function fingerprint(path: string): { file: string; bytes: number; modified: number } {
  const file = realpathSync(path);
  const { size, mtimeMs } = statSync(file);
  return { file, bytes: size, modified: Math.round(mtimeMs) };
}
