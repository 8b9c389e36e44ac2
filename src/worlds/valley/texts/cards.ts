/** The card of every dataset, written from its rows, its template file and the notes on how it is made. */

import { messagesText } from '../../../message.ts';
import { renderTemplate } from '../../../tasks/template.ts';
import type { TemplateFile } from '../../../tasks/template-file.ts';
import { cardNotes, columnMeanings } from './card-notes.ts';

/** Any row of a dataset. */
export interface CardRow {
  readonly id: string;
  readonly split: string;
}

const fieldsOf = (row: CardRow): Readonly<Record<string, unknown>> => ({ ...row });

/** "train 320, validation 40, test 50" */
function sizes(rows: readonly CardRow[]): string {
  const splits = [...new Set(rows.map((row) => row.split))];
  return splits.map((split) => `${split} ${rows.filter((row) => row.split === split).length}`).join(', ');
}

/** How often each answer is right in the test split, or how often it stands at each place among the options. */
function balance(file: TemplateFile, rows: readonly CardRow[]): string {
  const { options, answer } = file;
  if (options === undefined) return 'free text, no labels';
  const test = rows.filter((row) => row.split === 'test').map(fieldsOf);
  const labelOf = (fields: Readonly<Record<string, unknown>>): string => {
    const right = String(fields[answer.column]);
    if ('list' in options) return right;
    return `place ${((fields[options.column] ?? []) as readonly string[]).indexOf(right) + 1}`;
  };
  const counts = new Map<string, number>();
  for (const fields of test) counts.set(labelOf(fields), (counts.get(labelOf(fields)) ?? 0) + 1);
  const told = [...counts].sort().map(([label, count]) => `${label} ${count}`);
  return `${'list' in options ? 'answers' : 'the right option'} in test: ${told.join(', ')}`;
}

/** The first train row as the first template shows it. */
function example(file: TemplateFile, rows: readonly CardRow[]): string {
  const [row, template] = [rows.find(({ split }) => split === 'train'), file.templates[0]];
  if (row === undefined || template === undefined) return '';
  const rendered = renderTemplate(file, template, { where: row.id, fields: { ...row } });
  return `\`\`\`\n${messagesText(rendered.messages)}\n\`\`\`\n\n→ \`${rendered.target}\``;
}

function templateCounts(file: TemplateFile): string {
  const names = { direct: 'direct', inverted: 'inverted', chain_of_thought: 'chain of thought', dialogue: 'dialogue' };
  return Object.entries(names)
    .map(([kind, name]) => ({ name, of: file.templates.filter((template) => template.kind === kind) }))
    .filter(({ of }) => of.length > 0)
    .map(({ name, of }) => {
      const unseen = of.filter(({ split }) => split === 'unseen').length;
      return `${of.length} ${name}${unseen > 0 ? ` (${unseen} of them unseen)` : ''}`;
    })
    .join(', ');
}

function card(file: TemplateFile, rows: readonly CardRow[]): string {
  const [made, limits] = cardNotes[file.dataset] ?? ['', ''];
  const columns = Object.keys(rows[0] ?? {}).filter((name) => name !== 'id' && name !== 'split');
  const lines = [
    `## ${file.dataset}`,
    '',
    file.description,
    '',
    `- cluster: ${file.cluster}; metric: ${file.metric}`,
    `- rows: ${sizes(rows)}`,
    `- labels: ${balance(file, rows)}`,
    `- columns: ${columns.map((name) => `\`${name}\` (${columnMeanings[name] ?? name})`).join(', ')}`,
    `- templates: ${templateCounts(file)}`,
    `- how made: ${made}`,
    `- limits: ${limits}`,
    '',
    example(file, rows),
  ];
  return lines.join('\n');
}

/** CARDS.md: a card for each dataset, in order of cluster and name. */
export function writeCards(datasets: readonly { file: TemplateFile; rows: readonly CardRow[] }[]): string {
  const sorted = [...datasets].sort((a, b) => {
    const [one, other] = [a, b].map(({ file }) => `${file.cluster} ${file.dataset}`) as [string, string];
    return one < other ? -1 : 1;
  });
  const clusters = new Set(sorted.map(({ file }) => file.cluster)).size;
  const head =
    '# Cards of the datasets\n\n' +
    'Written by `node --import tsx scripts/build-seed.ts` from rows and templates; a test compares it with them. All texts are about the\n' +
    `invented valley and are the project's own, Apache-2.0. ${sorted.length} datasets in ${clusters} clusters.\n` +
    'Every row also has `id` and `split`.\n';
  return `${[head, ...sorted.map(({ file, rows }) => card(file, rows))].join('\n')}\n`.replaceAll('\n## ', '\n\n## ');
}
