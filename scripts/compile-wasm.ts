/**
 * Compiles our kernels of the wasm lane: src/tensor/wasm/kernels.c to src/tensor/wasm/kernels-binary.ts. Needed only after a
 * change of the C file; a test compares its hash. Done with clang and lld 14; others may give other bytes.
 *
 *   Run      node --import tsx scripts/compile-wasm.ts [clang] [wasm-ld]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { hashText } from '../src/files/hash.ts';
import { runMain } from '../src/run/program.ts';

const FOLDER = join('src', 'tensor', 'wasm');

/**
 * Without loop-strength reduction every load keeps its offset in the instruction, which is a fifth faster in V8. No sums are
 * fused or reordered, and no loop becomes memory.copy, whose bounds a thread may know too late.
 */
const COMPILE =
  '--target=wasm32 -msimd128 -matomics -mbulk-memory -O3 -mllvm -disable-lsr -ffp-contract=off -fno-builtin -nostdlib -Wall -Wextra -Werror';
const LINK = '--no-entry --import-memory --shared-memory --max-memory=4294967296 --strip-all';

await runMain(import.meta.url, async ([clang = 'clang', linker = 'wasm-ld']) => {
  const source = join(FOLDER, 'kernels.c');
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-wasm-'));
  try {
    const [object, linked] = [join(folder, 'kernels.o'), join(folder, 'kernels.wasm')];
    execFileSync(clang, [...COMPILE.split(' '), '-c', source, '-o', object], { stdio: 'inherit' });
    execFileSync(linker, [...LINK.split(' '), object, '-o', linked], { stdio: 'inherit' });
    const lines = [
      '/** kernels.c, compiled. Written by scripts/compile-wasm.ts: do not edit. */',
      '',
      'export const KERNELS = {',
      '  /** SHA-256 of the source. */',
      `  source: '${hashText(readFileSync(source, 'utf8'))}',`,
      '  /** The WebAssembly module, base64. */',
      '  binary:',
      `    '${readFileSync(linked).toString('base64')}',`,
      '};',
      '',
    ];
    await atomicWrite(join(FOLDER, 'kernels-binary.ts'), lines.join('\n'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
