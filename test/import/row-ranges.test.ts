import { expect, test } from 'vitest';
import { openRowRanges } from '../../src/import/row-ranges.ts';

test('rows in a row are one range, files stand apart, and places without a row stay as they are', () => {
  const ranges = openRowRanges();
  expect(ranges.list()).toEqual([]);
  for (const where of ['a:b.jsonl:2', 'a:b.jsonl:3', 'a:b.jsonl:7', 'c.parquet: row 9', 'c.parquet: row 10', 'd.gz'])
    ranges.add(where);
  expect(ranges.list()).toEqual(['a:b.jsonl:2-3,7', 'c.parquet:9-10', 'd.gz']);
});

test('a source of bad rows throughout does not fill the memory', () => {
  const ranges = openRowRanges();
  for (let row = 1; row <= 6000; row += 2) ranges.add(`a.jsonl:${row}`);
  const [rows, more] = ranges.list();
  expect(rows?.split(',')).toHaveLength(1000);
  expect(more).toBe('…');
});
