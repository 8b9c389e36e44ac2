/** The shape of a template file: every key with its type, default and meaning. */
import { z } from 'zod';

/** Kinds of templates that people write. */
const writtenKinds = ['direct', 'inverted', 'chain_of_thought', 'dialogue'] as const;
/** What a template asks for; conversations and texts have one of their own, which writes them as they are. */
export const templateKinds = [...writtenKinds, 'conversation', 'text'] as const;
export type TemplateKind = (typeof templateKinds)[number];

/** How the answers of a dataset are judged; "gold" has no right answer: a judge scores it. */
const taskMetrics = ['accuracy', 'exact_match', 'token_f1', 'rouge_l', 'chrf', 'gold'] as const;
export type TaskMetric = (typeof taskMetrics)[number];

const Turn = z.strictObject({
  input: z.string().describe('What is said to the model.'),
  target: z.string().describe('What it answers.'),
});

export const TemplateEntry = z.strictObject({
  id: z.string().min(1).describe('Names the template within its dataset.'),
  split: z.enum(['train', 'unseen']).describe('"unseen" templates are never trained on.'),
  kind: z
    .enum(writtenKinds)
    .default('direct')
    .describe('inverted asks for the input given the answer; chain_of_thought for reasons first; dialogue has turns.'),
  input: z.string().optional().describe('Pattern of the prompt; {column} is a field, {options_} the options.'),
  target: z.string().optional().describe('Pattern of the answer.'),
  turns: z.array(Turn).min(2).optional().describe('Patterns of a dialogue, instead of input and target.'),
  choices: z
    .record(z.string(), z.string().min(1))
    .optional()
    .describe('The wording of the answers in this template, e.g. {"yes": "true", "no": "false"}.'),
});

const FewShot = z.strictObject({
  input: z.string().default('{input}').describe('Pattern around the prompt of each example.'),
  target: z.string().default('{target}').describe('Pattern around the answer of each example.'),
  between: z.string().default('\n ').describe('Text between prompt and answer of an example.'),
  separator: z.string().default('\n\n').describe('Text between two examples.'),
});

export const TemplateFileSchema = z.strictObject({
  dataset: z.string().min(1).describe('Name of the dataset; its rows are in <dataset>.jsonl or <dataset>.arrow.'),
  cluster: z.string().min(1).describe('Kind of task. Datasets of one cluster are held out together.'),
  description: z.string().min(1).describe('What the dataset asks, in a sentence.'),
  columns: z.array(z.string()).min(1).describe('Fields that every row has and templates may use.'),
  options: z
    .union([z.strictObject({ list: z.array(z.string()).min(2) }), z.strictObject({ column: z.string() })])
    .optional()
    .describe('The possible answers, the same for all rows or a field of each row. Absent for free text.'),
  answer: z.strictObject({ column: z.string() }).describe('The field that holds the right answer.'),
  rationale: z
    .strictObject({ column: z.string() })
    .optional()
    .describe('The field with the reasons; chain_of_thought templates need it.'),
  answer_pattern: z
    .string()
    .default('[Tt]he answer is ((?:(?![Tt]he answer is).)+?)\\.?$')
    .describe('Regular expression that finds the answer in a chain of thought: group 1 of the last match.'),
  prompt_only: z.array(z.string()).default([]).describe('Splits whose rows are prompts without an answer.'),
  metric: z.enum(taskMetrics).describe('How answers are judged.'),
  few_shot: FewShot.prefault({}).describe('How examples in front of a prompt are written.'),
  templates: z.array(TemplateEntry).min(1).describe('The patterns.'),
});

/** A template file as written, before its patterns are checked. */
export type RawTemplateFile = z.output<typeof TemplateFileSchema>;
export type RawTemplate = RawTemplateFile['templates'][number];
