import { describe, expect, test } from 'vitest';
import { formatNumber, formatTable } from '../../src/report/table.ts';

describe('formatTable', () => {
  test('aligns text to the left and numbers to the right', () => {
    expect(
      formatTable(
        ['task', 'accuracy', 'rows'],
        [
          ['person_trade', 0.75, 1200],
          ['chat', null, 40],
        ],
      ),
    ).toEqual([
      'task          accuracy   rows',
      '------------  --------  -----',
      'person_trade     0.750  1,200',
      'chat                 –     40',
    ]);
  });

  test('follows the alignment it is given, and fills short rows with dashes', () => {
    expect(formatTable(['a', 'bb'], [['x'], ['long', 'y']], { align: ['right', 'left'] })).toEqual([
      '   a  bb',
      '----  --',
      '   x  –',
      'long  y',
    ]);
  });

  test('measures characters, not UTF-16 units', () => {
    expect(formatTable(['n', 'm'], [['𝔸', 'b']])[2]).toBe('𝔸  b');
  });

  test('shows headers alone where there are no rows', () => {
    expect(formatTable(['task', 'n'], [])).toEqual(['task  n', '----  -']);
  });
});

describe('formatNumber', () => {
  test.each([
    [0, '0'],
    [-0, '0'],
    [7, '7'],
    [-1234567, '-1,234,567'],
    [0.5, '0.500'],
    [2.34567, '2.346'],
    [12.3456, '12.35'],
    [123.456, '123.5'],
    [6412.7, '6,413'],
    [0.00042, '4.20e-4'],
    [1.5e13, '1.50e+13'],
    [Number.NaN, 'NaN'],
    [-Infinity, '-Infinity'],
  ])('shows %d as %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });
});
