/** The checked-in world: made by the script as it stands, closed, balanced, and without leaks. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ChatRow } from '../../../../src/worlds/valley/texts/chat.ts';
import type { CorpusRow } from '../../../../src/worlds/valley/texts/corpus.ts';
import { documentWords } from '../../../../src/worlds/valley/texts/corpus.ts';
import { documentKinds } from '../../../../src/worlds/valley/texts/corpus-kinds.ts';
import { countWords } from '../../../../src/worlds/valley/texts/language.ts';
import { buildSeedFiles, heldOutConversation, worldSeed } from '../../../../src/worlds/valley/texts/seed-files.ts';
import type { TaskRow } from '../../../../src/worlds/valley/texts/task-rows.ts';
import { splits } from '../../../../src/worlds/valley/texts/task-rows.ts';
import { heldOutTexts, knownBySplit } from '../../../../src/worlds/valley/texts/tasks.ts';

const taskNames = [
  'person_town',
  'person_trade',
  'good_price',
  'cheaper',
  'total_price',
  'note_who',
  'note_what',
  'note_entailment',
  'same_meaning',
  'review_sentiment',
  'message_mood',
  'note_topic',
  'record_to_sentence',
];
/** The column of each later dataset whose text is new in every row. */
const laterTexts: Record<string, string> = {
  note_where: 'note',
  note_when: 'note',
  note_inference: 'note',
  note_headline: 'note',
  who_is_it: 'sentence',
  what_to_take: 'situation',
  count_things: 'story',
  hill_speech: 'english',
  number_words: 'digits',
  mend_sentence: 'mended',
  right_sentence: 'answer',
  talk_note: 'note',
  shop_talk: 'note',
};
/** The datasets that the default chain does not train on. */
const laterNames = [
  'note_where',
  'note_when',
  'note_inference',
  'note_headline',
  'who_is_it',
  'what_to_take',
  'count_things',
  'hill_speech',
  'number_words',
  'mend_sentence',
  'right_sentence',
  'talk_note',
  'shop_talk',
];
const allNames = [...taskNames, ...laterNames];
const labels: Record<string, string> = {
  note_entailment: 'answer',
  same_meaning: 'answer',
  review_sentiment: 'sentiment',
  message_mood: 'mood',
  note_topic: 'topic',
  note_inference: 'answer',
};
const answers: Record<string, string> = {
  person_town: 'town',
  person_trade: 'trade',
  good_price: 'price',
  cheaper: 'answer',
  note_who: 'answer',
  note_what: 'answer',
  note_where: 'answer',
  note_when: 'answer',
  who_is_it: 'answer',
  what_to_take: 'answer',
  right_sentence: 'answer',
};

const templates = fileURLToPath(new URL('../../../../data/templates', import.meta.url));
let files: Map<string, string>;
const rowsOf = <T>(path: string): T[] =>
  (files.get(path) ?? '')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const task = (name: string): TaskRow[] => rowsOf<TaskRow>(`seed/${name}.jsonl`);

beforeAll(() => {
  files = buildSeedFiles(worldSeed, templates);
});

describe('the seed files', () => {
  it('are made the same twice', () => {
    expect([...buildSeedFiles(worldSeed, templates)]).toEqual([...files]);
  });

  it('lie in data/ as the script makes them', () => {
    for (const [path, content] of files) {
      const there = readFileSync(new URL(`../../../../data/${path}`, import.meta.url), 'utf8');
      expect(there === content, `data/${path} is stale: run node --import tsx scripts/build-seed.ts`).toBe(true);
    }
  });

  it('differ for another seed', () => {
    expect(buildSeedFiles(worldSeed + 1, templates).get('seed/note_who.jsonl')).not.toBe(
      files.get('seed/note_who.jsonl'),
    );
  });

  it('keep to 650 words, 130 more of the later datasets, 28 of Hill speech, and 1 MB of corpus', () => {
    const { words, later, hill } = JSON.parse(files.get('seed/lexicon.json') ?? '') as Record<string, string[]>;
    expect(words!.length).toBeLessThanOrEqual(650);
    expect(later!.length).toBeLessThanOrEqual(130);
    expect(hill!.length).toBe(28);
    expect(hill!.filter((word) => words!.includes(word) || later!.includes(word))).toEqual([]);
    expect(Buffer.byteLength(files.get('corpus/corpus.jsonl') ?? '')).toBeLessThan(1_000_000);
  });
});

