import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { cachedFolder } from '../../src/examples/dataset-cache.ts';

const root = mkdtempSync(join(tmpdir(), 'cache-'));
afterAll(() => rmSync(root, { recursive: true }));

const make = (parts: Record<string, string>, text = 'made') =>
  cachedFolder(root, parts, async (folder) => writeFileSync(join(folder, 'data.txt'), text));

it('makes an entry once for each content, whatever the order of its parts', async () => {
  const first = await make({ rows: 'a', templates: 'b' });
  expect(first.fresh).toBe(true);
  expect(await make({ templates: 'b', rows: 'a' }, 'other')).toEqual({ path: first.path, fresh: false });
  expect(readFileSync(join(first.path, 'data.txt'), 'utf8')).toBe('made');
  const second = await make({ rows: 'a', templates: 'c' });
  expect(second.fresh).toBe(true);
  expect(second.path).not.toBe(first.path);
});

it('is filled once where two ask for it at once, after what a killed run left was swept', async () => {
  const { path } = await make({ rows: 'at once' });
  rmSync(path, { recursive: true });
  const left = join(root, `.${basename(path)}.1-0123abcd.tmp`);
  mkdirSync(left);
  let calls = 0;
  const slow = (text: string) =>
    cachedFolder(root, { rows: 'at once' }, async (folder) => {
      calls += 1;
      await sleep(50);
      writeFileSync(join(folder, 'data.txt'), text);
    });
  const both = await Promise.all([slow('a'), slow('b')]);
  expect(both.map(({ fresh }) => fresh).sort()).toEqual([false, true]);
  expect(calls).toBe(1);
  expect(existsSync(left)).toBe(false);
  expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([]);
});

it('makes a damaged or incomplete entry again', async () => {
  const { path } = await make({ rows: 'damaged' });
  const data = join(path, 'data.txt');
  for (const harm of [
    () => writeFileSync(data, 'changed'),
    () => rmSync(data),
    () => rmSync(join(path, 'contents.json')),
    () => writeFileSync(join(path, 'more.txt'), ''),
  ]) {
    harm();
    expect(await make({ rows: 'damaged' }, 'mended')).toEqual({ path, fresh: true });
    expect(readFileSync(data, 'utf8')).toBe('mended');
  }
});

it('leaves nothing behind where the work fails', async () => {
  const before = readdirSync(root);
  await expect(
    cachedFolder(root, { rows: 'fails' }, async (folder) => {
      writeFileSync(join(folder, 'half.txt'), 'half');
      throw new Error('no more');
    }),
  ).rejects.toThrow('no more');
  expect(readdirSync(root)).toEqual(before);
  expect(before.every((name) => existsSync(join(root, name, 'contents.json')))).toBe(true);
});
