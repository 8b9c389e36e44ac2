/** A compiler for tests of set-up that compiles nothing. */
import { join } from 'node:path';
import { writeExecutable } from './executable.ts';

/** An environment with a cache of its own, whose compiler is a script; it writes down how it was called, in `calls`. */
export function withCompiler(folder: string, script: string): NodeJS.ProcessEnv {
  const path = join(folder, 'compiler');
  writeExecutable(path, `#!/bin/sh\necho "$@" >> ${folder}/calls\nfor last; do :; done\n${script}`);
  return { PATH: '/usr/bin:/bin', PLUMBLINE_CACHE: join(folder, 'cache'), CXX: path };
}

/** A compiler's script: what the program that stands for the unit test prints, and how it ends. */
export function makesTest(line: string, code: number): string {
  return `case "$*" in *unit-test.cc*) printf '#!/bin/sh\\necho "${line}"\\nexit ${code}\\n' > "$last"; chmod 755 "$last";; *) echo library > "$last";; esac`;
}
