import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import type { FetchedModel, ModelDownload } from '../../src/hub/get-model.ts';
import { getModel } from '../../src/hub/get-model.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { COMMIT, type FakeHub, fakeHub } from './fake-hub.ts';

const inFolder = useTemporaryFolder();
const weights = randomBytes(3_000_000);
const files = new Map<string, Buffer>([
  ['config.json', Buffer.from('{"model_type": "gpt2"}')],
  ['tokenizer.json', Buffer.from('{}')],
  ['merges.txt', Buffer.alloc(0)],
  ['README.md', Buffer.from('# Tiny')],
  ['pytorch_model.bin', Buffer.from('never taken')],
  ['onnx/model.onnx', Buffer.from('never taken')],
  ['model.safetensors', weights],
]);
const taken = ['config.json', 'merges.txt', 'model.safetensors', 'source.json', 'tokenizer.json'];
const model = { repository: 'org/tiny', revision: 'main' };
const part = `model.safetensors.${createHash('sha256').update(weights).digest('hex').slice(0, 16)}.part`;

let fake: FakeHub;
let said: string[] = [];
beforeEach(async () => {
  fake = await fakeHub(files);
  said = [];
});
afterEach(() => fake.close());

function get(changes: Partial<ModelDownload> = {}): Promise<FetchedModel> {
  return getModel({
    ...{ hub: fake.hub, model, folder: inFolder('models', 'tiny'), signal: new AbortController().signal },
    ...{ say: (line) => said.push(line), begins: () => {}, received: () => {}, checkConfig: () => {} },
    ...changes,
  });
}
const problems = (changes: Partial<ModelDownload> = {}): Promise<string[]> =>
  problemsOf(() => get(changes), inFolder());
const later = 'Run this again later: what came so far is kept.';
const isStore = (path: string): boolean => path.startsWith('/store');
const expectWeights = (folder: string): void =>
  expect(readFileSync(`${folder}/model.safetensors`).equals(weights)).toBe(true);
/** Nothing half-done may stand under the name of the model. */
const expectNothing = (): void => expect(existsSync(inFolder('models', 'tiny'))).toBe(false);

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
    expect(fake.requests.some(({ path }) => /bin|onnx|README/.test(path))).toBe(false);
  });

  it('that is there already is checked and not fetched again; one that was changed is neither taken nor touched', async () => {
    await get();
    fake.requests.length = 0;
    expect(await get()).toMatchObject({ fetched: false });
    expect(fake.requests.map(({ path }) => path)).toEqual(['/api/models/org/tiny/revision/main?blobs=true']);
    writeFileSync(inFolder('models', 'tiny', 'model.safetensors'), weights.subarray(0, 100));
    expect(await problems()).toEqual([
      'models/tiny: was changed since it was fetched (model.safetensors is missing or different). ' +
        'It is not touched: choose another folder with --to, or remove it.',
    ]);
    fake.listing = (answer) => ({ ...answer, sha: COMMIT.replace('0', 'f') });
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
    expect(fake.requests).toEqual([]);
    mkdirSync(inFolder('empty'));
    expect(await get({ folder: inFolder('empty') })).toMatchObject({ fetched: true });
  });

  it('whose settings are refused is given up before its weights are asked for', async () => {
    const checkConfig = (path: string): void => {
      throw new CheckpointError(`${path}: model_type t5 is not known.`);
    };
    expect(await problems({ checkConfig })).toEqual(['org/tiny/config.json: model_type t5 is not known.']);
    expect(fake.requests.some(({ path }) => isStore(path))).toBe(false);
    expect(readdirSync(inFolder('models'))).toEqual([]);
  });

  it('is asked for with the token, which the store of large files never sees', async () => {
    await get({ hub: { ...fake.hub, token: 'hf_secret' } });
    for (const { path, authorization } of fake.requests) {
      expect(authorization, path).toBe(isStore(path) ? undefined : 'Bearer hf_secret');
    }
    expect(readFileSync(inFolder('models', 'tiny', 'source.json'), 'utf8')).not.toContain('hf_secret');
  });
});

