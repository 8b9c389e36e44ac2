/** The small English tools, the facts' consistency, and the drawing of rows. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/random.ts';
import { compose } from '../../../../src/worlds/valley/texts/compose.ts';
import { leakDetector } from '../../../../src/worlds/valley/texts/corpus.ts';
import { goods, people, townNamed, towns, tradeNamed } from '../../../../src/worlds/valley/texts/facts.ts';
import {
  capitalize,
  coins,
  countWords,
  listed,
  say,
  vary,
  withArticle,
  wordsOf,
} from '../../../../src/worlds/valley/texts/language.ts';
import { drawRows } from '../../../../src/worlds/valley/texts/task-rows.ts';

describe('language', () => {
  it('expands alternatives, brackets within brackets too', () => {
    const seen = new Set(Array.from({ length: 60 }, (_, seed) => vary(seededRandom(seed), 'a [b|c [d|e]] f')));
    expect([...seen].sort()).toEqual(['a b f', 'a c d f', 'a c e f']);
  });

  it('leaves no bracket and no double blank', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(vary(seededRandom(seed), '[|x] y [z|]  [p|[q|]]')).not.toMatch(/[[\]|]| {2}/);
      }),
      { seed: 1 },
    );
  });

  it('writes articles, lists, coins, capitals and words', () => {
    expect([withArticle('egg'), withArticle('hat')]).toEqual(['an egg', 'a hat']);
    expect([listed([]), listed(['a']), listed(['a', 'b']), listed(['a', 'b', 'c'])]).toEqual([
      '',
      'a',
      'a and b',
      'a, b and c',
    ]);
    expect([coins(1), coins(7)]).toEqual(['1 coin', '7 coins']);
    expect([capitalize('the hat'), say(seededRandom(1), 'on [Monday]')]).toEqual(['The hat', 'On Monday']);
    expect(wordsOf("Ada's hat, 12 coins!")).toEqual(['ada', 's', 'hat', '12', 'coins']);
    expect(countWords(' Ada  has a hat. ')).toBe(4);
  });
});

describe('facts', () => {
  it('has names of its own for everybody and everything', () => {
    for (const table of [towns, people, goods]) expect(new Set(table.map((each) => each.name)).size).toBe(table.length);
    expect(people.length).toBe(36);
    expect(goods.length).toBe(30);
  });

  it('gives everybody a known town and trade, and no two the same of both', () => {
    const homes = people.map((who) => `${townNamed(who.town).name} ${tradeNamed(who.trade).name}`);
    expect(new Set(homes).size).toBe(people.length);
    for (const good of goods) expect(tradeNamed(good.seller).name).toBe(good.seller);
  });

  it('says which names are known when asked for another', () => {
    expect(() => townNamed('Paris')).toThrow(
      'src/worlds/valley/texts/facts.ts: no town is named "Paris"; expected one of Alder, Brook, Cove, Dale, Fern, Glen, Holm, Moss, Thorn. Add it or correct the name.',
    );
  });
});

describe('drawRows', () => {
  it('draws no key twice and numbers the rows of each split', () => {
    const rows = drawRows(seededRandom(1), 'toy', { train: 3, validation: 2, test: 1 }, (_, index) => {
      const key = String(index + seededRandom(index).integer(1));
      return { key: `${key}${Math.random()}`, fields: { key } };
    });
    expect(rows.map((row) => row.id)).toEqual([
      'toy-train-000',
      'toy-train-001',
      'toy-train-002',
      'toy-validation-000',
      'toy-validation-001',
      'toy-test-000',
    ]);
  });

  it('says when there is nothing new to draw', () => {
    const draw = () => ({ key: 'same', fields: {} });
    expect(() => drawRows(seededRandom(1), 'toy', { train: 2, validation: 0, test: 0 }, draw)).toThrow(
      'toy, split "train": 2000 draws gave no new row; expected 2 rows, received 1. Ask for fewer or draw from more.',
    );
  });
});

describe('documents', () => {
  it('ends a document near the wanted length and repeats no sentence', () => {
    let count = 0;
    const text = compose(seededRandom(3), {
      opening: ['Start here.'],
      middle: [() => `Sentence number ${count++ >> 1} is here.`],
    });
    const parts = text.split(/(?<=\.) /);
    expect(new Set(parts).size).toBe(parts.length);
    expect(countWords(text)).toBeGreaterThanOrEqual(29);
    expect(countWords(text)).toBeLessThanOrEqual(80);
  });

  it('finds held-out texts where a word starts', () => {
    const holds = leakDetector(['Ada lost a hat.', 'Ben found it.']);
    expect(holds('On Monday: Ada lost a hat. Then rain came.')).toBe(true);
    expect(holds('He said: "Ben found it."')).toBe(true);
    expect(holds('"Ben found it." So they said.')).toBe(true);
    expect(holds('Ada lost a hat in Fern.')).toBe(false);
  });
});
