import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openAtomicFile } from '../../src/files/atomic-file.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();

test('pieces appear together under the name', async () => {
  writeFileSync(path('a'), 'old');
  const file = await openAtomicFile(path('a'));
  file.write(Buffer.from('one '));
  file.write(Buffer.from('two'));
  expect(readFileSync(path('a'), 'utf8')).toBe('old');
  await file.commit();
  expect(readFileSync(path('a'), 'utf8')).toBe('one two');
  file.discard();
  expect(readdirSync(path())).toEqual(['a']);
});

test('a file that is discarded cannot be written or committed', async () => {
  const file = await openAtomicFile(path('a'));
  file.discard();
  expect(() => file.write(Buffer.from('x'))).toThrow(/a: could not be written/);
  await expect(file.commit()).rejects.toThrow(
    /a: could not be written \(the file is closed\)\. Check the folder and run again\.$/,
  );
  expect(readdirSync(path())).toEqual([]);
});
