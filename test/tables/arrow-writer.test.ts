import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inspectTable, readTable, writeTable } from '../../src/tables/arrow-file.ts';
import { openTableWriter } from '../../src/tables/arrow-writer.ts';
import { int32, int32List, utf8 } from '../../src/tables/columns.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const columns = { text: utf8('A text.'), n: int32('A number.'), ids: int32List('Ids.') };
const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ text: `row ${n} ü`, n, ids: Int32Array.of(n, n + 1) }));

test('a table written row by row is the same as one written at once, whatever its length', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1, 999, 1000, 1001, 2500), async (count) => {
      const rows = rowsOf(count);
      const table = await openTableWriter(path('a.arrow'), columns, { made: 'by a test' });
      for (const row of rows) table.append(row);
      await table.close({ count: String(count) });
      await writeTable(path('b.arrow'), columns, rows, { made: 'by a test', count: String(count) });
      const [a, b] = ['a.arrow', 'b.arrow'].map((name) => readTable(path(name), columns, 'nothing'));
      expect(a).toEqual(b);
      expect(inspectTable(path('a.arrow')).columns).toEqual(inspectTable(path('b.arrow')).columns);
    }),
    { numRuns: 12 },
  );
});

test('nothing stands under the name until the table is closed, and nothing is left of one that is discarded', async () => {
  writeFileSync(path('a.arrow'), 'old');
  const table = await openTableWriter(path('a.arrow'), columns);
  for (const row of rowsOf(3000)) table.append(row);
  expect(readFileSync(path('a.arrow'), 'utf8')).toBe('old');
  expect(readdirSync(path())).toHaveLength(2);
  table.discard();
  expect(readdirSync(path())).toEqual(['a.arrow']);
  expect(readFileSync(path('a.arrow'), 'utf8')).toBe('old');
});

test('a value that does not fit is named with its row', async () => {
  const table = await openTableWriter(path('a.arrow'), columns);
  for (const row of rowsOf(2)) table.append(row);
  expect(() => table.append({ text: 'x', n: 1.5, ids: Int32Array.of() })).toThrow(
    /a\.arrow: row 2, column "n": expected int32, received 1\.5\. Not written\.$/,
  );
  table.discard();
});

test('a place that cannot be written is an error for people', async () => {
  writeFileSync(path('file'), '');
  await expect(openTableWriter(path('file', 'a.arrow'), columns)).rejects.toThrow(
    /could not be written .* A part of the path is a file: choose another name or remove it\.$/,
  );
});
