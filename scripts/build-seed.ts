/** Writes everything the project's world consists of into data/corpus and data/seed; the same seed gives the same bytes. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { buildChat } from './world/chat.ts';
import { answerKinds } from './world/chat-questions.ts';
import { buildCorpus } from './world/corpus.ts';
import { buildLexicon } from './world/lexicon.ts';
import { buildTasks, heldOutTexts, knownBySplit } from './world/tasks.ts';

/** The seed of the files that are checked in. */
export const worldSeed = 20260101;

/** Documents for training and held out. */
export const corpusSizes = { train: 10_000, heldOut: 300 } as const;

const asLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** Every generated file: path under data/ → content. */
export function buildSeedFiles(seed: number): Map<string, string> {
  const tasks = buildTasks(seed);
  const chat = buildChat(seed, knownBySplit(seed));
  const documents = buildCorpus(seed, corpusSizes.train + corpusSizes.heldOut, [
    ...heldOutTexts(tasks),
    ...chat.filter((row) => row.split !== 'train' && row.note !== '').map((row) => row.note),
  ]);
  const files = new Map<string, string>();
  files.set('corpus/corpus.jsonl', asLines(documents.slice(0, corpusSizes.train)));
  files.set('corpus/held-out.jsonl', asLines(documents.slice(corpusSizes.train)));
  for (const [name, rows] of tasks) files.set(`seed/${name}.jsonl`, asLines(rows));
  files.set('seed/chat.jsonl', asLines(chat));
  const texts = [
    ...documents.map((each) => each.text),
    ...[...tasks.values()].flat().flatMap(({ id: _id, split: _split, ...fields }) => Object.values(fields).flat()),
    ...chat.flatMap((row) => [row.prompt, row.response]),
  ];
  files.set('seed/lexicon.json', `${JSON.stringify({ words: buildLexicon(texts), kinds: answerKinds })}\n`);
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const data = fileURLToPath(new URL('../data', import.meta.url));
  for (const [path, content] of buildSeedFiles(worldSeed)) {
    await atomicWrite(join(data, path), content);
    console.log(`data/${path}: ${content.split('\n').length - 1} lines, ${Math.ceil(content.length / 1024)} KiB`);
  }
}
