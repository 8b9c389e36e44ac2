import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hashFile, hashText } from '../../src/files/hash.ts';

const folder = mkdtempSync(join(tmpdir(), 'plumbline-hash-'));
afterAll(() => rmSync(folder, { recursive: true }));

// FIPS 180-2, appendix B.1 and B.2.
const ofAbc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const ofEmpty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const ofMillionA = 'sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0';

describe('hashes', () => {
  it('gives the published digest of "abc" for text and file', async () => {
    const path = join(folder, 'abc');
    writeFileSync(path, 'abc');
    expect(hashText('abc')).toBe(ofAbc);
    expect(await hashFile(path)).toBe(ofAbc);
  });

  it('gives the published digest of nothing', () => {
    expect(hashText('')).toBe(ofEmpty);
  });

  it('reads a file longer than one piece', async () => {
    const path = join(folder, 'a');
    writeFileSync(path, 'a'.repeat(1_000_000));
    expect(await hashFile(path)).toBe(ofMillionA);
  });

  it('passes on the error of a file that is not there', async () => {
    await expect(hashFile(join(folder, 'none'))).rejects.toThrow('ENOENT');
  });
});
