import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayWidth, openColumns, wholeLines } from '../../src/run/text-columns.ts';

/** Rows of two columns of the given texts. */
function rows(texts: readonly string[], width = 23): string[] {
  const lines: string[] = [];
  const columns = openColumns(['left', 'right'], width, (line) => lines.push(line));
  texts.forEach((text, i) => {
    columns.push(i, text);
    columns.end(i);
  });
  return lines.map((line) => line.replace(/\n$/, ''));
}

describe('openColumns', () => {
  it('sets texts side by side, broken between words', () => {
    expect(rows(['one two three', 'a\n\nb'])).toEqual([
      'left       │ right',
      '────────── │ ──────────',
      'one two    │ a',
      'three      │',
      '           │ b',
    ]);
  });

  it('prints a row as soon as both have it or one has ended, and never before', () => {
    const lines: string[] = [];
    const columns = openColumns(['a', 'b'], 23, (line) => lines.push(line));
    const fresh = (): string[] => lines.splice(0);
    fresh();
    columns.push(0, 'first\nsec');
    expect(fresh()).toEqual([]);
    columns.push(1, 'other\n');
    expect(fresh()).toEqual(['first      │ other\n']);
    columns.end(1);
    columns.push(0, 'ond\nthird');
    expect(fresh()).toEqual(['second     │\n']);
    columns.end(0);
    columns.end(0);
    expect(fresh()).toEqual(['third      │\n']);
  });

  it('counts wide characters as two cells, and cuts words that no line holds', () => {
    expect(displayWidth('日本 é😀')).toBe(8);
    expect(rows(['日本語日本語', 'abcdefghijklmno']).slice(2)).toEqual([
      '日本語日本 │ abcdefghij',
      '語         │ klmno',
    ]);
  });

  it('shows the end of a long title', () => {
    expect(openTitle('data/runs/tiny/instruct')).toBe('…/instruct │ b');
  });

  it('keeps every word in order, in lines that fit, however the text comes', () => {
    const text = fc.array(fc.constantFrom('a', 'bb ', ' ccc', '\n', 'dddddddddddddd', '日', '😀 '), { maxLength: 20 });
    fc.assert(
      fc.property(text, fc.integer({ min: 4, max: 12 }), (pieces, width) => {
        const lines: string[] = [];
        let rest = '';
        for (const piece of pieces) {
          const found = wholeLines(rest + piece, width);
          lines.push(...found.lines);
          rest = found.rest;
        }
        const all = [...lines, rest];
        for (const line of all) expect(displayWidth(line)).toBeLessThanOrEqual(width);
        const letters = (of: string): string => of.replaceAll(/\s/g, '');
        expect(letters(all.join(''))).toBe(letters(pieces.join('')));
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

function openTitle(title: string): string {
  const lines: string[] = [];
  openColumns([title, 'b'], 23, (line) => lines.push(line));
  return (lines[0] ?? '').trimEnd();
}
