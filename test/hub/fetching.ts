/** A small model on a fake hub, fetched into a folder of the test. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect } from 'vitest';
import type { FetchedModel, ModelDownload } from '../../src/hub/get-model.ts';
import { getModel } from '../../src/hub/get-model.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { type FakeHub, fakeHub } from './fake-hub.ts';

export const weights = randomBytes(3_000_000);
export const files = new Map<string, Buffer>([
  ['config.json', Buffer.from('{"model_type": "gpt2"}')],
  ['tokenizer.json', Buffer.from('{}')],
  ['merges.txt', Buffer.alloc(0)],
  ['README.md', Buffer.from('# Tiny')],
  ['pytorch_model.bin', Buffer.from('never taken')],
  ['onnx/model.onnx', Buffer.from('never taken')],
  ['model.safetensors', weights],
]);
/** What is in the folder afterwards. */
export const taken = ['config.json', 'merges.txt', 'model.safetensors', 'source.json', 'tokenizer.json'];
/** The unfinished weights. */
export const part = `model.safetensors.${createHash('sha256').update(weights).digest('hex').slice(0, 16)}.part`;

export const isStore = (path: string): boolean => path.startsWith('/store');

export function expectWeights(folder: string): void {
  expect(readFileSync(`${folder}/model.safetensors`).equals(weights)).toBe(true);
}

/** What a test of fetching needs; `fake` and `said` are those of the test that runs. */
export interface Fetching {
  fake: FakeHub;
  readonly said: string[];
  readonly inFolder: (...parts: string[]) => string;
  readonly get: (changes?: Partial<ModelDownload>) => Promise<FetchedModel>;
  readonly problems: (changes?: Partial<ModelDownload>) => Promise<string[]>;
  /** Nothing half-done may stand under the name of the model. */
  readonly expectNothing: () => void;
}

/** Call at the top of a test file: every test has a hub of its own. */
export function useFetching(): Fetching {
  const inFolder = useTemporaryFolder();
  const said: string[] = [];
  const get = (changes: Partial<ModelDownload> = {}): Promise<FetchedModel> =>
    getModel({
      ...{
        hub: self.fake.hub,
        model: { repository: 'org/tiny', revision: 'main' },
        folder: inFolder('models', 'tiny'),
      },
      ...{ signal: new AbortController().signal, say: (line) => said.push(line) },
      ...{ begins: () => {}, received: () => {}, checkConfig: () => {} },
      ...changes,
    });
  const self: Fetching = {
    // Replaced before each test.
    fake: undefined as unknown as FakeHub,
    ...{ said, inFolder, get },
    problems: (changes) => problemsOf(() => get(changes), inFolder()),
    expectNothing: () => expect(existsSync(inFolder('models', 'tiny'))).toBe(false),
  };
  beforeEach(async () => {
    self.fake = await fakeHub(files);
    said.length = 0;
  });
  afterEach(() => self.fake.close());
  return self;
}
