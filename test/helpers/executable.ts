/** Programs that tests write and then run. */
import { execFileSync } from 'node:child_process';

/**
 * Writes a script that can be run. Another process writes it: a file that this one has open for writing goes into every
 * program that is started meanwhile, and until that has begun nobody can run it ("text file busy").
 */
export function writeExecutable(path: string, script: string): void {
  execFileSync('/bin/sh', ['-c', 'cat > "$0" && chmod 755 "$0"', path], { input: script });
}
