import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { chooseFiles } from '../../src/hub/choose-files.ts';
import { getModel } from '../../src/hub/get-model.ts';
import { listModel, readListing } from '../../src/hub/listing.ts';
import { UnreachableError } from '../../src/hub/request.ts';
import type { Hub } from '../../src/hub/source.ts';
import { hubFrom, parseModelName } from '../../src/hub/source.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { COMMIT, type FakeHub, fakeHub } from './fake-hub.ts';

const inFolder = useTemporaryFolder();
let fake: FakeHub;
beforeEach(async () => {
  fake = await fakeHub(new Map([['config.json', Buffer.from('{}')]]));
});
afterEach(() => fake.close());

const model = { repository: 'org/tiny', revision: 'main' };
const asking = (hub: Hub = fake.hub) => ({ hub, model, signal: new AbortController().signal, say: () => {} });

describe('a name', () => {
  it.each([
    ['gpt2', 'gpt2', 'main'],
    ['HuggingFaceTB/SmolLM2-135M', 'HuggingFaceTB/SmolLM2-135M', 'main'],
    ['facebook/opt-125m@refs/pr/11', 'facebook/opt-125m', 'refs/pr/11'],
    ['a/b.c_d@v1.0', 'a/b.c_d', 'v1.0'],
  ])('%s is read', (text, repository, revision) => {
    expect(parseModelName(text)).toEqual({ repository, revision });
  });

  // The names that huggingface_hub's validate_repo_id refuses, and others.
  it.each([
    '',
    '/a',
    'a/',
    'a/b/c',
    '../a',
    'a/..',
    '.a',
    '-a/b',
    'a-',
    'a--b',
    'a..b',
    'a.git',
    'a b',
    'a\0',
    'x'.repeat(97),
  ])('%j is refused', async (text) => {
    expect(await problemsOf(() => parseModelName(text), inFolder())).toEqual([
      `model ${JSON.stringify(text)}: is no name of a repository; expected org/name, e.g. HuggingFaceTB/SmolLM2-135M.`,
    ]);
  });

  it.each(['', '../../x', 'a b', '-x', 'a..b'])('with the revision %j is refused', async (revision) => {
    expect(await problemsOf(() => parseModelName(`a/b@${revision}`), inFolder())).toEqual([
      `revision ${JSON.stringify(revision)}: expected a branch, a tag, a commit or refs/pr/<number> after the "@".`,
    ]);
  });
});

describe('the environment', () => {
  it('names the hub and the token', () => {
    expect(hubFrom({})).toMatchObject({ endpoint: 'https://huggingface.co', token: undefined });
    expect(hubFrom({ HF_ENDPOINT: ' http://mirror:8080/hub// ', HF_TOKEN: ' hf_x\n' })).toMatchObject({
      ...{ endpoint: 'http://mirror:8080/hub', token: 'hf_x' },
    });
    expect(hubFrom({ HF_ENDPOINT: '', HF_TOKEN: '' })).toMatchObject({
      endpoint: 'https://huggingface.co',
      token: undefined,
    });
  });

  it('is refused where it cannot be one, without showing the token', async () => {
    const problems = await problemsOf(() => hubFrom({ HF_ENDPOINT: 'file:///etc', HF_TOKEN: 'se cret' }), inFolder());
    expect(problems).toEqual([
      'HF_ENDPOINT: expected an address such as https://huggingface.co, received "file:///etc".',
      'HF_TOKEN: holds characters that no token has. Copy it again from the settings of your account.',
    ]);
    expect(await problemsOf(() => hubFrom({ HF_ENDPOINT: 'mirror' }), inFolder())).toHaveLength(1);
  });
});

