import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from '../../src/lanes/lock.ts';

const root = mkdtempSync(join(tmpdir(), 'plumbline-lock-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
let cache = '';
beforeEach(() => {
  cache = join(root, String(count++));
  mkdirSync(cache);
});

/** Another process that takes the lock, prints "held", and keeps it for a time. */
async function holder(milliseconds: number): Promise<ChildProcess> {
  const module = new URL('../../src/lanes/lock.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then(({ withLock }) => withLock(process.argv[1], () => {}, async () => {
    console.log('held'); await new Promise((done) => setTimeout(done, ${milliseconds})); console.log('done'); }));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', code, cache], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

const lockFile = (): string => join(cache, 'setup.lock');

describe('withLock', () => {
  it('returns what the work returned and leaves nothing', async () => {
    expect(
      await withLock(
        cache,
        () => undefined,
        async () => 7,
      ),
    ).toBe(7);
    expect(readdirSync(cache)).toEqual([]);
  });

  it('releases the lock when the work throws', async () => {
    const working = withLock(cache, () => undefined, async () => Promise.reject(new RangeError('no'))); // biome-ignore format: one call
    await expect(working).rejects.toThrow(new RangeError('no'));
    expect(readdirSync(cache)).toEqual([]);
  });

  it('never lets two work at once', async () => {
    let inside = 0;
    const work = async (): Promise<void> => {
      expect(++inside).toBe(1);
      await new Promise((done) => setTimeout(done, 20));
      inside--;
    };
    await Promise.all([1, 2, 3].map(() => withLock(cache, () => undefined, work)));
    expect(inside).toBe(0);
  });

  it('waits for another process and says so once', async () => {
    const child = await holder(1200);
    const said: string[] = [];
    await withLock(cache, (line) => said.push(line), async () => expect(child.exitCode ?? 0).toBe(0)); // biome-ignore format: one call
    expect(said).toEqual([`waiting for another setup to finish (process ${child.pid} on ${hostname()})`]);
  });

  it('takes over at once from a process that was killed', async () => {
    const child = await holder(600_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(existsSync(lockFile())).toBe(true);
    const said: string[] = [];
    await withLock(cache, (line) => said.push(line), async () => undefined); // biome-ignore format: one call
    expect(said).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('is released by %s, which still ends the process', async (signal) => {
    const child = await holder(600_000);
    child.kill(signal);
    const [code, endedBy] = await once(child, 'exit');
    expect([code, endedBy]).toEqual([null, signal]);
    expect(readdirSync(cache)).toEqual([]);
  });

  it('takes over a lock of another host only when its beat has stopped, and one that is not readable likewise', async () => {
    for (const text of [JSON.stringify({ pid: 1, host: 'elsewhere', startedAt: '', nonce: 'x' }), 'not json']) {
      writeFileSync(lockFile(), text);
      const old = new Date(Date.now() - 120_000);
      utimesSync(lockFile(), old, old);
      expect(await withLock(cache, () => undefined, async () => readFileSync(lockFile(), 'utf8'))).toContain(hostname()); // biome-ignore format: one call
    }
  });
});
