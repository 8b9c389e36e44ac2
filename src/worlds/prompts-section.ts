/** How a configuration names the prompts of a run, and with them the judge of their answers. */

import { z } from 'zod';
import { encodings } from '../import/encodings.ts';
import { filePath } from '../run/sections.ts';

/** Prompts of one's own files, without a judge, or conversations of the valley with theirs. */
export const PolicyPrompts = z
  .strictObject({
    file: filePath(
      'Your own prompts: a file, folder or pattern (JSONL, JSON, CSV, Parquet, Arrow; .gz and .zst) of texts, or of conversations that end with the user. Nothing judges the answers, and gold is empty.',
    ).optional(),
    encoding: z
      .enum(encodings)
      .default('utf-8')
      .describe('How text is stored in file; a byte order mark is heeded.')
      .meta({ readWhen: '.file!=null' }),
    badRows: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('Largest share of the rows of file that may be unusable; they are left out and named.')
      .meta({ readWhen: '.file!=null' }),
    raw: z
      .boolean()
      .default(false)
      .describe(
        'The response goes on with the text of the file as it is, instead of answering it as the model was trained.',
      ),
    tables: filePath('Folder with chat.jsonl and lexicon.json of the valley, in place of file.').optional(),
    templates: filePath('Folder with chat.yaml.').optional(),
    split: z
      .string()
      .default('train')
      .describe('Split to take the prompts from; rows of a file that say nothing of a split are of train.'),
  })
  .superRefine(({ file, tables, templates }, context) => {
    const given = Object.entries({ file, tables, templates }).flatMap(([key, value]) =>
      value === undefined ? [] : key,
    );
    if (['file', 'tables templates'].includes(given.join(' '))) return;
    const message = `expected either file, or tables and templates, received ${given.join(', ') || 'none of them'}. On the command line key=null takes a key out, as prompts.tables=null`;
    context.addIssue({ code: 'custom', message });
  })
  .refine(({ file, raw }) => !raw || file !== undefined, { path: ['raw'], message: 'expected false without a file' });
export type PolicyPrompts = z.infer<typeof PolicyPrompts>;

/** Conversations of the valley, whose answers the gold scorer judges. */
export const JudgedPrompts = z.strictObject({
  tables: filePath('Folder with chat.jsonl and lexicon.json.'),
  templates: filePath('Folder with chat.yaml.'),
  split: z.string().describe('Split of chat.jsonl to take the prompts from.'),
});
export type JudgedPrompts = z.infer<typeof JudgedPrompts>;
