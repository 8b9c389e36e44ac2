import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ngramOverlap } from '../../src/evaluation/contamination.ts';

const one = (text: string, training: Iterable<string>, n: number) =>
  ngramOverlap([{ group: 'g', text }], training, n)[0];

describe('ngramOverlap', () => {
  it('is the share of the n-grams of a text that training texts hold', () => {
    // a b c | b c d | c d e | d e f: the first two and the last stand in the training texts
    const training = ['x a b c d y', 'd e f'];
    expect(one('a b c d e f', training, 3)).toEqual({ group: 'g', texts: 1, touched: 1, overlap: 0.75 });
    expect(one('a b c d e f', training, 4)?.overlap).toBeCloseTo(1 / 3, 12);
    expect(one('a b c d e f', training, 5)).toMatchObject({ touched: 0, overlap: 0 });
  });

  it('leaves case, punctuation and line breaks aside, but not accents', () => {
    expect(one('On Friday,\nDan left!', ['so: on friday dan left.'], 4)?.overlap).toBe(1);
    expect(one('une fête à Thorn', ['une fete a Thorn'], 4)?.overlap).toBe(0);
    expect(one('हिन्दी में', ['ह न द म'], 8)?.overlap).toBe(0);
  });

  it('takes a text of fewer than n words as one n-gram of all of them', () => {
    expect(one('Dan left', ['so Dan left early'], 8)?.overlap).toBe(1);
    expect(one('Dan left', ['Dan has left'], 8)?.overlap).toBe(0);
    expect(one('…', ['… and more'], 8)).toMatchObject({ texts: 1, touched: 0, overlap: 0 });
  });

  it('does not join the end of one training text to the beginning of the next', () => {
    expect(one('a b c d', ['a b', 'c d'], 4)?.overlap).toBe(0);
  });

  it('reports groups in order of first appearance, each as the mean over its texts', () => {
    const heldOut = [
      { group: 'second', text: 'a b c' },
      { group: 'first', text: 'p q' },
      { group: 'second', text: 'x y z' },
      { group: 'second', text: 'a b z' },
    ];
    expect(ngramOverlap(heldOut, ['a b c'], 2)).toEqual([
      { group: 'second', texts: 3, touched: 2 / 3, overlap: 0.5 },
      { group: 'first', texts: 1, touched: 0, overlap: 0 },
    ]);
  });

  it('reads the training texts once, one after another', () => {
    let read = 0;
    function* texts(): Generator<string> {
      for (; read < 1000; read++) yield `line ${read}`;
    }
    expect(one('line 999', texts(), 2)?.overlap).toBe(1);
    expect(read).toBe(1000);
  });

  it('agrees with a search for each n-gram in the training texts', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 }).map((words) => words.join(' '));
    const law = fc.property(text, fc.array(text), fc.integer({ min: 1, max: 5 }), (heldOut, training, n) => {
      const words = heldOut.split(' ').filter((word) => word !== '');
      const size = Math.min(n, words.length);
      const grams = words.map((_, at) => words.slice(at, at + size)).filter((gram) => gram.length === size);
      const isThere = (gram: string[]): boolean => training.some((own) => ` ${own} `.includes(` ${gram.join(' ')} `));
      const expected = grams.length === 0 ? 0 : grams.filter(isThere).length / grams.length;
      expect(one(heldOut, training, n)?.overlap).toBeCloseTo(expected, 12);
    });
    fc.assert(law);
  });
});
