/** Configuration of an import: which files, which shape, which column from which field, and what happens to bad rows. */
import { z } from 'zod';
import { valueKinds } from '../src/import/column-value.ts';
import { encodings } from '../src/import/encodings.ts';
import { formats } from '../src/import/file-kind.ts';
import { rankedPairs } from '../src/import/pairs.ts';
import { mappingProblems, shapeNames } from '../src/import/shape-columns.ts';
import { turnOddities } from '../src/import/turns.ts';
import { filePath } from '../src/run/sections.ts';

const regularExpression = z.string().refine(isRegularExpression, 'expected a regular expression');

function isRegularExpression(text: string): boolean {
  try {
    new RegExp(text, 'su');
    return true;
  } catch {
    return false;
  }
}

const Column = z.union([
  z.string().min(1),
  z.int().nonnegative(),
  z
    .strictObject({
      from: z
        .union([z.string().min(1), z.int().nonnegative()])
        .optional()
        .describe('Field: name, number or path a.*.b.'),
      constant: z.string().optional().describe('The same value for every row.'),
      default: z.string().optional().describe('Stands in for a missing or empty field; without it the row is bad.'),
      match: regularExpression.optional().describe('Regular expression whose first group is kept; no match: bad row.'),
      replace: z
        .record(regularExpression, z.string())
        .optional()
        .describe('Regular expression → text in its place; then spaces at both ends are cut.'),
      map: z.record(z.string(), z.string()).optional().describe('Value → value; others stay.'),
      thresholds: z
        .array(z.strictObject({ below: z.number().optional(), is: z.string() }))
        .min(1)
        .optional()
        .describe('A number becomes the `is` of the first entry it lies below.'),
      split: z
        .string()
        .min(1)
        .optional()
        .describe('Delimiter at which a text becomes a list; spaces around its parts are cut.'),
      kind: z.enum(valueKinds).optional().describe('What the column holds: text, list, integer or number.'),
    })
    .refine((spec) => (spec.from === undefined) !== (spec.constant === undefined), 'expected either from or constant')
    .refine(({ constant, kind: _, ...steps }) => constant === undefined || Object.keys(steps).length === 0, {
      message: 'a constant stays as it is; expected only kind beside it',
    }),
]);

const Input = z.strictObject({
  path: filePath(
    'File, folder, pattern such as data/**/*.jsonl, or Hugging Face save_to_disk folder; .gz and .zst are unpacked.',
  ).optional(),
  files: z
    .array(z.strictObject({ path: filePath('File, folder or pattern.'), split: z.string().min(1).optional() }))
    .min(1)
    .optional()
    .describe('Several of them, each with the split of its rows, instead of path.'),
  format: z.enum(formats).default('auto').describe('auto goes by the first bytes and the ending.'),
  encoding: z
    .enum(encodings)
    .default('utf-8')
    .describe('How text is stored in JSONL, JSON, CSV and TSV; a byte order mark is heeded.'),
  delimiter: z.string().min(1).nullable().default(null).describe('CSV: sign between values; null: comma, in .tsv tab.'),
  quote: z.string().min(1).nullable().default(null).describe('CSV: quote sign or none; null: ", in .tsv none.'),
  header: z.boolean().default(true).describe('CSV: whether the first line names the columns.'),
  explode: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Field with a list, whose entries become rows; their fields stand beside those of the row.'),
});

const Split = z.strictObject({
  name: z.string().min(1).optional().describe('One split for all rows.'),
  column: z.string().min(1).optional().describe('Column or field whose value is the split; $file, $split, $key too.'),
  map: z.record(z.string(), z.string().min(1)).optional().describe('Value of that column → split.'),
  otherwise: z.string().min(1).optional().describe('Split of values that map does not name.'),
  fractions: z
    .record(z.string(), z.number().positive())
    .optional()
    .describe('Split → share, drawn by hash; with column, divides its train rows.'),
  by: z.array(z.string().min(1)).min(1).optional().describe('Columns hashed: rows alike in them stay together.'),
  seed: z.int().default(1).describe('Seed of the hash.'),
});

