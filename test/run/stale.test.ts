import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openParent } from '../../src/run/parents.ts';
import { openRunFolder } from '../../src/run/run-folder.ts';
import { staleProblems } from '../../src/run/stale.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const lane = { name: 'cpu', device: 'cpu', versions: {} };

/** A plain model folder with made-up weights. */
function writeModel(folder: string, weights: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json']) writeFileSync(join(folder, name), name);
  writeFileSync(join(folder, 'model.safetensors'), weights);
}
const config = (changes = {}) => ({
  run: { folder: path('run') },
  model: path('base'),
  data: { tables: path('seed'), heldOut: path('seed') },
  tokenizer: path('base'),
  ...changes,
});
const problems = async (changes = {}): Promise<string[]> =>
  (await staleProblems(path('run'), config(changes))).map((line) => line.replaceAll(`${path()}/`, ''));
const changed = /^(\w+) ([\w/.]+): is not what run was made from; expected sha256:\w{12}…, received sha256:\w{12}…\.$/;

describe('staleProblems', () => {
  beforeEach(async () => {
    writeModel(path('base'), 'weights');
    writeFileSync(path('seed'), 'rows');
    const request = {
      stage: 'instruct',
      config: config(),
      seed: 1,
      resume: false,
      rules: { paths: [], free: [], splits: [], variants: [], lengths: [] },
    };
    const folder = await openRunFolder(path('run'), request, lane);
    await folder.recordParent('model', await openParent(path('base'), { role: 'model' }));
    await folder.recordInput('tables', path('seed'));
    await folder.recordInput('tokenizer', path('base', 'tokenizer.json'));
    await folder.finish('finished');
  });

  test('finds nothing where everything is as it was, or where there is no finished run', async () => {
    expect(await problems()).toEqual([]);
    expect(await staleProblems(path('nowhere'), config())).toEqual([]);
  });

  test('names a parent, an input and a file of a folder whose content has changed', async () => {
    writeModel(path('base'), 'other');
    expect((await problems()).map((line) => changed.exec(line)?.slice(1))).toEqual([['model', 'base']]);
    writeFileSync(path('seed'), 'more');
    writeFileSync(path('base', 'tokenizer.json'), 'changed');
    expect((await problems()).map((line) => changed.exec(line)?.slice(1))).toEqual([
      ['tables', 'seed'],
      ['tokenizer', 'base/tokenizer.json'],
      ['model', 'base'],
    ]);
  });

  test('names what is gone', async () => {
    rmSync(path('seed'));
    rmSync(path('base'), { recursive: true });
    expect(await problems()).toEqual([
      'tables seed: there is no such file or folder. Correct the path.',
      'tokenizer base/tokenizer.json: there is no such file or folder. Correct the path.',
      'model base: there is no such folder. Run the stage that makes it, or correct the path.',
    ]);
  });

  test('looks where the configuration of now points, for every key that named the path', async () => {
    renameSync(path('base'), path('moved'));
    expect(await problems({ model: path('moved'), tokenizer: path('moved') })).toEqual([]);
    writeFileSync(path('other'), 'more');
    const data = { tables: path('seed'), heldOut: path('other') };
    const found = await problems({ model: path('moved'), tokenizer: path('moved'), data });
    expect(found.map((line) => changed.exec(line)?.slice(1))).toEqual([['tables', 'other']]);
  });
});
