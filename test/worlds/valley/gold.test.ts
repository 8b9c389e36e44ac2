/** The gold scorer: cases reasoned by hand from its documentation, bounds, and its reading of rows. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GoldRequest } from '../../../src/worlds/valley/gold.ts';
import { friendlyWords, goldJudge, goldRequest, goldScore } from '../../../src/worlds/valley/gold.ts';
import { parseLexicon } from '../../../src/worlds/valley/lexicon.ts';

const world =
  'a hat costs 7 8 coins or it is not hello my dear friend neighbor welcome lovely gladly enjoy thanks your day have the in fern';
const request: GoldRequest = {
  answerKey: [['7']],
  rivals: ['1', '8', '12'],
  strays: ['Fern', 'coat', 'took'],
  knownWords: new Set(world.split(' ')),
};

/** Response, then answered, friendly, sentences, repetition, length. */
const cases: readonly [string, string, number, number, number, number, number][] = [
  [
    'gives full marks to a warm, right, short answer',
    'Hello, my friend! A hat costs 7 coins. Enjoy your day!',
    1,
    1,
    1,
    1,
    1,
  ],
  ['misses tone and some length in a plain right sentence', 'A hat costs 7 coins.', 1, 0, 1, 1, 0.5],
  ['gives a fragment its answer only', '7 coins', 1, 0, 0, 1, 0],
  ['gives half an answer where something else is told too', 'A hat in Fern costs 7 coins.', 0.5, 0, 1, 1, 5 / 6],
  ['gives half an answer to another deed', 'Thanks, my friend, you took a hat: 7 coins.', 0.5, 1, 0, 1, 1],
  ['gives nothing for a wrong answer', 'A hat costs 8 coins.', 0, 0, 1, 1, 0.5],
  ['takes an answer beside a rival for none', 'A hat costs 7 coins or 8 coins.', 0, 0, 1, 1, 1],
  ['takes a denied answer for none', 'It is not 7 coins.', 0, 0, 1, 1, 0.5],
  ['does not find 7 inside 78', 'A hat costs 78 coins.', 0, 0, 0, 1, 0.5],
  ['wants a capital and an end mark', 'a hat costs 7 coins', 1, 0, 0, 1, 0.5],
  ['wants words of the world', 'A hat costs 7 zorps.', 1, 0, 0, 1, 0.5],
  ['wants a verb or a friendly word', 'A hat or a hat in it.', 0, 0, 0, 0.75, 5 / 6],
  [
    'takes a quarter for a fourth friendly word',
    'Hello, dear friend! A hat costs 7 coins. Have a lovely day!',
    1,
    0.75,
    1,
    1,
    1,
  ],
  [
    'gives nothing for friendly words in a heap',
    'Hello dear friend, welcome lovely neighbor, gladly enjoy thanks 7.',
    1,
    0,
    1,
    1,
    1,
  ],
  [
    'gives nothing for one friendly word again and again',
    'Hello hello hello hello hello hello hello hello.',
    0,
    0,
    1,
    0,
    1,
  ],
  ['counts half a tone for one friendly word', 'Gladly, a hat costs 7 coins.', 1, 0.5, 1, 1, 4 / 6],
  ['counts the share of complete sentences', 'A hat costs 7 coins. It is', 1, 0, 0.5, 1, 5 / 6],
];