export const ImportConfig = z
  .strictObject({
    input: Input,
    shape: z.enum(shapeNames).describe('What a row is; decides the columns of the table.'),
    columns: z.record(z.string(), Column).default({}).describe('Column of the table → field of the source.'),
    messages: z
      .strictObject({
        role: z.string().min(1).default('role').describe('Key of the speaker in a message; "from" in ShareGPT files.'),
        content: z.string().min(1).default('content').describe('Key of its text; "value" in ShareGPT files.'),
        accept: z
          .array(z.enum(turnOddities))
          .default([])
          .describe(
            'Odd turns that are mended and counted instead of refused: same_role joins turns of one role by a blank line; assistant_first leaves out what the assistant says before the user, user_last what the user says after the last answer, empty_turn turns without text.',
          ),
      })
      .prefault({}),
    ranked: z
      .strictObject({
        pairs: z.enum(rankedPairs).default('all').describe('Pairs of a ranked group: every two, or best against rest.'),
        tie: z.number().nonnegative().default(0).describe('Answers whose scores are this close give no pair.'),
      })
      .prefault({}),
    split: Split.prefault({}),
    badRows: z.enum(['fatal', 'skip']).default('fatal').describe('fatal names the first 20 and writes nothing.'),
    limits: z
      .strictObject({
        field: z.int().positive().default(1_000_000).describe('Longest text in characters; a longer one is a bad row.'),
      })
      .prefault({}),
    provenance: z
      .strictObject({
        source: z.string().min(1).describe('Where the files come from: address and commit.'),
        licence: z.string().min(1).describe('Licence of the data.'),
      })
      .describe('Stored in the metadata of the table.'),
    output: filePath('The .arrow table to write, or .jsonl.').regex(/\.(arrow|jsonl)$/, 'expected .arrow or .jsonl'),
  })
  .superRefine(({ input, split, shape, columns, messages, ranked }, context) => {
    const fail = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if ((input.path === undefined) === (input.files === undefined)) fail(['input'], 'expected either path or files');
    if (split.name !== undefined && (split.column ?? split.fractions) !== undefined) {
      fail(['split'], 'expected either name, or column and fractions');
    }
    for (const key of ['map', 'otherwise'] as const) {
      if (split[key] !== undefined && split.column === undefined)
        fail(['split', key], 'is read beside split.column; expected one');
    }
    if (split.fractions === undefined && (split.by !== undefined || split.seed !== 1)) {
      fail(['split', split.by === undefined ? 'seed' : 'by'], 'is read beside split.fractions; expected them');
    }
    const { format, delimiter, quote, header } = input;
    if (!['auto', 'csv', 'tsv'].includes(format) && (delimiter !== null || quote !== null || !header)) {
      fail(
        ['input', 'format'],
        `delimiter, quote and header are read of csv and tsv; expected them left out for ${format}`,
      );
    }
    for (const { path, message } of mappingProblems(shape, columns)) fail(['columns', ...path], message);
    const isSpelt = messages.role !== 'role' || messages.content !== 'content' || messages.accept.length > 0;
    if (isSpelt && shape !== 'messages' && shape !== 'preference') {
      fail(['messages'], `is read for shapes messages and preference; expected none for shape ${shape}`);
    }
    if ((ranked.pairs !== 'all' || ranked.tie !== 0) && shape !== 'ranked') {
      fail(['ranked'], `is read for shape ranked; expected none for shape ${shape}`);
    }
    if (shape === 'task' && Object.keys(columns).length === 0) fail(['columns'], 'expected a column or more');
    for (const name of ['split', 'source', 'source_row']) {
      if (name in columns) fail(['columns', name], 'is written by the importer; expected another name');
    }
  });
export type ImportConfig = z.infer<typeof ImportConfig>;
