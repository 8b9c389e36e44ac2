/** The shapes a source can have: the columns each becomes, what it reads, and which mappings it has no use for. */
import { bool, type Columns, float32, utf8 } from '../tables/columns.ts';
import { conversationColumns } from '../tables/message-column.ts';
import type { ColumnSpec } from './column-value.ts';

export const shapeNames = [
  'task',
  'alpaca',
  'prompt_completion',
  'messages',
  'preference',
  'ranked',
  'labelled',
  'text',
] as const;
export type ShapeName = (typeof shapeNames)[number];

const alpacaColumns = {
  instruction: utf8('What is asked.'),
  input: utf8('What it is asked about; may be empty.'),
  output: utf8('The answer.'),
};
const completionColumns = { prompt: utf8('The prompt.'), completion: utf8('The text after it.') };
const textColumns = { text: utf8('A document to pre-train on.') };
const pairColumns = {
  prompt: utf8('The prompt, without the line break after it.'),
  chosen: utf8('The preferred response.'),
  rejected: utf8('The other response.'),
  margin: float32('How much better the chosen response is, in units of the label; 0 where unknown.'),
};
/** Columns that each shape writes. */
export const ownColumns: Readonly<Record<ShapeName, Columns>> = {
  task: {},
  alpaca: alpacaColumns,
  prompt_completion: completionColumns,
  messages: conversationColumns,
  preference: pairColumns,
  ranked: pairColumns,
  labelled: { ...completionColumns, label: bool('True where the completion was judged good.') },
  text: textColumns,
};

/** What each shape makes its rows of; a pair with "preferred" is made of others. */
const inputsOf = {
  task: [],
  alpaca: ['instruction', 'input', 'output'],
  prompt_completion: ['prompt', 'completion'],
  messages: ['messages', 'system', 'tools'],
  preference: ['prompt', 'chosen', 'rejected', 'margin'],
  preferred: ['prompt', 'first', 'second', 'preferred'],
  ranked: ['prompt', 'answers', 'scores'],
  labelled: ['prompt', 'completion', 'label'],
  text: ['text'],
} as const satisfies Readonly<Record<ShapeName | 'preferred', readonly string[]>>;

/** Names that no carried column of a shape can have: what it writes, and what it may read. */
export function reservedBy(name: ShapeName): ReadonlySet<string> {
  const inputs: readonly string[] = name === 'preference' ? [...inputsOf[name], ...inputsOf.preferred] : inputsOf[name];
  return new Set([...Object.keys(ownColumns[name]), ...inputs]);
}

/**
 * What is wrong with a mapping: columns that the shape writes without reading the mapping, and a kind for a column
 * whose kind is the shape's. Each with the path of its key.
 */
export function mappingProblems(
  name: ShapeName,
  mapped: Readonly<Record<string, ColumnSpec>>,
): { path: string[]; message: string }[] {
  const isPreferred = name === 'preference' && mapped.preferred !== undefined;
  const read: readonly string[] = inputsOf[isPreferred ? 'preferred' : name];
  const expected = `expected ${read.join(', ')} or columns of other names`;
  return Object.entries(mapped).flatMap(([column, spec]) => {
    if (!reservedBy(name).has(column)) return [];
    const beside = isPreferred ? ' beside "preferred"' : '';
    if (!read.includes(column)) {
      return [{ path: [column], message: `shape ${name} does not read it${beside}; ${expected}` }];
    }
    if (typeof spec !== 'object' || spec.kind === undefined) return [];
    return [{ path: [column, 'kind'], message: `shape ${name} knows what it holds; expected no kind` }];
  });
}
