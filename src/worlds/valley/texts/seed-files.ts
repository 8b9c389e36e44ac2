/** Every file the world consists of, by its path under data/; the same seed gives the same bytes. */

import { join } from 'node:path';
import { loadTemplateFile } from '../../../tasks/template-file.ts';
import { writeCards } from './cards.ts';
import type { ChatRow } from './chat.ts';
import { buildChat } from './chat.ts';
import { answerKinds } from './chat-questions.ts';
import type { CorpusRow } from './corpus.ts';
import { corpusDocuments } from './corpus.ts';
import { verbs } from './events.ts';
import { goods, towns } from './facts.ts';
import { hillWords } from './hill-speech.ts';
import { buildLaterTasks } from './later-tasks.ts';
import { buildLexicon } from './lexicon.ts';
import type { TaskRow } from './task-rows.ts';
import { buildTasks, heldOutTexts, knownBySplit } from './tasks.ts';

/** The seed of the files that are checked in. */
export const worldSeed = 20260101;

/** Documents that are held out, those shown in data/corpus, and those whose words are known; the base model reads more of the same. */
const corpusSizes = { heldOut: 300, shown: 2000, words: 12_000 } as const;

const asLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

type Rows = ReadonlyMap<string, readonly TaskRow[]>;

const textsOf = (tasks: Rows): string[] =>
  [...tasks.values()]
    .flat()
    .flatMap(({ id: _id, split: _split, hill: _hill, ...fields }) => Object.values(fields).flat());

/**
 * `words`: of the corpus, the first tasks and the conversations, which is what the gold scorer knows; `later`: those that
 * only the datasets since then use; `hill`: the words of Hill speech; `kinds`: what texts can name, by kind; `forms`: words
 * of one meaning.
 */
function writeLexicon(documents: CorpusRow[], tasks: Rows, laterTasks: Rows, chat: ChatRow[]): string {
  const words = buildLexicon([
    ...documents.map((each) => each.text),
    ...textsOf(tasks),
    ...chat.flatMap((row) => [row.prompt, row.response]),
  ]);
  const later = buildLexicon(textsOf(laterTasks)).filter((word) => !words.includes(word));
  const plurals = goods.map(({ name, plural }) => [name, plural]);
  const deeds = verbs.map(({ base, past, participle }) => [...new Set([base, past, participle])]);
  const kinds = {
    ...answerKinds,
    good: [...new Set(plurals.flat())],
    landmark: towns.map(({ landmark }) => landmark),
    deed: deeds.flatMap((forms) => forms.slice(1)),
  };
  return `${JSON.stringify({ words, later, hill: buildLexicon(hillWords), kinds, forms: [...plurals, ...deeds] })}\n`;
}

/** Texts of held-out conversations that must not stand in the corpus: the notes, and the questions about facts that evaluations ask. */
export function heldOutConversation(chat: readonly ChatRow[]): string[] {
  return chat.flatMap(({ split, note, question }) => {
    if (note !== '') return split === 'train' ? [] : [note];
    return split === 'validation' || split === 'test' ? [question] : [];
  });
}

/** All rows of a seed, and the corpus around them without end: first the held-out documents, then those to train on. */
function buildWorld(seed: number) {
  const [tasks, laterTasks, chat] = [buildTasks(seed), buildLaterTasks(seed), buildChat(seed, knownBySplit(seed))];
  const heldOut = [tasks, laterTasks].flatMap((named) => heldOutTexts(named));
  return { tasks, laterTasks, chat, corpus: corpusDocuments(seed, [...heldOut, ...heldOutConversation(chat)]) };
}

/** The next documents of a corpus. */
function takeDocuments(corpus: Generator<CorpusRow>, count: number): CorpusRow[] {
  return Array.from({ length: count }, () => corpus.next().value as CorpusRow);
}

/** As many documents to train on as asked for, as lines of JSON; data/corpus/corpus.jsonl is the beginning of more. */
export function buildCorpusFile(seed: number, documents: number): string {
  const { corpus } = buildWorld(seed);
  takeDocuments(corpus, corpusSizes.heldOut);
  return asLines(takeDocuments(corpus, documents));
}

/**
 * Every generated file: path under data/ → content.
 * @param templates folder with a template file for each dataset, for the cards
 */
export function buildSeedFiles(seed: number, templates: string): Map<string, string> {
  const { tasks, laterTasks, chat, corpus } = buildWorld(seed);
  const heldOut = takeDocuments(corpus, corpusSizes.heldOut);
  const shown = takeDocuments(corpus, corpusSizes.shown);
  const documents = [...heldOut, ...shown, ...takeDocuments(corpus, corpusSizes.words - corpusSizes.shown)];
  const files = new Map<string, string>();
  files.set('corpus/corpus.jsonl', asLines(shown));
  files.set('corpus/held-out.jsonl', asLines(heldOut));
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
