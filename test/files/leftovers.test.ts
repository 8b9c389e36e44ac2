import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeSwept, sweepLeftovers } from '../../src/files/leftovers.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();

describe('sweepLeftovers', () => {
  test('removes what atomic writes leave, and nothing that a user may have made', () => {
    const kept = ['.hidden.tmp', '.step.12-0123.tmp', 'notes.12-0123abcd.tmp', '.x.12-0123abcd.tmp~', '.git', 'best'];
    for (const name of kept) writeFileSync(path(name), 'mine');
    mkdirSync(path('.step-000003.99-0123abcd.tmp', 'deep'), { recursive: true });
    writeFileSync(path('.step-000003.99-0123abcd.tmp', 'deep', 'model.safetensors'), 'x'.repeat(2_000_000));
    writeFileSync(path('.manifest.json.7-ffffffff.tmp'), '{');
    const swept = sweepLeftovers([path(), path('nowhere')]);
    expect(swept).toEqual({ count: 2, bytes: 2_000_001, restored: [] });
    expect(describeSwept('run', swept)).toBe('run: removed 2 leftovers of killed saves (2.0 MB)');
    expect(readdirSync(path()).sort()).toEqual(kept.sort());
    expect(describeSwept('run', sweepLeftovers([path()]))).toBeUndefined();
  });

  test('gives a folder its name back that was being replaced, and removes it where the new one is there', () => {
    mkdirSync(path('.best.7-0123abcd.old'));
    writeFileSync(path('.best.7-0123abcd.old', 'config.json'), 'old');
    const swept = sweepLeftovers([path()]);
    expect(describeSwept('run', swept)).toBe('run: put best back, which was being replaced');
    expect(readFileSync(path('best', 'config.json'), 'utf8')).toBe('old');
    mkdirSync(path('.best.7-76543210.old'));
    expect(sweepLeftovers([path()])).toMatchObject({ count: 1, restored: [] });
    expect(readdirSync(path())).toEqual(['best']);
  });
});

test('a program that ends in the middle of a write leaves nothing', () => {
  const module = new URL('../../src/files/atomic-write.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then(({ atomicFolder }) => atomicFolder(process.argv[1], (folder) => {
    require('node:fs').writeFileSync(folder + '/part', 'x'); console.log(require('node:fs').readdirSync(process.argv[2]).length);
    process.exit(3); }));`;
  const ended = spawnSync(process.execPath, ['--import', 'tsx', '-e', code, path('out'), path()], { encoding: 'utf8' });
  expect({ status: ended.status, output: ended.stdout }).toEqual({ status: 3, output: '1\n' });
  expect(readdirSync(path())).toEqual([]);
});
