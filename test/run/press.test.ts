/** Ctrl-C on a real terminal, however a run was started. Many presses: scripts/proof/press.ts. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { judge, startCommand } from '../../scripts/proof/press.ts';
import { inTerminal, noTerminals } from '../../scripts/proof/terminal.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { pretrainSettings } from '../helpers/tiny-configs.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest } from '../helpers/use-lane.ts';

const path = useSharedFolder();
const root = fileURLToPath(new URL('../../', import.meta.url));
const missing = noTerminals();
if (missing !== undefined && process.env.CI !== 'true') console.warn(`press.test.ts is SKIPPED: ${missing}.`);
const terminals = describe.skipIf(missing !== undefined && process.env.CI !== 'true');

/** A program of a few lines that is a stage: it counts. */
function counting(name: string, ...settings: string[]): { given: string; folder: string } {
  const folder = path(name);
  writeFileSync(path(`${name}.yaml`), `run: {folder: ${folder}}\n`);
  return { given: ['test/run/tiny-stage.ts', path(`${name}.yaml`), ...settings].join(' '), folder };
}

terminals('one press of Ctrl-C', () => {
  beforeAll(async () => {
    mkdirSync(path('world'));
    const world = await makeTinyWorld(path('world'));
    // One document each: the cpu lane is slow.
    for (const file of [world.corpus, world.heldOut])
      writeFileSync(file, readFileSync(file, 'utf8').split('\n')[0] ?? '');
    const training = { steps: 1_000_000, rows: 2, length: 32 };
    const settings = pretrainSettings(world, 'set below', { training });
    writeFileSync(path('pretrain.yaml'), JSON.stringify(settings));
  });
  const starts = ['npx', 'npm', 'node'] as const;
  const cases = [...new Set([...lanesToTest(), 'wasm', 'cpu'])].map(
    (lane, i) => [lane, starts[i % 3] ?? 'node'] as const,
  );

  it.each(cases)('saves on the %s lane, started by %s, and says how to go on', async (lane, start) => {
    const folder = path(lane);
    const given = [path('pretrain.yaml'), `runtime.backend=${lane}`, `run.folder=${folder}`];
    const command = startCommand(start, 'pretrain', given);
    const seen = await inTerminal({
      command,
      ready: 'pretrain  ',
      delaySeconds: 0.4,
      watch: `${folder}/manifest.json`,
    });
    const { problems, command: next } = judge(seen, folder);
    expect(problems, seen.output).toEqual([]);
    expect(next).toBe(`node --import tsx stages/0-pretrain.ts ${given.join(' ')} --resume`);
  });

  it('ends a run at once that has made no step, and the same command starts it anew', async () => {
    const { given, folder } = counting('early', 'steps=2', 'prepareMs=5000');
    const command = `npx tsx ${given}`;
    const watch = `${folder}/manifest.json`;
    const seen = await inTerminal({ command, ready: 'preparing', delaySeconds: 0, watch });
    expect(seen).toMatchObject({ promptBack: true, status: 130, cursorShown: true });
    expect(seen.output).toContain(
      'stopped before the first step; nothing was lost. Start it again with the same command.',
    );
    expect(JSON.parse(seen.watched ?? '')).toMatchObject({ status: 'interrupted' });
    expect(readdirSync(folder).sort()).toEqual(['config.yaml', 'manifest.json']);
    const { status } = spawnSync(process.execPath, ['--import', 'tsx', ...given.split(' ')], { cwd: root });
    expect(status).toBe(0);
  });

  it('saves when the terminal is closed instead', async () => {
    const { given, folder } = counting('closed', 'steps=100000', 'pauseMs=50');
    await inTerminal({ command: `node --import tsx ${given}`, ready: 'counting', delaySeconds: 0.2, hangUp: true });
    while (readManifest(folder)?.status === 'running') await sleep(50);
    expect(readManifest(folder)?.status).toBe('interrupted');
    while (readdirSync(folder).includes('run.lock')) await sleep(20);
  });

  it('saves where its output goes through a program that the press ends', async () => {
    const { given, folder } = counting('piped', 'steps=100000', 'pauseMs=50');
    const command = `node --import tsx ${given} | cat`;
    const watch = `${folder}/manifest.json`;
    await inTerminal({ command, ready: 'counting', delaySeconds: 0.2, watch });
    while (readManifest(folder)?.status === 'running') await sleep(50);
    expect(readManifest(folder)?.status).toBe('interrupted');
  });
});

terminals('the second press', () => {
  it('ends the program at once, with the cursor shown', async () => {
    const { given, folder } = counting('twice', 'steps=2', 'pauseMs=600000');
    const watch = `${folder}/manifest.json`;
    const command = `npx tsx ${given}`;
    const seen = await inTerminal({ command, ready: 'counting', delaySeconds: 0.3, presses: [0, 1.5], watch });
    expect(seen).toMatchObject({ promptBack: true, status: 130, cursorShown: true });
    expect(JSON.parse(readFileSync(watch, 'utf8'))).toMatchObject({ status: 'running' });
    expect(readdirSync(folder).filter((name) => /^\.|run\.lock/.test(name))).toEqual([]);
  });
});
