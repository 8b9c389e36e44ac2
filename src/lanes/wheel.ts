/** libtensorflow from PyPI: fetches pinned wheels with pip and keeps only the C libraries and headers in them. */

import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LaneError } from '../errors.ts';
import { hashFile } from '../files/hash.ts';
import { folderBytes, megabytes, requireSpace } from './cache.ts';
import { requirements, type Wheel, type WheelSet } from './pinned-wheels.ts';
import { findPython } from './pip.ts';
import { runProgram, tellingLine } from './programs.ts';

/** What the steps of setting up have in common. */
export interface StepContext {
  /** The folder of this set in the cache. */
  folder: string;
  environment: NodeJS.ProcessEnv;
  say: (line: string) => void;
}

/**
 * The unpacked libraries of a wheel set: `<folder>/unpacked/tensorflow/…` and, for CUDA, `…/nvidia/…`. Each finished
 * step stays on disk (wheels that pip has checked; then the unpacked folder, after which the wheels are deleted), so a
 * setup that was killed continues there.
 *
 * @throws LaneError naming the step that failed and its remedy
 */
export async function fetchLibraries(set: WheelSet, context: StepContext): Promise<string> {
  const unpacked = join(context.folder, 'unpacked');
  const downloads = join(context.folder, 'wheels');
  if (!existsSync(unpacked)) {
    const python = await findPython(context.environment, 'fetches the TensorFlow wheel');
    await mkdir(downloads, { recursive: true });
    const total = set.wheels.reduce((sum, wheel) => sum + wheel.megabytes, 0);
    await requireSpace(context.folder, set.megabytesNeeded * 1e6 - (await folderBytes(downloads)));
    context.say(`downloading TensorFlow ${set.tensorflow} (${set.device}, ${total} MB) with pip to ${context.folder}`);
    for (const wheel of set.wheels) await download(python, wheel, downloads, context);
    context.say(`unpacking its C libraries (about ${set.device === 'gpu' ? 60 : 10} s)`);
    await unpack(python, downloads, unpacked, context.environment);
  }
  // 274 MB and more that nothing reads again.
  await rm(downloads, { recursive: true, force: true });
  return unpacked;
}

/** True where an earlier setup fetched this wheel whole. pip itself would ask the index first. */
async function isFetched(wheel: Wheel, folder: string): Promise<boolean> {
  const start = `${wheel.project.replaceAll('-', '_')}-${wheel.version}-`;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(start) || !name.endsWith('.whl')) continue;
    if ((await hashFile(join(folder, name))) === `sha256:${wheel.sha256}`) return true;
  }
  return false;
}

async function download(python: string, wheel: Wheel, folder: string, context: StepContext): Promise<void> {
  if (await isFetched(wheel, folder)) return;
  const list = join(folder, `${wheel.project}.txt`);
  const scratch = join(folder, 'partial');
  await writeFile(list, requirements([wheel]));
  await mkdir(scratch, { recursive: true });
  // pip's temporary files go to the cache's disk: /tmp is often small, and what is there shows the progress.
  const environment = { ...context.environment, TMPDIR: scratch, PIP_RESUME_RETRIES: '5', PIP_RETRIES: '2' };
  const progress = setInterval(async () => {
    const done = megabytes(await folderBytes(scratch));
    if (done > 0) context.say(`  ${wheel.project}: ${done} of ${wheel.megabytes} MB`);
  }, 10_000);
  const args = ['-m', 'pip', 'download', '--no-deps', '--require-hashes', '--no-cache-dir', '--only-binary=:all:'];
  args.push('--python-version', '3.12', '--implementation', 'cp', '--abi', 'cp312', '--abi', 'none');
  for (const platform of wheel.platforms) args.push('--platform', platform);
  args.push('--disable-pip-version-check', '--progress-bar', 'off', '--dest', folder, '-r', list);
  const result = await runProgram(python, args, { environment, limitSeconds: 3600 });
  clearInterval(progress);
  await rm(scratch, { recursive: true, force: true });
  if (!result.ok) throw new LaneError(pipProblem(wheel, result.output, result.failure));
}

/** A sentence for each way in which pip is known to fail. */
function pipProblem(wheel: Wheel, output: string, failure: string): string {
  const where = `pip download ${wheel.project}==${wheel.version}`;
  if (/DO NOT MATCH THE HASHES|hashes? .*mismatch/i.test(output)) {
    const received = /Got\s+([0-9a-f]{64})/.exec(output)?.[1] ?? 'another';
    return `${where}: the file is not the pinned one; expected sha256 ${wheel.sha256}, received ${received}. Check your package index or mirror.`;
  }
  if (/No space left|ENOSPC|Errno 28/i.test(output)) {
    return `${where}: the disk is full. Free some space, or set PLUMBLINE_CACHE to a folder on another disk.`;
  }
  if (/resolve|resolution|NewConnectionError|timed out|Max retries|unreachable/i.test(output)) {
    return `${where}: the package index cannot be reached. Check the network, or set PIP_INDEX_URL to a mirror.`;
  }
  if (/no matching distribution|could not find a version/i.test(output)) {
    return `${where}: the package index does not have this file. Set PIP_INDEX_URL to a full mirror of PyPI, or update pip.`;
  }
  return `${where}: ${failure} (${tellingLine(output)}). Run the command by hand to see more.`;
}

/** Python is there because pip is; its zipfile checks each file's CRC and needs no other program. */
const unpackScript = `
import os, sys, zipfile
source, target = sys.argv[1:]
keep = ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2', 'tensorflow/include/tensorflow/c/',
        'tensorflow/include/tensorflow/core/platform/ctstring', 'tensorflow/include/tsl/platform/ctstring',
        'tensorflow/include/xla/tsl/c/', 'tensorflow/include/absl/base/options.h', 'nvidia/')
for name in sorted(os.listdir(source)):
    if not name.endswith('.whl'): continue
    with zipfile.ZipFile(os.path.join(source, name)) as archive:
        for info in archive.infolist():
            if info.filename.startswith(keep):
                path = archive.extract(info, target)
                if not info.is_dir() and info.external_attr >> 16 & 0o111: os.chmod(path, 0o755)
`;

async function unpack(python: string, wheels: string, target: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const temporary = `${target}.partial`;
  await rm(temporary, { recursive: true, force: true });
  const result = await runProgram(python, ['-c', unpackScript, wheels, temporary], { environment, limitSeconds: 900 });
  if (result.ok && existsSync(join(temporary, 'tensorflow', 'libtensorflow_cc.so.2'))) {
    await rename(temporary, target);
    return;
  }
  await rm(temporary, { recursive: true, force: true });
  const full = /No space left|Errno 28/.test(result.output);
  // A damaged archive must be fetched again next time.
  if (!full) await rm(wheels, { recursive: true, force: true });
  throw new LaneError(
    full
      ? `${target}: the disk is full. Free some space, or set PLUMBLINE_CACHE to a folder on another disk.`
      : `${target}: the wheel could not be unpacked (${tellingLine(result.output) || result.failure || 'it holds no libtensorflow'}). Run: npm run setup -- --again`,
  );
}
