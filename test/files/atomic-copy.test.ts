import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { atomicCopy } from '../../src/files/atomic-copy.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();

it('copies a file, replacing what is there and making the folder above', async () => {
  writeFileSync(inFolder('from'), 'new');
  mkdirSync(inFolder('to'));
  writeFileSync(inFolder('to', 'file'), 'old, and longer');
  await atomicCopy(inFolder('from'), inFolder('to', 'file'));
  await atomicCopy(inFolder('from'), inFolder('deep', 'er', 'file'));
  expect(readFileSync(inFolder('to', 'file'), 'utf8')).toBe('new');
  expect(readFileSync(inFolder('deep', 'er', 'file'), 'utf8')).toBe('new');
  expect(readdirSync(inFolder('to'))).toEqual(['file']);
});

it('leaves the old content and nothing else where it fails', async () => {
  writeFileSync(inFolder('file'), 'old');
  const problems = await problemsOf(() => atomicCopy(inFolder('none'), inFolder('file')), inFolder());
  expect(problems[0]).toMatch(/^file: could not be written \(ENOENT.*none.*\)\. Check the folder and run again\.$/);
  expect(readFileSync(inFolder('file'), 'utf8')).toBe('old');
  expect(readdirSync(inFolder())).toEqual(['file']);
});
