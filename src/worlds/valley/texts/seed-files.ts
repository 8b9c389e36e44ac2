/** Every file the world consists of, by its path under data/; the same seed gives the same bytes. */

import { join } from 'node:path';
import { loadTemplateFile } from '../../../tasks/template-file.ts';
import { writeCards } from './cards.ts';
import type { ChatRow } from './chat.ts';
import { buildChat } from './chat.ts';
import { answerKinds } from './chat-questions.ts';
import type { CorpusRow } from './corpus.ts';
import { buildCorpus, corpusSearch } from './corpus.ts';
import { hillWords } from './hill-speech.ts';
import { buildLaterTasks } from './later-tasks.ts';
import { buildLexicon } from './lexicon.ts';
import type { TaskRow } from './task-rows.ts';
import { buildTasks, heldOutTexts, knownBySplit } from './tasks.ts';

/** The seed of the files that are checked in. */
export const worldSeed = 20260101;

/** Documents for training and held out. */
const corpusSizes = { train: 10_000, heldOut: 300 } as const;

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

/**
 * Every generated file: path under data/ → content.
 * @param templates folder with a template file for each dataset, for the cards
 */
export function buildSeedFiles(seed: number, templates: string): Map<string, string> {
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
    file: loadTemplateFile(join(templates, `${name}.yaml`)),
    rows,
  }));
  files.set('seed/CARDS.md', writeCards(datasets));
  return files;
}
