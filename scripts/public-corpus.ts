/** Makes a pre-training corpus from the train rows of imported tables: every distinct text once, every fiftieth held out. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { DataError } from '../src/errors.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { runMain } from '../src/run/program.ts';
import { inspectTable } from '../src/tables/arrow-file.ts';

/** Columns that make one document, joined by line breaks; the first set of which a table has all is used. */
const documents: readonly (readonly (readonly string[])[])[] = [
  [
    ['prompt', 'chosen'],
    ['prompt', 'rejected'],
  ],
  [['question', 'why']],
  [['question']],
  [['text']],
];

/**
 * The distinct texts of the train rows of every `.arrow` table of a folder, in order of file and row. Labels are not in it.
 *
 * @throws DataError where the folder has no table, or naming tables without a column that is known to hold text
 */
export function publicDocuments(folder: string): { id: string; kind: string; text: string }[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.arrow'));
  if (files.length === 0)
    throw new DataError(`${folder}: no .arrow table; expected imported ones. Run npm run import.`);
  const found = new Map<string, { id: string; kind: string; text: string }>();
  const problems: string[] = [];
  for (const file of files.sort()) {
    const kind = basename(file, '.arrow');
    const table = inspectTable(join(folder, file));
    const names = table.columns.map(({ name }) => name);
    const sets = documents.find((candidate) => candidate.flat().every((name) => names.includes(name)));
    if (sets === undefined) problems.push(`${folder}/${file}: no column text, question or prompt. Move it elsewhere.`);
    for (let index = 0; index < table.rowCount; index++) {
      const row = table.row(index);
      if (row.split !== 'train') continue;
      for (const columns of sets ?? []) {
        const text = columns.map((name) => String(row[name]).trim()).join('\n');
        if (!found.has(text)) found.set(text, { id: `${kind}-${found.size}`, kind, text });
      }
    }
  }
  if (problems.length > 0) throw new DataError(problems);
  return [...found.values()];
}

await runMain(import.meta.url, async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tables: { type: 'string', default: 'data/build/public' },
      out: { type: 'string', default: 'data/build/public-corpus' },
    },
  });
  const all = publicDocuments(values.tables);
  const isHeldOut = (index: number): boolean => index % 50 === 49;
  for (const [name, part] of [
    ['train', all.filter((_, i) => !isHeldOut(i))],
    ['held-out', all.filter((_, i) => isHeldOut(i))],
  ] as const) {
    const path = join(values.out, `${name}.jsonl`);
    await atomicWrite(path, part.map((document) => `${JSON.stringify(document)}\n`).join(''));
    console.log(
      `${path}: ${part.length} documents, ${part.reduce((sum, { text }) => sum + text.length, 0)} characters`,
    );
  }
});