describe('an answer', () => {
  const token = 'make a token in the settings of your account and set HF_TOKEN to it';
  it.each([
    [401, '', false, `does not exist on <hub>, or is private (401). Check the name; where it is private, ${token}.`],
    [401, '', true, 'the token in HF_TOKEN is not accepted (401). Make a new one, or unset HF_TOKEN.'],
    [
      401,
      'GatedRepo',
      false,
      `is gated (401): its owners ask you to accept their terms on <hub>/org/tiny first. Then ${token}.`,
    ],
    [
      ...([403, 'GatedRepo', true] as const),
      'is gated (403): its owners ask you to accept their terms on <hub>/org/tiny first. HF_TOKEN must belong to the account that did.',
    ],
    [403, '', false, `may not be read without a token (403). Where you have access to it, ${token}.`],
    [
      403,
      '',
      true,
      'the token in HF_TOKEN may not read it (403). Ask for access on <hub>/org/tiny, or allow the token to read it.',
    ],
    [
      404,
      'RepoNotFound',
      true,
      'does not exist on <hub> (404). Check the name; capitals count. A private model needs HF_TOKEN.',
    ],
    [404, 'RevisionNotFound', false, 'has no revision "main". Look for branches and tags on <hub>/org/tiny/tree/main.'],
    [404, 'EntryNotFound', false, 'lists a file that it does not have (/api/models/org/tiny/revision/main).'],
    [400, '', false, 'the server answered 400 (Bad Request).'],
  ])('of status %i %s (with a token: %s) says what to do, at once', async (status, code, hasToken, expected) => {
    fake.intercept = (_, response) => {
      response.writeHead(status, code === '' ? {} : { 'x-error-code': code }).end('{}');
      return true;
    };
    const hub = { ...fake.hub, token: hasToken ? 'hf_secret' : undefined };
    const [problem, ...more] = await problemsOf(() => listModel(asking(hub)), inFolder());
    expect(problem).toBe(`org/tiny: ${expected.replace('<hub>', fake.hub.endpoint)}`);
    expect(more).toEqual([]);
    expect(fake.requests).toHaveLength(1);
  });

  it('of a busy server is waited for, and then given up', async () => {
    let times = 2;
    fake.intercept = (_, response) => {
      if (times-- <= 0) return false;
      response.writeHead(502).end();
      return true;
    };
    expect((await listModel(asking())).commit).toBe(COMMIT);
    times = 3;
    await expect(listModel(asking())).rejects.toThrow(UnreachableError);
  });

  it('from nobody says which files to put where', async () => {
    const { hub } = fake;
    await fake.close();
    const download = { begins: () => {}, received: () => {}, checkConfig: () => {}, folder: inFolder('tiny') };
    const problems = await problemsOf(() => getModel({ ...asking(hub), ...download }), inFolder());
    expect(problems[0]).toBe(
      `${hub.endpoint}: the list of files of org/tiny could not be had (ECONNREFUSED). Run this again later: what came so far is kept.`,
    );
    const text = problems.join('\n');
    expect(text).toContain('and put into tiny\n');
    expect(text).toContain('  hf download org/tiny --revision main --local-dir tiny ');
    for (const name of ['config.json', 'model.safetensors.index.json', 'tokenizer.json', 'vocab.json', 'merges.txt']) {
      expect(text).toContain(name);
    }
    fake = await fakeHub(new Map());
  });
});

