/** How a configuration names the prompts of a run, and with them the judge of their answers. */

import { z } from 'zod';
import { filePath } from '../run/sections.ts';

/** Conversations of the valley with their judge, or a user's file without a judge. */
export const PolicyPrompts = z
  .strictObject({
    file: filePath(
      'JSONL with prompt and split, in place of tables and templates; nothing judges the answers then, and gold is empty.',
    ).optional(),
    raw: z
      .boolean()
      .default(false)
      .describe(
        'The response goes on with the text of the file as it is, instead of answering it as the model was trained.',
      ),
    tables: filePath('Folder with chat.jsonl and lexicon.json.').optional(),
    templates: filePath('Folder with chat.yaml.').optional(),
    split: z.string().describe('Split to take the prompts from.'),
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
