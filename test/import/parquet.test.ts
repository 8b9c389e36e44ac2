import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetReadObjects, snappyUncompress } from 'hyparquet';
import { expect, test } from 'vitest';
import { momentText } from '../../src/import/date-text.ts';
import { readParquetRows } from '../../src/import/read-parquet.ts';
import { isBad } from '../../src/import/source-row.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readAll } from './read-all.ts';

// Written by Python: scripts/fixtures/import_files.py. The same rows as JSON lie beside the Parquet files.
const fixtures = fileURLToPath(new URL('../fixtures/import-files/', import.meta.url));
const path = useTemporaryFolder();
const names = ['nested-1.parquet', 'nested-2.parquet'];

test.each(
  names,
)('%s: nested columns hold the rows that Python wrote, also where they go across pages', async (name) => {
  const { rows, bad } = await readAll(join(fixtures, name));
  expect(bad).toEqual([]);
  const { rows: expected } = await readAll(join(fixtures, 'nested.jsonl.gz'));
  expect(rows.map(({ fields }) => fields)).toEqual(expected.map(({ fields }) => fields));
});

test.each([
  'dates.parquet',
  'dates.arrow',
])('%s: dates and moments are ISO text to the microsecond, and a column of nulls holds nothing', async (name) => {
  const { rows, bad } = await readAll(join(fixtures, name));
  expect(bad).toEqual([]);
  const { rows: expected } = JSON.parse(readFileSync(join(fixtures, 'dates.json'), 'utf8')) as { rows: object[] };
  expect(rows.map(({ fields }) => fields)).toEqual(expected);
});

test('moments of Parquet keep nanoseconds', () => {
  expect([momentText(1n), momentText(-1n), momentText(1_577_934_245_678_901_230n), momentText(10n ** 30n)]).toEqual([
    '1970-01-01T00:00:00.000000001Z',
    '1969-12-31T23:59:59.999999999Z',
    '2020-01-02T03:04:05.67890123Z',
    '1000000000000000000000000000000',
  ]);
});

/** Unpacks pages and counts them. */
function countingCodec(): { SNAPPY: (packed: Uint8Array, length: number) => Uint8Array; pages: () => number } {
  let pages = 0;
  const SNAPPY = (packed: Uint8Array, length: number): Uint8Array => {
    pages++;
    const page = new Uint8Array(length);
    snappyUncompress(packed, page);
    return page;
  };
  return { SNAPPY, pages: () => pages };
}

test.each(names)('%s: every page is unpacked once, so time grows with the rows', async (name) => {
  // The library reads the row group at once: that takes each page once.
  const whole = countingCodec();
  const bytes = Uint8Array.from(readFileSync(join(fixtures, name))).buffer;
  await parquetReadObjects({ file: bytes, compressors: { SNAPPY: whole.SNAPPY } });
  expect(whole.pages()).toBeGreaterThan(100);
  const parts = countingCodec();
  let slices = 0;
  for await (const rows of readParquetRows(join(fixtures, name), { SNAPPY: parts.SNAPPY })) {
    expect(rows.some(isBad)).toBe(false);
    slices++;
  }
  expect(slices).toBe(2);
  expect(parts.pages()).toBe(whole.pages());
});

test('a file that is cut off or claims other numbers of rows is named', async () => {
  const whole = readFileSync(join(fixtures, 'nested-1.parquet'));
  for (const bytes of [whole.subarray(0, -20), whole.subarray(500), Buffer.from('PAR1'), Buffer.from('')]) {
    writeFileSync(path('a.parquet'), bytes);
    const { bad } = await readAll(path('a.parquet'));
    expect(bad.map(({ reason }) => reason)).toEqual(['file damaged']);
  }
});
