/** The later datasets: every answer found again from the row's own text, by other means than those that drew it. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { people } from '../../../../src/worlds/valley/texts/facts.ts';
import { numberInWords } from '../../../../src/worlds/valley/texts/form-tasks.ts';
import { inEnglish, inHillSpeech } from '../../../../src/worlds/valley/texts/hill-speech.ts';

type Row = Record<string, string> & { options: string[] };
const rowsOf = (name: string): Row[] =>
  readFileSync(new URL(`../../../../data/seed/${name}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const ofSplit = (rows: readonly Row[], split: string): Row[] => rows.filter((row) => row.split === split);

/** The events of a note: "Mara bought a hat in Alder" -> {who: "Mara", did: "bought", good: "hat", word: "in", value: "Alder"} */
function eventsOf(note: string): { who: string; did: string; good: string; word: string; value: string }[] {
  return [...note.matchAll(/([A-Z]\w+) (\w+) an? (\w+) (in|on) ([A-Z]\w+)/g)].map((match) => {
    const [, who, did, good, word, value] = match as unknown as string[];
    return { who: who!, did: did!, good: good!, word: word!, value: value! };
  });
}

/** The rows whose answer differs from the one that `find` reads off them. */
function wrongRows(name: string, find: (row: Row) => string | undefined, column = 'answer'): string[] {
  return rowsOf(name)
    .filter((row) => find(row) !== row[column])
    .map((row) => `${row.id}: ${row[column]}, found ${find(row)}`);
}

/** "12 hats" -> 12 */
const numberOf = (text: string): number => Number(/\d+/.exec(text)?.[0]);