describe('the corpus', () => {
  it('has documents of every kind, of bounded length, none twice', () => {
    const rows = [...rowsOf<CorpusRow>('corpus/corpus.jsonl'), ...rowsOf<CorpusRow>('corpus/held-out.jsonl')];
    expect(new Set(rows.map((row) => row.text)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.kind))).toEqual(new Set(Object.keys(documentKinds)));
    const lengths = rows.map((row) => countWords(row.text));
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(documentWords.least);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(documentWords.most);
  });

  it('writes clean English on the surface', () => {
    for (const { id, text } of rowsOf<CorpusRow>('corpus/corpus.jsonl')) {
      expect(text, id).toMatch(/^["A-Z0-9][^[\]{}|]*[.!?"]$/);
      expect(text, id).not.toMatch(
        / {2}|undefined|\ba [aeiou]|\ban [^aeiou\s]|[.!?] [a-z]+ [a-z]+ [a-z]+\.|\." said| ,|\.\.|OPTIONS/,
      );
    }
  });

  it('holds no text of a held-out row', () => {
    const tasks = new Map(taskNames.map((name) => [name, task(name)]));
    const corpus = rowsOf<CorpusRow>('corpus/corpus.jsonl')
      .map((row) => row.text)
      .join('\n');
    const later = laterNames.flatMap((name) => {
      const column = laterTexts[name]!;
      return task(name).flatMap((row) => (row.split === 'train' ? [] : [String(row[column])]));
    });
    expect(later.length).toBeGreaterThan(13 * 80);
    const chat = heldOutConversation(rowsOf<ChatRow>('seed/chat.jsonl'));
    const texts = [...heldOutTexts(tasks), ...chat, ...later];
    expect(texts.length).toBeGreaterThan(3000);
    expect(texts.filter((text) => corpus.includes(text))).toEqual([]);
  });
});

describe('the tasks', () => {
  it.each(allNames)('%s has enough rows in every split and repeats none', (name) => {
    const rows = task(name);
    const count = (split: string): number => rows.filter((row) => row.split === split).length;
    expect(count('train')).toBeGreaterThanOrEqual(250);
    expect(count('validation')).toBeGreaterThanOrEqual(40);
    expect(count('test')).toBeGreaterThanOrEqual(40);
    expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
    const bodies = rows.map(({ id: _id, split: _split, ...fields }) => JSON.stringify(fields));
    expect(new Set(bodies).size).toBe(bodies.length);
  });

  it.each(Object.entries(laterTexts))('%s shows no text twice, in no two splits', (name, column) => {
    const texts = task(name).map((row) => String(row[column]));
    expect(new Set(texts).size).toBe(texts.length);
  });

  it.each(Object.entries(labels))('%s has balanced labels', (name, field) => {
    for (const split of splits) {
      const rows = task(name).filter((row) => row.split === split);
      const counts = new Map<string, number>();
      for (const row of rows) counts.set(String(row[field]), (counts.get(String(row[field])) ?? 0) + 1);
      expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
    }
  });

  it.each(Object.entries(answers))('%s has its answer once among the options, at no favourite place', (name, field) => {
    const rows = task(name);
    const places = rows.map(({ options, [field]: answer }) => {
      expect((options as string[]).filter((option) => option === answer).length).toBe(1);
      return (options as string[]).indexOf(String(answer));
    });
    const size = (rows[0]!.options as string[]).length;
    for (let place = 0; place < size; place++) {
      const share = places.filter((each) => each === place).length / rows.length;
      expect(Math.abs(share - 1 / size)).toBeLessThan(0.08);
    }
  });

  it('asks in closed-book test rows about people and goods that no training row asks about', () => {
    const known = knownBySplit(worldSeed);
    for (const [name, field, of] of [
      ['person_town', 'name', 'people'],
      ['person_trade', 'name', 'people'],
      ['good_price', 'good', 'goods'],
    ] as const) {
      const asked = splits.map(
        (split) =>
          new Set(
            task(name)
              .filter((row) => row.split === split)
              .map((row) => row[field]),
          ),
      );
      expect(asked).toEqual(splits.map((split) => new Set(known[of][split].map((each) => each.name))));
      expect(new Set(asked.flatMap((set) => [...set])).size).toBe(asked.reduce((sum, set) => sum + set.size, 0));
    }
  });

  it('keeps note and answer of who-questions in the note', () => {
    for (const row of task('note_who')) expect(String(row.note)).toContain(String(row.answer));
    for (const row of task('note_what')) expect(String(row.note)).toContain(` ${row.answer}`);
  });

  it('adds coins up rightly', () => {
    for (const row of task('total_price')) {
      const [count, price] = [/([23]) (?!coin)[a-z]+/, /(\d+) coins?\b(?= each|\.)/].map((pattern) =>
        Number(pattern.exec(String(row.note))?.[1]),
      );
      expect(row.total).toBe(`${count! * price!} coins`);
    }
  });
});