describe('a download', () => {
  /** Ends the connection after some bytes of the weights, `times` times. */
  function breakOff(times: number, bytes: number): void {
    fake.intercept = (path, response, { headers }) => {
      if (!isStore(path) || times-- <= 0) return false;
      const from = Number(/\d+/.exec(headers.range ?? '')?.[0] ?? 0);
      const range = { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` };
      response.writeHead(from > 0 ? 206 : 200, { ...range, 'content-length': weights.length - from });
      response.write(weights.subarray(from, from + bytes), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
  }

  it('that breaks off goes on where it was, more often than there are waits as long as something comes', async () => {
    breakOff(5, 400_000);
    await get();
    expectWeights(inFolder('models', 'tiny'));
    const ranges = fake.requests.filter(({ path }) => isStore(path)).map(({ range }) => range);
    expect(ranges).toEqual([undefined, ...[1, 2, 3, 4, 5].map((i) => `bytes=${i * 400_000}-`)]);
    expect(said).toHaveLength(5);
    expect(said[0]).toMatch(/^model\.safetensors: .+; trying again in 0\.001 s$/);
  });

  it('that fails for good leaves what came beside the folder, and the next call fetches the rest', async () => {
    breakOff(1, 1_000_000);
    const first = fake.intercept;
    fake.intercept = (path, response, request) => {
      if (first(path, response, request)) return true;
      if (isStore(path)) response.writeHead(503).end();
      return isStore(path);
    };
    expect(await problems()).toEqual([
      `${fake.hub.endpoint}: model.safetensors could not be had (the server answered 503). ${later}`,
    ]);
    expectNothing();
    expect(readFileSync(inFolder('models', '.tiny.download', part)).equals(weights.subarray(0, 1_000_000))).toBe(true);
    fake.intercept = () => false;
    fake.requests.length = 0;
    const begins: number[][] = [];
    await get({ begins: (...numbers) => begins.push(numbers) });
    expect(begins).toEqual([[3_000_024, 1_000_024]]);
    expect(fake.requests.map(({ range }) => range)).toEqual([undefined, 'bytes=1000000-', 'bytes=1000000-']);
    expectWeights(inFolder('models', 'tiny'));
  });

  it('that is stopped keeps what came, and says nothing of the network', async () => {
    const stop = new AbortController();
    breakOff(9, 500_000);
    const received = (bytes: number): void => {
      if (bytes > 300_000) stop.abort(new Error('stopped'));
    };
    await expect(get({ signal: stop.signal, received })).rejects.toThrow('stopped');
    expectNothing();
    expect(said).toEqual([]);
    expect(readdirSync(inFolder('models', '.tiny.download'))).toContain(part);
    fake.intercept = () => false;
    expect(await get()).toMatchObject({ fetched: true });
    expectWeights(inFolder('models', 'tiny'));
  });

  it('begins anew where the server ignores ranges or has no rest, and ends where that never gets further', async () => {
    const scratch = inFolder('models', '.tiny.download');
    mkdirSync(scratch, { recursive: true });
    writeFileSync(`${scratch}/${part}`, weights.subarray(0, 1000));
    fake.intercept = (path, response) => {
      if (isStore(path)) response.end(weights);
      return isStore(path);
    };
    await get();
    expectWeights(inFolder('models', 'tiny'));

    const other = inFolder('.other.download');
    mkdirSync(other);
    writeFileSync(`${other}/${part}`, weights.subarray(0, 1000));
    fake.intercept = (path, response, { headers }) => {
      if (!isStore(path) || headers.range === undefined) return false;
      response.writeHead(416).end();
      return true;
    };
    await get({ folder: inFolder('other') });
    expectWeights(inFolder('other'));

    fake.intercept = (path, response) => {
      if (!isStore(path)) return false;
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, 700_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    const [problem] = await problems({ folder: inFolder('third') });
    expect(problem).toMatch(/model\.safetensors could not be had/);
    expect(existsSync(inFolder('third'))).toBe(false);
  });

  it('of damaged bytes is tried twice and then given up, keeping nothing', async () => {
    const damaged = Buffer.from(weights);
    damaged[1234] = (damaged[1234] as number) ^ 1;
    let times = 2;
    fake.intercept = (path, response) => {
      if (!isStore(path) || times-- <= 0) return false;
      response.end(damaged);
      return true;
    };
    const sha256 = createHash('sha256').update(weights).digest('hex');
    expect(await problems()).toEqual([
      `model.safetensors: came twice with another sha256 than the ${sha256} that ${fake.hub.endpoint} lists. ` +
        'Nothing of it was kept. A proxy or a mirror changes it: try another network or HF_ENDPOINT.',
    ]);
    expectNothing();
    expect(readdirSync(inFolder('models', '.tiny.download'))).not.toContain(part);
    times = 1;
    expect(await get()).toMatchObject({ fetched: true });
  });

  it('of small files is checked by git’s hash, and a wrong start of a file is found however it came', async () => {
    fake.intercept = (path, response) => {
      if (path.endsWith('/config.json')) response.end('{"model_type": "gpt3"}');
      return path.endsWith('/config.json');
    };
    expect((await problems())[0]).toMatch(/^config\.json: came twice with another git-sha1 than the [0-9a-f]{40} that/);
    fake.intercept = () => false;
    writeFileSync(inFolder('models', '.tiny.download', part), Buffer.alloc(1_000_000));
    await get();
    expectWeights(inFolder('models', 'tiny'));
  });

  it('of more bytes than listed, or of another range than asked for, is refused', async () => {
    fake.intercept = (path, response) => {
      if (isStore(path)) response.end(Buffer.concat([weights, weights]));
      return isStore(path);
    };
    expect(await problems()).toEqual(['model.safetensors: more than the 3000000 bytes came that the server lists.']);
    mkdirSync(inFolder('.x.download'));
    writeFileSync(inFolder('.x.download', part), weights.subarray(0, 5));
    fake.intercept = (path, response) => {
      if (isStore(path)) response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789');
      return isStore(path);
    };
    expect(await problems({ folder: inFolder('x') })).toEqual([
      'model.safetensors: asked for bytes 5 to 3000000, and the server answered 206 with bytes 0-9/10.',
    ]);
  });

  it('for which the disk has no room is refused before the weights are asked for', async () => {
    fake.listing = (answer) => {
      const last = answer.siblings.find(({ rfilename }) => rfilename === 'model.safetensors');
      Object.assign(last?.lfs as object, { size: 2 ** 52 });
      return answer;
    };
    const [problem] = await problems();
    expect(problem).toMatch(
      /^models: has [\d,]+ MB free; the files need 4,503,599,628 MB more\. Free some space, or choose a folder on another/,
    );
    expect(fake.requests.some(({ path }) => isStore(path))).toBe(false);
  });

  it('removes what an earlier commit left unfinished', async () => {
    const scratch = inFolder('models', '.tiny.download');
    mkdirSync(scratch, { recursive: true });
    writeFileSync(`${scratch}/model.safetensors.0000000000000000.part`, 'old');
    writeFileSync(`${scratch}/model.safetensors`, 'of another commit');
    await get();
    expect(readdirSync(inFolder('models', 'tiny')).sort()).toEqual(taken);
    expectWeights(inFolder('models', 'tiny'));
  });

  it('of a folder that someone makes meanwhile leaves it alone', async () => {
    const received = (): void => {
      mkdirSync(inFolder('models', 'tiny'), { recursive: true });
      writeFileSync(inFolder('models', 'tiny', 'notes.txt'), 'mine');
    };
    expect((await problems({ received }))[0]).toMatch(/^models\/tiny: could not be written \(ENOTEMPTY/);
    expect(readdirSync(inFolder('models', 'tiny'))).toEqual(['notes.txt']);
  });

  it('on which nothing comes for too long is given up and tried again', async () => {
    let times = 1;
    fake.intercept = (path) => isStore(path) && times-- > 0;
    await get({ hub: { ...fake.hub, stall: 200 } });
    expect(said).toEqual(['model.safetensors: nothing came for 0.2 s; trying again in 0.001 s']);
  });

  it('waits as long as a busy server asks for', async () => {
    let times = 1;
    fake.intercept = (path, response) => {
      if (!isStore(path) || times-- <= 0) return false;
      response.writeHead(429, { 'retry-after': '0.25' }).end();
      return true;
    };
    const start = performance.now();
    await get();
    expect(performance.now() - start).toBeGreaterThan(240);
    expect(said).toEqual(['model.safetensors: the server answered 429; trying again in 0.25 s']);
  });
});

describe('shards', () => {
  const index = (map: unknown): Buffer => Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }));
  const shards = new Map([...files].filter(([name]) => name !== 'model.safetensors'));
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;

  async function serve(map: unknown): Promise<void> {
    await fake.close();
    const text = typeof map === 'string' ? Buffer.from(map) : index(map);
    fake = await fakeHub(
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
    expect(fake.requests.some(({ path }) => isStore(path))).toBe(false);
    expectNothing();
  });

  it('that the repository lacks, or an index that is none, are refused', async () => {
    await serve({ a: names[0], b: 'model-3.safetensors' });
    expect((await problems())[0]).toBe(
      'org/tiny: model.safetensors.index.json names model-3.safetensors, which the repository lacks.',
    );
    await serve('{');
    expect((await problems())[0]).toMatch(/^org\/tiny: model\.safetensors\.index\.json is not JSON \(.+\)\.$/);
    for (const map of [undefined, null, [], {}, 'null']) {
      await serve(map);
      expect((await problems())[0]).toMatch(/index\.json: expected a weight_map of tensor names to file names\.$/);
    }
  });
});
