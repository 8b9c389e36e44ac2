import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';

const fixtures = fileURLToPath(new URL('../fixtures/import/', import.meta.url));
const path = useTemporaryFolder();
let count = 0;

/** Imports bytes under a name: rows come out or a UserError, and nothing else is left in the folder. */
async function survives(name: string, bytes: Uint8Array): Promise<void> {
  const folder = path(String(count++));
  mkdirSync(folder);
  const file = join(folder, name);
  writeFileSync(file, bytes);
  const columns = { text: { from: 'text', default: '-' }, tags: { from: 'tags', kind: 'list', default: '-' } };
  let isWritten = true;
  try {
    await importRows(file, { shape: 'task', columns, badRows: 'skip' });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    isWritten = false;
  }
  expect(readdirSync(folder).sort()).toEqual(isWritten ? [name, 'out.arrow'].sort() : [name]);
}

/** A valid file with a few bytes changed, a piece cut out, or a piece doubled. */
function mutated(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat({ max: original.length - 1 });
  const change = fc.array(fc.tuple(at, fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }).map((changes) => {
    const bytes = Uint8Array.from(original);
    for (const [index, value] of changes) bytes[index] = value;
    return bytes;
  });
  const cut = fc.tuple(at, at).map(([a, b]) => {
    const [start, end] = [Math.min(a, b), Math.max(a, b)];
    return Uint8Array.from([...original.subarray(0, start), ...original.subarray(end)]);
  });
  const doubled = fc
    .tuple(at, at)
    .map(([a, b]) => Uint8Array.from([...original.subarray(0, a), ...original.subarray(b)]));
  return fc.oneof({ weight: 3, arbitrary: change }, cut, doubled);
}

const files = [
  'pandas.feather',
  'pandas-zstd.feather',
  'polars.arrow',
  'polars-lz4.arrow',
  'polars.arrows',
  'large-types.arrow',
  'none.parquet',
  'snappy.parquet',
  'zstd.parquet',
  'gzip.parquet',
  'brotli.parquet',
  'lz4.parquet',
  'plain.csv',
  'plain.tsv.gz',
  'lines.jsonl',
  'list.json',
];

describe('an import of a damaged file gives rows or an error for people, and no half file', () => {
  test.each(files)('%s', async (name) => {
    const original = readFileSync(join(fixtures, name));
    await fc.assert(
      fc.asyncProperty(mutated(original), (bytes) => survives(name, bytes)),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 60), seed: 20_260_101 },
    );
  });

  test.each([
    'a.jsonl',
    'a.json',
    'a.csv',
    'a.tsv',
    'a.parquet',
    'a.arrow',
    'a.jsonl.gz',
  ])('%s of random bytes', async (name) => {
    const starts = ['', 'PAR1', 'ARROW1\0\0', '\xff\xff\xff\xff', '\x1f\x8b\x08', '[{"text":', 'text,tags\n"'];
    const bytes = fc
      .tuple(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }), fc.constantFrom('', 'PAR1', 'ARROW1'))
      .map(([start, middle, end]) => Buffer.concat([Buffer.from(start, 'latin1'), middle, Buffer.from(end)]));
    await fc.assert(
      fc.asyncProperty(bytes, (content) => survives(name, content)),
      { numRuns: 60, seed: 1 },
    );
  });
});
