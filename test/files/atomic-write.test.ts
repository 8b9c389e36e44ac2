import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { atomicFolder, atomicWrite } from '../../src/files/atomic-write.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-atomic-'));
let folder = '';
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('atomicWrite', () => {
  it('writes any bytes and leaves only the file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), async (bytes) => {
        await atomicWrite(join(folder, 'x.bin'), bytes);
        expect(new Uint8Array(readFileSync(join(folder, 'x.bin')))).toEqual(bytes);
        expect(readdirSync(folder)).toEqual(['x.bin']);
      }),
      { seed: 1, numRuns: 20 },
    );
  });

  it('makes the folders above and replaces old content', async () => {
    const path = join(folder, 'a', 'b', 'x.txt');
    await atomicWrite(path, 'old, and longer');
    await atomicWrite(path, 'new ✓');
    expect(readFileSync(path, 'utf8')).toBe('new ✓');
  });

  it('names the path and the remedy where the path is a folder, and leaves nothing behind', async () => {
    const path = join(folder, 'taken');
    mkdirSync(join(path, 'inside'), { recursive: true });
    const error = await atomicWrite(path, 'x').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toMatch(/taken: could not be written \(EISDIR.*\)\. The path is a folder/);
    expect(readdirSync(folder)).toEqual(['taken']);
  });

  it('says what to do where a part of the path is a file', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(atomicWrite(join(folder, 'file', 'x'), 'x')).rejects.toThrow(
      /could not be written .*A part of the path is a file: choose another name or remove it\./,
    );
  });

  // /dev/full refuses every write with ENOSPC, but cannot be renamed over; a file size limit does for a real file.
  it.skipIf(process.platform !== 'linux')('keeps the old content when the disk refuses the new one', () => {
    const path = join(folder, 'x.txt');
    writeFileSync(path, 'old');
    const module = new URL('../../src/files/atomic-write.ts', import.meta.url).href;
    const code = `import(${JSON.stringify(module)}).then(({ atomicWrite }) => atomicWrite(${JSON.stringify(path)}, 'y'.repeat(300000))).catch((error) => console.log(error.message));`;
    const command = `trap '' XFSZ; ulimit -f 100; exec "$0" --import tsx -e "$1"`;
    const { stdout } = spawnSync('bash', ['-c', command, process.execPath, code], { encoding: 'utf8' });
    expect(stdout).toMatch(/x\.txt: could not be written \(EFBIG/);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['x.txt']);
  });
});

describe('atomicFolder', () => {
  it('shows the folder only when it is full, and returns what fill returned', async () => {
    const path = join(folder, 'model');
    const result = await atomicFolder(path, (inside) => {
      expect(existsSync(path)).toBe(false);
      mkdirSync(join(inside, 'sub'));
      writeFileSync(join(inside, 'sub', 'a'), '1');
      return 7;
    });
    expect(result).toBe(7);
    expect(readFileSync(join(path, 'sub', 'a'), 'utf8')).toBe('1');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('replaces an older folder as a whole', async () => {
    const path = join(folder, 'model');
    await atomicFolder(path, (inside) => writeFileSync(join(inside, 'old'), ''));
    await atomicFolder(path, (inside) => writeFileSync(join(inside, 'new'), ''));
    expect(readdirSync(path)).toEqual(['new']);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('keeps the older folder and passes the error on when fill throws', async () => {
    const path = join(folder, 'model');
    await atomicFolder(path, (inside) => writeFileSync(join(inside, 'old'), ''));
    const failing = atomicFolder(path, async (inside) => {
      writeFileSync(join(inside, 'half'), '');
      throw new RangeError('no more numbers');
    });
    await expect(failing).rejects.toThrow(new RangeError('no more numbers'));
    expect(readdirSync(path)).toEqual(['old']);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('says what to do where the disk refuses', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(atomicFolder(join(folder, 'file', 'x'), () => 0)).rejects.toThrow(
      /could not be written .*A part of the path is a file/,
    );
  });
});
