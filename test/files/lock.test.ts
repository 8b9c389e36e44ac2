import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { describe, expect, test } from 'vitest';
import { describeHeld, holderOf, isOfLock, makeAlone, type Owner, takeLock } from '../../src/files/lock.ts';
import { thisProcess } from '../../src/files/process-identity.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const file = (): string => path('run.lock');
const owner = (changes: Partial<Owner> = {}): Owner => ({
  ...thisProcess(),
  work: 'instruct',
  since: '2026-01-02T03:04:05.000Z',
  nonce: '0123456789ab',
  ...changes,
});
const write = (changes: Partial<Owner> = {}): void => writeFileSync(file(), JSON.stringify(owner(changes)));

/** Processes that wait for "go", try to take the lock at once, print what came of it, and hold it until they are killed. */
async function contenders(count: number): Promise<{ children: ChildProcess[]; results(): Promise<string[]> }> {
  const module = new URL('../../src/files/lock.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then(async ({ takeLock }) => {
    console.log('ready'); await new Promise((go) => process.stdin.once('data', go));
    const lock = await takeLock(process.argv[1], 'contender');
    console.log('release' in lock ? 'won' : 'lost'); setInterval(() => {}, 1000); });`;
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, ['--import', 'tsx', '-e', code, file()], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const line = async (child: ChildProcess): Promise<string> => {
    const [data] = (await once(child.stdout!, 'data')) as [Buffer];
    return data.toString().trim();
  };
  await Promise.all(children.map(line));
  return {
    children,
    results: async () => {
      const lines = children.map(line);
      for (const child of children) child.stdin!.write('go\n');
      return await Promise.all(lines);
    },
  };
}

async function kill(...children: ChildProcess[]): Promise<void> {
  for (const child of children) {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

describe('a lock', () => {
  test('is held by one, tells who it is, and leaves nothing when it is given back', async () => {
    const lock = await takeLock(file(), 'instruct');
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
    expect(holderOf(file())).toMatchObject({ owner: { work: 'instruct' } });
    const second = await takeLock(file(), 'ppo');
    if ('release' in second) throw new Error('two hold one lock');
    expect(describeHeld('run.folder run', { ...second, owner: owner() })).toBe(
      `run.folder run: is in use by instruct, process ${process.pid}, since 2026-01-02T03:04:05.000Z; two programs never share it. Wait for its end, stop it, or choose another.`,
    );
    if ('release' in lock) lock.release();
    expect(readdirSync(path())).toEqual([]);
    expect(holderOf(file())).toBeUndefined();
  });

  test.each([
    ['whose number no process has', { pid: 2 ** 22 + 1 }],
    ['whose number another process has by now', { startedAt: 'another boot 17' }],
  ])('of a dead owner, %s, is taken over', async (_, changes) => {
    write(changes);
    expect(holderOf(file())).toBeUndefined();
    expect(await takeLock(file(), 'ppo')).toHaveProperty('release');
    expect(readdirSync(path())).toEqual(['run.lock']);
    expect(holderOf(file())).toMatchObject({ owner: { work: 'ppo', pid: process.pid } });
  });

  test('is taken over from one that died while it took over', async () => {
    write({ pid: 2 ** 22 + 1 });
    writeFileSync(`${file()}.0123456789ab`, JSON.stringify(owner({ pid: 2 ** 22 + 2, nonce: 'ba9876543210' })));
    expect(await takeLock(file(), 'ppo')).toHaveProperty('release');
    expect(holderOf(file())).toMatchObject({ owner: { work: 'ppo' } });
  });

  test.each([
    ['another host', { host: 'elsewhere' }],
    ['another container', { space: 'pid:[1]' }],
  ])('of %s is refused with the file to remove', async (_, changes) => {
    write({ pid: 2 ** 22 + 1, ...changes });
    const held = await takeLock(file(), 'ppo');
    if ('release' in held) throw new Error('taken over');
    expect(describeHeld('run.folder run', held)).toBe(
      `run.folder run: is in use by instruct, process ${2 ** 22 + 1} on ${'host' in changes ? 'elsewhere' : hostname()}, since 2026-01-02T03:04:05.000Z; from here nobody can tell whether it still runs. Where it does not, remove ${file()} and run again.`,
    );
    expect(holderOf(file())).toEqual(held);
  });

  test.each([
    '',
    '{',
    'null',
    '{"pid": 1}',
    JSON.stringify({ ...owner(), nonce: '../../x' }),
  ])('that is damaged is refused with the file to remove: %j', async (text) => {
    writeFileSync(file(), text);
    const held = await takeLock(file(), 'ppo');
    if ('release' in held) throw new Error('taken over');
    expect(describeHeld('run.folder run', held)).toBe(
      `run.folder run: its lock ${file()} is damaged and does not tell whose it is. Where no program works there, remove that file and run again.`,
    );
    expect(readFileSync(file(), 'utf8')).toBe(text);
  });

  test('is taken by one of several processes that try at once, from nobody and from a killed owner', async () => {
    const { children, results } = await contenders(5);
    expect((await results()).sort()).toEqual(['lost', 'lost', 'lost', 'lost', 'won']);
    expect(holderOf(file())).toMatchObject({ owner: { work: 'contender' } });
    await kill(...children);
    expect(existsSync(file())).toBe(true);
    const again = await contenders(5);
    expect((await again.results()).sort()).toEqual(['lost', 'lost', 'lost', 'lost', 'won']);
    await kill(...again.children);
    expect(readdirSync(path()).filter((name) => !isOfLock(name, 'run.lock'))).toEqual([]);
  });
});

describe('makeAlone', () => {
  const alone = { work: 'import', say: () => undefined };

  test('refuses what another program is making, and gives the lock back after a failure', async () => {
    await makeAlone(path('new', 'a.arrow'), alone, async () => {
      expect(await problemsOf(() => makeAlone(path('new', 'a.arrow'), alone, async () => 1), path())).toEqual([
        expect.stringMatching(/^new\/a\.arrow: is in use by import, process \d+, since /),
      ]);
      expect(await makeAlone(path('new', 'b.arrow'), alone, async () => 2)).toBe(2);
    });
    await expect(makeAlone(path('new', 'a.arrow'), alone, () => Promise.reject(new RangeError('no')))).rejects.toThrow(
      RangeError,
    );
    expect(readdirSync(path('new'))).toEqual([]);
  });

  test('sweeps what killed programs left of this output, and says so', async () => {
    mkdirSync(path('.a.arrow.12-0123abcd.tmp'));
    writeFileSync(path('.a.arrow.12-0123abcd.tmp', 'part'), 'x'.repeat(1500));
    writeFileSync(path('.b.arrow.12-0123abcd.tmp'), 'another output');
    const said: string[] = [];
    await makeAlone(path('a.arrow'), { work: 'import', say: (line) => said.push(line) }, async () => undefined);
    expect(said).toEqual([`${path('a.arrow')}: removed 1 leftover of killed saves (1.5 kB)`]);
    expect(readdirSync(path())).toEqual(['.b.arrow.12-0123abcd.tmp']);
  });
});