describe('the answers of the later datasets', () => {
  it.each(['note_where', 'note_when'])('%s: place or day of the event with that person and good', (name) => {
    const find = ({ note, name: who, did, good }: Row): string | undefined =>
      eventsOf(note!).find((event) => event.who === who && event.did === did && event.good === good)?.value;
    expect(wrongRows(name, find)).toEqual([]);
  });

  it('note_inference: right, wrong or untold, by comparing claim and note', () => {
    const find = ({ note, claim }: Row): string | undefined => {
      const said = eventsOf(note!).find(({ who, good }) =>
        new RegExp(`\\b${who}\\b.*\\b${good}\\b|\\b${good}\\b.*\\b${who}\\b`).test(claim!),
      );
      const [, word, value] = /\b(in|on) ([A-Z]\w+)/i.exec(claim!) ?? [];
      if (said === undefined || said.word !== word?.toLowerCase()) return 'can not tell';
      return said.value === value ? 'yes' : 'no';
    };
    expect(wrongRows('note_inference', find)).toEqual([]);
  });

  it('note_headline: person, deeds and town of the note, in the order of the note', () => {
    for (const { note, headline } of rowsOf('note_headline')) {
      const [, who, one, two, town] = /^(\w+) (\w+ an? \w+) and (\w+ an? \w+) in (\w+)\.$/.exec(headline!) ?? [];
      expect(note).toMatch(new RegExp(`${who}.*(to|in) ${town}.*(he|she) ${one}\\..*(he|she) ${two}\\.`));
    }
  });

  it('who_is_it: the one who asks, takes, borrows or shouts, else the other; or the only one the pronoun fits', () => {
    const pronounOf = new Map(people.map((each) => [each.name, each.pronoun as string]));
    const find = ({ sentence, pronoun }: Row): string | undefined => {
      const named = [...sentence!.matchAll(/[A-Z][a-z]+/g)].map(([name]) => name).filter((name) => pronounOf.has(name));
      const fitting = named.filter((name) => pronounOf.get(name) === pronoun);
      if (fitting.length === 1) return fitting[0];
      return named[/ asked | took | borrowed | shouted | for help/.test(sentence!) ? 0 : 1];
    };
    expect(wrongRows('who_is_it', find)).toEqual([]);
    const first = rowsOf('who_is_it').filter(({ sentence, answer, options }) =>
      options.every((other) => sentence!.indexOf(answer!) <= sentence!.indexOf(other)),
    );
    expect(first.length / rowsOf('who_is_it').length).toBeCloseTo(0.5, 1);
  });

  it('count_things and shop_talk: sums, and reasons that are true', () => {
    const count = ({ story, things }: Row): string => {
      const [before, change] = [...story!.matchAll(/\d+/g)].map(Number) as [number, number];
      return `${/ (sells|loses|drops) /.test(story!) ? before - change : before + change} ${things}`;
    };
    expect(wrongRows('count_things', count, 'count')).toEqual([]);
    const change = ({ note, given }: Row): string => {
      const price = numberOf(/costs (\d+)/.exec(note!)?.[1] ?? '');
      const left = numberOf(given!) - price * numberOf(/wants (\d)/.exec(note!)?.[1] ?? '');
      return left === 1 ? '1 coin' : `${left} coins`;
    };
    expect(wrongRows('shop_talk', change, 'change')).toEqual([]);
    const sums = ['total_price', 'count_things', 'shop_talk']
      .flatMap(rowsOf)
      .flatMap(({ why }) => [...why!.matchAll(/([\d and]+|\d+ without \d+) (?:are|is) (\d+)\./g)]);
    expect(sums.length).toBe(3 * 410);
    for (const [text, left, right] of sums) {
      const numbers = [...left!.matchAll(/\d+/g)].map(Number);
      const sign = left!.includes('without') ? -1 : 1;
      expect(
        numbers.slice(1).reduce((sum, each) => sum + sign * each, numbers[0]!),
        text,
      ).toBe(Number(right));
    }
  });

  it('talk_note: the town of the event that question and follow-up ask about', () => {
    const find = ({ note, question, reply, follow_up }: Row): string | undefined => {
      const asked = eventsOf(note!).find(({ did, good }) => question === `Who ${did} the ${good}?`);
      const pronoun = people.find((each) => each.name === asked?.who)?.pronoun;
      if (!follow_up!.startsWith(`Where did ${pronoun} `)) return undefined;
      return reply === `${asked?.who} ${asked?.did} the ${asked?.good}.` ? asked?.value : undefined;
    };
    expect(wrongRows('talk_note', find)).toEqual([]);
  });

  it('right_sentence: only the right one has subject, past verb, fitting article, good, "in" and town', () => {
    const past = 'bought|lost|found|brought|took|borrowed|carried|dropped|hid';
    const right = new RegExp(`^[A-Z]\\w+ (${past}) (a [^aeiou ]\\w*|an [aeiou]\\w*) in [A-Z]\\w+\\.$`);
    for (const { answer, options } of rowsOf('right_sentence')) {
      expect(options.filter((each) => right.test(each))).toEqual([answer]);
    }
  });

  it('mend_sentence: only capitals and the full stop differ, and every name has its capital', () => {
    const names = new RegExp(`\\b(${people.map((each) => each.name.toLowerCase()).join('|')}|monday|alder|thorn)\\b`);
    for (const { rough, mended } of rowsOf('mend_sentence')) {
      expect(mended!.toLowerCase()).toBe(`${rough}.`);
      expect(rough).not.toMatch(/[A-Z.]/);
      expect(mended).toMatch(/^[A-Z]/);
      expect(mended).not.toMatch(names);
    }
  });
});

describe('Hill speech', () => {
  it('puts place or day first and the verb last, without articles', () => {
    const event = { who: 'Mara', deed: 'bought', likeness: 'red', thing: 'hat', town: 'Alder' };
    expect(inEnglish(event)).toBe('Mara bought a red hat in Alder.');
    expect(inHillSpeech(event)).toBe('Alderen pilo rudo Mara zumet.');
    const { town: _town, ...rest } = { ...event, likeness: 'old', day: 'Friday' };
    expect([inEnglish(rest), inHillSpeech(rest)]).toEqual([
      'Mara bought an old hat on Friday.',
      'Pentadian pilo vek Mara zumet.',
    ]);
  });

  it('has one Hill word for each English word, and none of the test rows is new', () => {
    const pairsOf = (rows: readonly Row[]): Set<string> =>
      new Set(
        rows.flatMap(({ english, hill }) => {
          const [who, deed, , likeness, thing, , detail] = english!.slice(0, -1).split(' ');
          const [d, t, l, w, v] = hill!.slice(0, -1).split(' ');
          return [`${who} ${w}`, `${deed} ${v}`, `${likeness} ${l}`, `${thing} ${t}`, `${detail} ${d}`];
        }),
      );
    const train = pairsOf(ofSplit(rowsOf('hill_speech'), 'train'));
    for (const side of [0, 1]) {
      const words = [...train].map((pair) => pair.split(' ')[side]);
      expect(new Set(words).size).toBe(train.size);
    }
    const held = pairsOf([...ofSplit(rowsOf('hill_speech'), 'validation'), ...ofSplit(rowsOf('hill_speech'), 'test')]);
    expect([...held].filter((pair) => !train.has(pair))).toEqual([]);
  });
});