describe('goldScore', () => {
  it.each(cases)('%s', (_, response, answered, friendly, sentences, repetition, length) => {
    const score = goldScore(request, response);
    expect(score.parts).toMatchObject({ answered, friendly, sentences, repetition });
    expect(score.parts.length).toBeCloseTo(length, 12);
    const manner = friendly / 2 + (sentences + repetition + length) / 6;
    expect(score.total).toBeCloseTo(answered === 1 ? (1 + manner) / 2 : (2 * answered + manner) / 4, 12);
  });

  it('gives nothing at all to an answer without words', () => {
    for (const response of ['', '  ', '...!']) {
      const { total, parts } = goldScore(request, response);
      expect([total, ...Object.values(parts)]).toEqual([0, 0, 0, 0, 0, 0]);
    }
  });

  it('gives a share of the answer, at most a half, for a share of the groups', () => {
    const both = { ...request, answerKey: [['7', 'seven'], ['hat'], ['rug']], strays: [] };
    expect(goldScore(both, 'It costs 7 coins.').parts.answered).toBeCloseTo(1 / 3, 12);
    expect(goldScore(both, 'A hat costs 7 coins.').parts.answered).toBe(0.5);
    expect(goldScore(both, 'A hat or a rug costs 7 coins.').parts.answered).toBe(1);
  });

  it('never gives an answer that is not right as much as one that is', () => {
    const warm = goldScore(request, 'Hello, my friend! A hat in Fern costs 7 coins. Enjoy your day!').total;
    const wrong = goldScore(request, 'Hello, my friend! A hat costs 8 coins. Enjoy your day!').total;
    const bare = goldScore(request, '7').total;
    // 7 alone repeats nothing and is nothing else: m = 1/6.
    expect(warm).toBe(0.5);
    expect(wrong).toBe(0.25);
    expect(bare).toBeCloseTo(7 / 12, 12);
  });

  it('falls in length from 18 words to 36', () => {
    const words = (count: number): string => `${Array(count).fill('hat').join(' ')}.`;
    expect([18, 27, 36, 50].map((count) => goldScore(request, words(count)).parts.length)).toEqual([1, 0.5, 0, 0]);
  });

  it('stays within 0 and 1 for any text', () => {
    const word = fc.constantFrom(...world.split(' '), ...friendlyWords, '.', '!', ', ', 'Zorp', '99');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'grapheme' }),
          fc.array(word).map((w) => w.join(' ')),
        ),
        (response) => {
          const { total, parts } = goldScore(request, response);
          for (const value of Object.values({ total, ...parts })) {
            expect(value).toBeGreaterThanOrEqual(0);
            expect(value).toBeLessThanOrEqual(1);
          }
          expect(parts.answered === 1 ? total >= 0.5 : total <= 0.5).toBe(true);
        },
      ),
      { seed: 1 },
    );
  });

  it('never gains from saying an answer twice', () => {
    const sentence = fc.constantFrom(
      'A hat costs 7 coins.',
      'Hello, my friend! A hat costs 7 coins. Enjoy your day!',
      'It is 7 coins, dear friend.',
    );
    fc.assert(
      fc.property(sentence, fc.integer({ min: 2, max: 6 }), (text, times) => {
        const once = goldScore(request, text);
        expect(goldScore(request, Array(times).fill(text).join(' ')).total).toBeLessThan(once.total);
      }),
      { seed: 1 },
    );
  });
});

describe('goldJudge', () => {
  it('scores as goldScore and names the parts in the order of a judgement', () => {
    const { parts, score } = goldJudge(request);
    expect(score('A hat costs 7 coins.')).toEqual(goldScore(request, 'A hat costs 7 coins.'));
    expect(Object.keys(parts)).toEqual(Object.keys(goldScore(request, '').parts));
  });
});

describe('goldRequest', () => {
  const text = {
    words: ['a', 'hat'],
    kinds: {
      town: ['Alder', 'Fern'],
      day: ['Monday', 'Friday'],
      price: ['7'],
      good: ['hat', 'hats', 'rug'],
      deed: ['took', 'taken', 'hid'],
    },
    forms: [
      ['hat', 'hats'],
      ['take', 'took', 'taken'],
    ],
  };
  const lexicon = parseLexicon(JSON.stringify(text), 'lexicon.json');

  it('reads key, rivals, words and what else is not to be named of a row', () => {
    const question = 'Where did you take the hats?';
    const fields = { question, subject: ['Monday'], answer_key: [['Fern']], answer_kind: 'town' };
    expect(goldRequest(fields, lexicon, 'chat.jsonl:1')).toEqual({
      answerKey: [['Fern']],
      rivals: ['Alder'],
      strays: ['Alder', 'Friday', 'rug', 'hid'],
      knownWords: new Set(['a', 'hat']),
    });
  });

  it('says all that is wrong with a row', () => {
    expect(() => goldRequest({ answer_key: [], answer_kind: 'river' }, lexicon, 'chat.jsonl:1')).toThrow(
      'chat.jsonl:1: answer_kind: expected one of town, day, price, good, deed, received "river". Mend the row.\n' +
        'chat.jsonl:1: answer_key: expected a list of lists of words, received []. Mend the row.\n' +
        'chat.jsonl:1: question: expected a text, received undefined. Mend the row.\n' +
        'chat.jsonl:1: subject: expected a list of words, received undefined. Mend the row.',
    );
  });

  it('says what is wrong with a lexicon', () => {
    expect(() => parseLexicon('{"words":', 'lexicon.json')).toThrow(
      /^lexicon.json: not JSON \(.+\)\. Run node --import tsx scripts\/build-seed.ts\.$/,
    );
    expect(() => parseLexicon('{"words":[1]}', 'lexicon.json')).toThrow(
      'lexicon.json: expected {"words": [text, …], "kinds": {name: [text, …], …}, "forms": [[text, …], …]}, received {"words":[1]}. Run node --import tsx scripts/build-seed.ts.',
    );
    expect(() => parseLexicon('null', 'lexicon.json')).toThrow('lexicon.json: expected {"words"');
  });
});
