/**
 * Writes everything the valley consists of.
 *
 *   npm run seed                           data/corpus (a part of the corpus) and data/seed
 *   npm run seed -- --documents 100000     data/build/corpus.jsonl: as many documents as the base model reads
 */

import { once } from 'node:events';
import { createWriteStream, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { atomicWrite } from '../src/files/atomic-write.ts';
import {
  buildSeedFiles,
  corpusSizes,
  seedCorpus,
  takeDocuments,
  worldSeed,
} from '../src/worlds/valley/texts/seed-files.ts';

const data = fileURLToPath(new URL('../data', import.meta.url));
const { values } = parseArgs({ options: { documents: { type: 'string' } } });

/** Writes the first training documents of the corpus. */
async function writeCorpus(count: number): Promise<void> {
  const path = join(data, 'build', 'corpus.jsonl');
  mkdirSync(join(data, 'build'), { recursive: true });
  const file = createWriteStream(`${path}.part`);
  const corpus = seedCorpus(worldSeed);
  takeDocuments(corpus, corpusSizes.heldOut);
  for (let done = 0; done < count; done += 1000) {
    const lines = takeDocuments(corpus, Math.min(1000, count - done)).map((row) => `${JSON.stringify(row)}\n`);
    if (!file.write(lines.join(''))) await once(file, 'drain');
  }
  file.end();
  await finished(file);
  renameSync(`${path}.part`, path);
  console.log(`data/build/corpus.jsonl: ${count} documents`);
}

if (values.documents === undefined) {
  for (const [path, content] of buildSeedFiles(worldSeed, join(data, 'templates'))) {
    await atomicWrite(join(data, path), content);
    console.log(`data/${path}: ${content.split('\n').length - 1} lines, ${Math.ceil(content.length / 1024)} KiB`);
  }
} else {
  const count = Number(values.documents);
  if (!Number.isInteger(count) || count < 1) {
    console.error(`--documents: expected a number of documents, received ${values.documents}.`);
    process.exitCode = 1;
  } else await writeCorpus(count);
}