describe('numbers in words', () => {
  it.each([
    [2, 'two'],
    [12, 'twelve'],
    [15, 'fifteen'],
    [20, 'twenty'],
    [21, 'twenty one'],
    [48, 'forty eight'],
    [90, 'ninety'],
    [99, 'ninety nine'],
  ])('%i is %s', (number, words) => {
    expect(numberInWords(number)).toBe(words);
  });

  it('shows numbers in validation and test that no train row has', () => {
    const rows = rowsOf('number_words');
    const [train, validation, test] = ['train', 'validation', 'test'].map(
      (split) => new Set(ofSplit(rows, split).map((row) => numberOf(row.digits!))),
    ) as [Set<number>, Set<number>, Set<number>];
    expect([train.size, validation.size, test.size]).toEqual([74, 8, 16]);
    expect([...test, ...validation].filter((number) => train.has(number))).toEqual([]);
    expect([...test].filter((number) => validation.has(number))).toEqual([]);
  });
});

describe('labels', () => {
  /** The largest share that one label has among the rows with a certain word, over all words in enough rows. */
  function mostTelling(name: string, columns: readonly string[]): { word: string; share: number } {
    const labels = new Map<string, Map<string, number>>();
    for (const row of rowsOf(name)) {
      const words = columns.flatMap((column) => row[column]!.toLowerCase().match(/[a-z]+/g) ?? []);
      for (const word of new Set(words)) {
        const counts = labels.get(word) ?? new Map<string, number>();
        counts.set(row.answer!, (counts.get(row.answer!) ?? 0) + 1);
        labels.set(word, counts);
      }
    }
    const shares = [...labels].flatMap(([word, counts]) => {
      const all = [...counts.values()].reduce((a, b) => a + b, 0);
      return all < 40 ? [] : [{ word, share: Math.max(...counts.values()) / all }];
    });
    return shares.sort((a, b) => b.share - a.share)[0]!;
  }

  it.each([
    ['note_inference', ['note', 'claim'], 0.55],
    ['note_entailment', ['note', 'claim'], 0.7],
    ['same_meaning', ['first', 'second'], 0.7],
  ] as const)('of %s are given away by no word of a row', (name, columns, limit) => {
    const { word, share } = mostTelling(name, columns);
    expect(share, word).toBeLessThan(limit);
  });
});

describe('the cards', () => {
  const cards = readFileSync(new URL('../../../../data/seed/CARDS.md', import.meta.url), 'utf8');
  const parts = new Map(
    cards
      .split('\n## ')
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part]),
  );

  it.each([...parts.keys()])('%s: sizes are those of the file, and nothing is left blank', (name) => {
    const part = parts.get(name)!;
    const counts = new Map<string, number>();
    for (const { split } of rowsOf(name)) counts.set(split!, (counts.get(split!) ?? 0) + 1);
    expect(part).toContain(`- rows: ${[...counts].map(([split, count]) => `${split} ${count}`).join(', ')}\n`);
    for (const title of ['cluster', 'labels', 'columns', 'templates', 'how made', 'limits']) {
      expect(part).toMatch(new RegExp(`\n- ${title}: \\S.{8}`));
    }
    // Every column has a meaning of its own, not just its name again.
    expect([...part.matchAll(/`(\w+)` \((\w+)\)/g)].filter(([, column, meaning]) => column === meaning)).toEqual([]);
  });

  it('are 27, in order of cluster', () => {
    expect(parts.size).toBe(27);
    const clusters = [...cards.matchAll(/- cluster: (\w+)/g)].map(([, cluster]) => cluster);
    expect(clusters).toEqual([...clusters].sort());
  });
});
