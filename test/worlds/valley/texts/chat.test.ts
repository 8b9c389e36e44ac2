/** The conversation dataset: its splits, its styles, and how the gold scorer sees them. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldRequest, goldScore } from '../../../../src/worlds/valley/gold.ts';
import { parseLexicon } from '../../../../src/worlds/valley/lexicon.ts';
import type { ChatRow } from '../../../../src/worlds/valley/texts/chat.ts';
import { styleShares } from '../../../../src/worlds/valley/texts/chat-responses.ts';
import { countWords } from '../../../../src/worlds/valley/texts/language.ts';
import { worldSeed } from '../../../../src/worlds/valley/texts/seed-files.ts';
import { knownBySplit } from '../../../../src/worlds/valley/texts/tasks.ts';

const known = knownBySplit(worldSeed);
const rows = readFileSync(new URL('../../../../data/seed/chat.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as ChatRow);
const train = rows.filter((row) => row.split === 'train');
const lexicon = parseLexicon(
  readFileSync(new URL('../../../../data/seed/lexicon.json', import.meta.url), 'utf8'),
  'lexicon.json',
);
const gold = (row: ChatRow) => goldScore(goldRequest({ ...row }, lexicon, row.id), row.response);

function meanAndSpread(values: readonly number[]): { mean: number; spread: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, spread: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

/** As data/README.md documents them. */
const chatCounts = { train: 1600, reward: 4400, ppo: 500, validation: 150, test: 150 };

describe('the conversation dataset', () => {
  it('has the wanted number of prompts in each split, no prompt twice', () => {
    for (const [split, count] of Object.entries(chatCounts)) {
      expect(rows.filter((row) => row.split === split).length).toBe(count);
    }
    expect(new Set(rows.map((row) => row.prompt)).size).toBe(rows.length);
  });

  it('answers about half of the prompts from a note that holds the answer', () => {
    const noted = rows.filter((row) => row.note !== '');
    expect(noted.length / rows.length).toBeCloseTo(0.5, 1);
    for (const row of noted) {
      expect(row.prompt.startsWith(row.note)).toBe(true);
      for (const group of row.answer_key)
        expect(
          group.some((key) => row.note.includes(key)),
          row.id,
        ).toBe(true);
    }
  });

  it('asks no question, with the same note or none, in two splits, and shows no note in two', () => {
    const splitOf = new Map<string, string>();
    const shared = rows.filter(({ note, question, split }) => {
      const keys = note === '' ? [question] : [`${note} ${question}`, note];
      const isShared = keys.some((key) => (splitOf.get(key) ?? split) !== split);
      for (const key of keys) splitOf.set(key, split);
      return isShared;
    });
    expect(shared.map((row) => row.id)).toEqual([]);
  });

  it('keeps the people and goods of closed-book test rows out of train, reward and ppo, but not out of test', () => {
    const namesOf = (split: 'validation' | 'test'): string[] =>
      [...known.people[split], ...known.goods[split]].map((each) => each.name);
    const asking = (names: readonly string[]): Set<string> =>
      new Set(
        rows
          .filter((row) => row.note === '' && row.subject.some((word) => names.includes(word)))
          .map((row) => row.split),
      );
    expect(asking(namesOf('test'))).toEqual(new Set(['validation', 'test']));
    expect(asking(namesOf('validation'))).toEqual(new Set(['reward', 'ppo', 'validation', 'test']));
  });

  it('tells in no demonstration a fact of a person of closed-book validation or test rows', () => {
    const hidden = [...known.people.test, ...known.people.validation].map((each) => each.name);
    const telling = train.filter(({ note, response, style }) => {
      const isAboutNote = note !== '' && style !== 'rambling';
      return !isAboutNote && hidden.some((name) => !note.includes(name) && new RegExp(`\\b${name}\\b`).test(response));
    });
    expect(telling.map((row) => row.response)).toEqual([]);
  });

  it('asks about facts in every split of many kinds, and each question a few times at most', () => {
    for (const split of Object.keys(chatCounts)) {
      const facts = rows.filter((row) => row.split === split && row.note === '');
      expect(new Set(facts.map((row) => row.kind)).size, split).toBeGreaterThanOrEqual(8);
      // The reward split asks each of its questions with up to four of the polite phrases.
      const least = split === 'reward' ? 0.25 : 0.45;
      expect(new Set(facts.map((row) => row.question)).size / facts.length, split).toBeGreaterThan(least);
    }
  });

  it('demonstrates only in the train split, in at most 36 words, with shares as documented', () => {
    for (const row of rows) {
      expect(row.response !== '').toBe(row.split === 'train');
      expect(countWords(row.response), row.id).toBeLessThanOrEqual(36);
    }
    for (const [style, share] of Object.entries(styleShares)) {
      const found = train.filter((row) => row.style === style).length / train.length;
      expect(Math.abs(found - share / 100), style).toBeLessThan(0.03);
    }
  });

  it('has wide gold scores in the expected order of styles', () => {
    const totals = new Map(train.map((row) => [row.id, gold(row).total]));
    const byStyle = (style: string): number =>
      meanAndSpread(train.filter((row) => row.style === style).map(({ id }) => totals.get(id)!)).mean;
    const all = meanAndSpread([...totals.values()]);
    process.stdout.write(
      `gold over demonstrations: mean ${all.mean.toFixed(3)}, standard deviation ${all.spread.toFixed(3)}\n`,
    );
    // Right ones by their manner, then those that answer and stray, then those that do not answer, however kind.
    const order = ['warm', 'plain', 'curt', 'rambling', 'empty', 'wrong'];
    expect(order.map(byStyle)).toEqual(order.map(byStyle).sort((a, b) => b - a));
    // A right word alone has 7/12: nothing but no repetition.
    expect(Math.min(...['warm', 'plain', 'curt'].map(byStyle))).toBeGreaterThan(7 / 12);
    expect(Math.max(...['rambling', 'empty', 'wrong'].map(byStyle))).toBeLessThan(0.4);
    expect((byStyle('warm') - all.mean) / all.spread).toBeGreaterThan(1.3);
  });

  it('takes warm, plain and curt demonstrations for answers, wrong and empty ones for none', () => {
    for (const row of train) {
      if (['warm', 'plain', 'curt'].includes(row.style)) expect(gold(row).parts.answered, row.id).toBe(1);
      if (row.style === 'empty') expect(gold(row).parts.answered, row.id).toBe(0);
    }
    const wrong = train.filter((row) => row.style === 'wrong');
    expect(wrong.filter((row) => gold(row).parts.answered === 1).length / wrong.length).toBeLessThan(0.05);
  });
});
