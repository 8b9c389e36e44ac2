/** Paths that begin with `~`, which a shell expands only where it stands at the beginning of a word. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** True for `~name`, the home of another user, which only a shell can find. */
export function isOtherHome(path: string): boolean {
  return /^~[^/\\]/.test(path);
}

/** The path with a leading `~` or `~/` replaced by the user's home folder. */
export function expandHome(path: string): string {
  return path === '~' || /^~[/\\]/.test(path) ? join(homedir(), path.slice(1)) : path;
}
