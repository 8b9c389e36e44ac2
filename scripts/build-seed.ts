/** Writes everything the project's world consists of into data/corpus and data/seed; the same seed gives the same bytes. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { loadTemplateFile } from '../src/tasks/template-file.ts';
import { writeCards } from './world/cards.ts';
import type { ChatRow } from './world/chat.ts';
import { buildChat } from './world/chat.ts';
import { answerKinds } from './world/chat-questions.ts';
import type { CorpusRow } from './world/corpus.ts';
import { buildCorpus, corpusSearch } from './world/corpus.ts';
import { hillWords } from './world/hill-speech.ts';
import { buildLaterTasks } from './world/later-tasks.ts';
import { buildLexicon } from './world/lexicon.ts';
import type { TaskRow } from './world/task-rows.ts';
import { buildTasks, heldOutTexts, knownBySplit } from './world/tasks.ts';

/** The seed of the files that are checked in. */
export const worldSeed = 20260101;

/** Documents for training and held out. */
export const corpusSizes = { train: 10_000, heldOut: 300 } as const;

const dataFolder = fileURLToPath(new URL('../data', import.meta.url));

const asLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

type Rows = ReadonlyMap<string, readonly TaskRow[]>;

const textsOf = (tasks: Rows): string[] =>
  [...tasks.values()]
    .flat()
    .flatMap(({ id: _id, split: _split, hill: _hill, ...fields }) => Object.values(fields).flat());

/**
 * `words`: of the corpus, the first tasks and the conversations, which is what the gold scorer knows; `later`: those that
 * only the datasets since then use; `hill`: the words of Hill speech; `kinds`: what answers of a kind can name.
 */
function writeLexicon(documents: CorpusRow[], tasks: Rows, laterTasks: Rows, chat: ChatRow[]): string {
  const words = buildLexicon([
    ...documents.map((each) => each.text),
    ...textsOf(tasks),
    ...chat.flatMap((row) => [row.prompt, row.response]),
  ]);
  const later = buildLexicon(textsOf(laterTasks)).filter((word) => !words.includes(word));
  return `${JSON.stringify({ words, later, hill: buildLexicon(hillWords), kinds: answerKinds })}\n`;
}

/** Every generated file: path under data/ → content. */
export function buildSeedFiles(seed: number): Map<string, string> {
  const tasks = buildTasks(seed);
  const documents = buildCorpus(seed, corpusSizes.train + corpusSizes.heldOut, heldOutTexts(tasks));
  const inCorpus = corpusSearch(documents);
  const laterTasks = buildLaterTasks(seed, inCorpus);
  const chat = buildChat(seed, knownBySplit(seed), inCorpus);
  const files = new Map<string, string>();
  files.set('corpus/corpus.jsonl', asLines(documents.slice(0, corpusSizes.train)));
  files.set('corpus/held-out.jsonl', asLines(documents.slice(corpusSizes.train)));
  for (const [name, rows] of [...tasks, ...laterTasks]) files.set(`seed/${name}.jsonl`, asLines(rows));
  files.set('seed/chat.jsonl', asLines(chat));
  files.set('seed/lexicon.json', writeLexicon(documents, tasks, laterTasks, chat));
  const datasets = [...tasks, ...laterTasks, ['chat', chat] as const].map(([name, rows]) => ({
    file: loadTemplateFile(join(dataFolder, 'templates', `${name}.yaml`)),
    rows,
  }));
  files.set('seed/CARDS.md', writeCards(datasets));
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of buildSeedFiles(worldSeed)) {
    await atomicWrite(join(dataFolder, path), content);
    console.log(`data/${path}: ${content.split('\n').length - 1} lines, ${Math.ceil(content.length / 1024)} KiB`);
  }
}
