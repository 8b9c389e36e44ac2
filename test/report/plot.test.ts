/** Plots of given numbers, drawn by hand on squared paper: a braille character is two dots wide and four high. */
import { describe, expect, it } from 'vitest';
import { plotCurves } from '../../src/report/plot.ts';

const curve = (title: string, values: readonly number[], steps = values.map((_, i) => i + 1)) => ({
  title,
  points: values.map((value, i) => ({ step: steps[i]!, value })),
});
/** Labels of one digit leave 4 characters, that is 8 × 8 dots. */
const small = { width: 7, height: 2 };

describe('plotCurves', () => {
  it('draws a straight line from corner to corner, with its ends beside and below it', () => {
    // Dots (0,7) (1,6) (2,5) (3,4) in the lower line, (4,3) (5,2) (6,1) (7,0) in the upper: 0x40+0x20, 0x02+0x08.
    expect(plotCurves([curve('rise', [0, 1])], small)).toEqual(['rise', '1 ┤  ⡠⠊', '0 ┤⡠⠊', '   1  2']);
  });

  it('joins points by lines that pass through them', () => {
    // 4 × 4 dots. Points at (0,3), (2,0), (3,3); between them (1,2) (1,1) and (2,1) (3,2): 0x40+0x20+0x10, 0x01+0x02+0x20+0x80.
    expect(plotCurves([curve('peak', [0, 4, 0])], { width: 5, height: 1 })[1]).toMatch(/ ┤⡰⢣$/);
  });

  it('places points by their steps, not by their order', () => {
    // Up to the full height at step 1 of 0 to 7, that is in the second of 8 columns of dots, and level from there on.
    const early = plotCurves([curve('early', [0, 7, 7], [0, 1, 7])], small);
    expect(early).toEqual(['early', '7 ┤⢸⠉⠉⠉', '0 ┤⡇', '   0  7']);
  });

  it.each([
    ['a value that never changes', curve('level', [3, 3, 3]), ['level', '  │', '3 ┤⠉⠉⠉⠉', '   1  3']],
    ['a single point', curve('dot', [3], [5]), ['dot', '  │', '3 ┤⠁', '   5']],
  ])('draws %s in the middle', (_, given, lines) => {
    expect(plotCurves([given], small)).toEqual(lines);
  });

  it('sets two next to each other, each with its own scale and labels, and a third below', () => {
    const three = [curve('rise', [0, 1]), curve('fall', [9, -5]), curve('dot', [3], [5])];
    expect(plotCurves(three, small)).toEqual([
      'rise      fall',
      '1 ┤  ⡠⠊    9 ┤⠱⡀',
      '0 ┤⡠⠊     -5 ┤ ⠈⢆',
      '   1  2       1 2',
      '',
      'dot',
      '  │',
      '3 ┤⠁',
      '   5',
    ]);
  });

  it('leaves out what has no points', () => {
    expect(plotCurves([curve('none', [])])).toEqual([]);
    expect(plotCurves([curve('none', []), curve('rise', [0, 1])], small)[0]).toBe('rise');
  });

  it('is ten lines of at most 80 columns, however many points there are and whatever their size', () => {
    const wave = Array.from({ length: 1000 }, (_, i) => -123456 * Math.sin(i / 50));
    const lines = plotCurves([curve('wave', wave), curve('small', [1e-9, 2e-9])]);
    expect(lines).toHaveLength(10);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines[1]).toMatch(/^ 123,45\d ┤.* 2\.00e-9 ┤/);
    expect(lines[8]).toMatch(/^-123,45\d ┤.* 1\.00e-9 ┤/);
    expect(lines[9]).toMatch(/^ {10}1 +1000 +1 +2$/);
  });
});