describe('a list of files', () => {
  const blob = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391';
  const read = (siblings: unknown, sha: unknown = COMMIT): Promise<string[]> =>
    problemsOf(() => readListing(JSON.stringify({ sha, siblings }), 'hub'), inFolder());
  const end = 'Do not trust this server, or check HF_ENDPOINT.';

  it.each([
    '../x',
    '/etc/passwd',
    'a/../../x',
    'a//b',
    './a',
    'a\\..\\b',
    'C:\\x',
    'c:x',
    'a\0b',
    'a\nb',
    '',
    7,
    null,
  ])('with the name %j is refused', async (rfilename) => {
    expect(await read([{ rfilename, size: 0, blobId: blob }])).toEqual([
      `hub: ${JSON.stringify(rfilename)} is no name of a file in a repository.`,
      end,
    ]);
  });

  it('is refused for everything that is wrong with it at once', async () => {
    const a = { rfilename: 'a', size: 0, blobId: blob };
    expect(
      await read(
        [
          a,
          a,
          { ...a, rfilename: 'b', size: -1 },
          { ...a, rfilename: 'c', blobId: 'x' },
          { rfilename: 'd', size: 1 },
          { ...a, rfilename: 'e', lfs: { sha256: blob, size: 1 } },
          null,
        ],
        'main',
      ),
    ).toEqual([
      'hub: sha: expected the 40 hex digits of a commit, received "main".',
      'hub: names "a" twice.',
      'hub: "b": size: expected a number of bytes, received -1.',
      'hub: "c": git-sha1: expected 40 hex digits, received "x".',
      'hub: "d": git-sha1: expected 40 hex digits, received nothing.',
      `hub: "e": sha256: expected 64 hex digits, received "${blob}".`,
      'hub: nothing is no name of a file in a repository.',
      end,
    ]);
    expect(await read({})).toEqual(['hub: siblings: expected a list, received {}.', end]);
    expect(await problemsOf(() => readListing('null', 'hub'), inFolder())).toHaveLength(3);
    const [problem] = await problemsOf(() => readListing('<html>log in</html>', 'hub'), inFolder());
    expect(problem).toMatch(
      /^hub: is not JSON \(.+\)\. Check HF_ENDPOINT, and whether a proxy or a login page answers/,
    );
  });

  it('of any content is read or refused', () => {
    const keys = fc.constantFrom('rfilename', 'size', 'blobId', 'lfs', 'sha256', '__proto__');
    const value = fc.oneof(fc.jsonValue(), fc.constant(blob), fc.nat());
    const sibling = fc.oneof(fc.dictionary(keys, value), fc.jsonValue());
    fc.assert(
      fc.property(fc.array(sibling), fc.constantFrom(COMMIT, 'x', 3), (siblings, sha) => {
        try {
          const { files } = readListing(JSON.stringify({ sha, siblings }), 'hub');
          for (const { size, hash } of files.values()) expect(size >= 0 && hash.digits.length >= 40).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});

describe('a repository', () => {
  const choose = (...names: string[]): Promise<string[]> => {
    const hash = { kind: 'sha256', digits: '0' } as const;
    const listing = { commit: COMMIT, files: new Map(names.map((name) => [name, { name, size: 1, hash }])) };
    return problemsOf(() => chooseFiles(listing, model, 'hub/org/tiny'), inFolder());
  };

  it('that lacks what a model needs is refused for all of it', async () => {
    expect(await choose('README.md', 'tokenizer.model')).toEqual([
      'org/tiny: has no config.json at main; expected a transformers model.',
      "org/tiny: has no model.safetensors and no model.safetensors.index.json; expected a model's weights.",
      'org/tiny: expected tokenizer.json, or vocab.json and merges.txt, received a SentencePiece tokenizer.model only. ' +
        'Load the tokenizer with transformers (AutoTokenizer) and save it: that writes tokenizer.json.',
    ]);
    expect(await choose('config.json', 'model.safetensors', 'vocab.json')).toHaveLength(1);
    expect(await choose('config.json', 'model.safetensors', 'vocab.json', 'merges.txt')).toEqual([]);
    expect(await choose('adapter_config.json', 'adapter_model.safetensors')).toEqual([
      'org/tiny: holds an adapter, not a model. Take the model that its adapter_config.json names.',
    ]);
  });

  it.each([
    'pytorch_model.bin',
    'pytorch_model-00001-of-00002.bin',
    'pytorch_model.bin.index.json',
  ])('with pickled weights only (%s) says how to convert them', async (name) => {
    expect(await choose('config.json', 'tokenizer.json', name)).toEqual([
      `org/tiny: has its weights as ${name} only. Such files can run code when they are read, so they are not taken. ` +
        'Look at hub/org/tiny/discussions for a pull request that adds model.safetensors and name it (org/tiny@refs/pr/<number>), ' +
        'or save the model as safetensors with transformers (from_pretrained, then save_pretrained).',
    ]);
  });
});
