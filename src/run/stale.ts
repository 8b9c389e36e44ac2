/** Whether a finished run still stands on what is there now: its parents and inputs, compared by hash. */

import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { underNewKeys } from '../yaml/renamed-keys.ts';
import { flatten } from '../yaml/schema-fields.ts';
import { readYaml } from '../yaml/yaml-source.ts';
import { hashPath, readManifest } from './manifest.ts';
import { openParent } from './parents.ts';
import { shortHash } from './run-folder.ts';

/**
 * What has changed since the run in `folder` finished, one line each; nothing where no finished run is there.
 *
 * @param config the configuration of now; where it names another path than the run's own, that path is looked at
 */
export async function staleProblems(folder: string, config: unknown): Promise<string[]> {
  const manifest = readManifest(folder);
  if (manifest?.status !== 'finished') return [];
  const moved = movedPaths(folder, config);
  const problems: string[] = [];
  for (const { role, path, hash } of manifest.inputs) {
    for (const now of moved(path))
      problems.push(...(await compare(folder, role, now, hash, () => hashPath(role, now))));
  }
  for (const { role, path, hash } of manifest.parents) {
    const hashOf = async (now: string): Promise<string> => (await openParent(now, { role })).hash;
    for (const now of moved(path)) problems.push(...(await compare(folder, role, now, hash, () => hashOf(now))));
  }
  return problems;
}

async function compare(
  folder: string,
  role: string,
  path: string,
  expected: string,
  hashNow: () => Promise<string>,
): Promise<string[]> {
  try {
    const received = await hashNow();
    if (received === expected) return [];
    return [
      `${role} ${path}: is not what ${folder} was made from; expected ${shortHash(expected)}, received ${shortHash(received)}.`,
    ];
  } catch (error) {
    if (error instanceof UserError) return [...error.problems];
    throw error;
  }
}

/** Maps a path of the manifest to where the configuration of now has it: keys may name another path than then. */
function movedPaths(folder: string, config: unknown): (path: string) => string[] {
  const now = flatten(config);
  const before = underNewKeys(flatten(readYaml(join(folder, 'config.yaml')).data), [...now.keys()]);
  return (path) => {
    const found = new Set<string>();
    for (const [key, old] of before) {
      const current = now.get(key);
      if (typeof old !== 'string' || typeof current !== 'string') continue;
      if (path === old || path.startsWith(`${old}/`)) found.add(current + path.slice(old.length));
    }
    return found.size > 0 ? [...found] : [path];
  };
}
