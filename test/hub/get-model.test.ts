import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { COMMIT, fakeHub } from './fake-hub.ts';
import { files, isStore, taken, useFetching, weights } from './fetching.ts';

const fetching = useFetching();
const { inFolder, get, problems, expectNothing } = fetching;

describe('a model', () => {
  it('is fetched whole, without pickles and whatever else is there, with a record of where it came from', async () => {
    const received: number[] = [];
    const begins: number[][] = [];
    const result = await get({
      received: (bytes) => received.push(bytes),
      begins: (...numbers) => begins.push(numbers),
      checkConfig: (path) => expect(readFileSync(path, 'utf8')).toBe('{"model_type": "gpt2"}'),
    });
    expect(result).toMatchObject({ commit: COMMIT, fetched: true });
    expect(readdirSync(inFolder('models'))).toEqual(['tiny']);
    expect(readdirSync(inFolder('models', 'tiny')).sort()).toEqual(taken);
    for (const name of result.files) {
      expect(readFileSync(inFolder('models', 'tiny', name)).equals(files.get(name)!), name).toBe(true);
    }
    const total = 22 + 2 + 3_000_000;
    expect(begins).toEqual([[total, 24]]);
    expect(received.at(-1)).toBe(total);
    expect(JSON.parse(readFileSync(inFolder('models', 'tiny', 'source.json'), 'utf8'))).toMatchObject({
      ...{ repository: 'org/tiny', revision: 'main', commit: COMMIT },
      // git hash-object of an empty file.
      files: { 'merges.txt': 'git-sha1:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' },
    });
    expect(fetching.fake.requests.some(({ path }) => /bin|onnx|README/.test(path))).toBe(false);
  });

  it('that is there already is checked and not fetched again; one that was changed is neither taken nor touched', async () => {
    await get();
    fetching.fake.requests.length = 0;
    expect(await get()).toMatchObject({ fetched: false });
    expect(fetching.fake.requests.map(({ path }) => path)).toEqual(['/api/models/org/tiny/revision/main?blobs=true']);
    writeFileSync(inFolder('models', 'tiny', 'model.safetensors'), weights.subarray(0, 100));
    expect(await problems()).toEqual([
      'models/tiny: was changed since it was fetched (model.safetensors is missing or different). ' +
        'It is not touched: choose another folder with --to, or remove it.',
    ]);
    fetching.fake.listing = (answer) => ({ ...answer, sha: COMMIT.replace('0', 'f') });
    expect(await problems()).toEqual([
      `models/tiny: holds org/tiny at ${COMMIT}; org/tiny@main is at ${COMMIT.replace('0', 'f')}. ` +
        'It is not touched: choose another folder with --to, or remove it.',
    ]);
    expect(readFileSync(inFolder('models', 'tiny', 'model.safetensors')).length).toBe(100);
  });

  it('never replaces what someone else made, nor asks the server for it; an empty folder is free', async () => {
    mkdirSync(inFolder('models', 'tiny'), { recursive: true });
    writeFileSync(inFolder('models', 'tiny', 'notes.txt'), 'mine');
    const refusal =
      'models/tiny: is there already and was not made by get-model. It is not touched: choose another folder with --to.';
    expect(await problems()).toEqual([refusal]);
    writeFileSync(inFolder('models', 'tiny', 'source.json'), 'not JSON');
    expect(await problems()).toEqual([refusal]);
    writeFileSync(inFolder('a-file'), 'mine');
    expect(await problems({ folder: inFolder('a-file') })).toEqual([refusal.replace('models/tiny', 'a-file')]);
    expect(fetching.fake.requests).toEqual([]);
    mkdirSync(inFolder('empty'));
    expect(await get({ folder: inFolder('empty') })).toMatchObject({ fetched: true });
  });

  it('whose settings are refused is given up before its weights are asked for', async () => {
    const checkConfig = (path: string): void => {
      throw new CheckpointError(`${path}: model_type t5 is not known.`);
    };
    expect(await problems({ checkConfig })).toEqual(['org/tiny/config.json: model_type t5 is not known.']);
    expect(fetching.fake.requests.some(({ path }) => isStore(path))).toBe(false);
    expect(readdirSync(inFolder('models'))).toEqual([]);
  });

  it('is asked for with the token, which the store of large files never sees', async () => {
    await get({ hub: { ...fetching.fake.hub, token: 'hf_secret' } });
    for (const { path, authorization } of fetching.fake.requests) {
      expect(authorization, path).toBe(isStore(path) ? undefined : 'Bearer hf_secret');
    }
    expect(readFileSync(inFolder('models', 'tiny', 'source.json'), 'utf8')).not.toContain('hf_secret');
  });
});

describe('shards', () => {
  const index = (map: unknown): Buffer => Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }));
  const shards = new Map([...files].filter(([name]) => name !== 'model.safetensors'));
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

  async function serve(map: unknown): Promise<void> {
    await fetching.fake.close();
    const text = typeof map === 'string' ? Buffer.from(map) : index(map);
    fetching.fake = await fakeHub(
      new Map([...shards, [names[0], weights], [names[1], Buffer.from('x')], ['model.safetensors.index.json', text]]),
    );
  }

  it('are fetched as the index names them, and checked when they are there already', async () => {
    await serve({ a: names[0], b: names[1], c: names[0] });
    expect((await get()).files.slice(-3)).toEqual(['model.safetensors.index.json', ...names]);
    expect(await get()).toMatchObject({ fetched: false });
  });

  it.each([
    ['../evil.safetensors'],
    ['/etc/evil.safetensors'],
    ['sub/evil.safetensors'],
    ['a\\evil.safetensors'],
    ['C:evil.safetensors'],
    ['.hidden.safetensors'],
    ['evil\0.safetensors'],
    ['evil.bin'],
    [7],
  ])('under the name %j are refused', async (name) => {
    await serve({ a: names[0], b: name });
    expect(await problems()).toEqual([
      `org/tiny: model.safetensors.index.json names ${JSON.stringify(name)}, which is no safetensors file beside it.`,
      'Take another revision or model.',
    ]);
    expect(fetching.fake.requests.some(({ path }) => isStore(path))).toBe(false);
    expectNothing();
  });

  it('that the repository lacks, or an index that is none, are refused', async () => {
    await serve({ a: names[0], b: 'model-3.safetensors' });
    expect((await problems())[0]).toBe(
      'org/tiny: model.safetensors.index.json names model-3.safetensors, which the repository lacks.',
    );
    await serve('{');
    expect((await problems())[0]).toMatch(
      /^org\/tiny: model\.safetensors\.index\.json: is not JSON \(.+\)\. Copy it again, or take another revision\.$/,
    );
    for (const map of [undefined, null, [], {}, 'null']) {
      await serve(map);
      expect((await problems())[0]).toMatch(
        /index\.json: expected a weight_map of tensor names to file names\. Copy it again, or take another revision\.$/,
      );
    }
  });
});
