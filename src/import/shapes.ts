/** The shapes a source can have, and the columns each becomes. */
import { bool, type Column, type Columns, float32, float64, int32, utf8, utf8List } from '../data/columns.ts';
import { checkText, type TextLimits } from './check-text.ts';
import type { ColumnSource, ColumnSpec } from './column-value.ts';
import { type MessageKeys, parseMessages } from './messages.ts';
import { finite, type Pair, type rankedPairs, readPair, readPreferred, readRanked } from './pairs.ts';
import { RowProblem, show } from './source-row.ts';

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

type Values = Readonly<Record<string, unknown>>;
type Specs = Readonly<Record<string, ColumnSpec>>;

/** How rows of one shape are made. */
export interface Shape {
  /** Columns of the table, without id, split and provenance. */
  columns: Columns;
  /** Where each value comes from. */
  sources: Specs;
  /** The rows that one row of the source gives. Throws RowProblem. */
  rows(values: Values): readonly Values[];
}

/** What the shapes need to know besides the columns. */
export interface ShapeRules extends MessageKeys {
  pairs: (typeof rankedPairs)[number];
  tie: number;
}

/** A shape with the columns a configuration maps; columns that are not its own are carried along. */
export function openShape(name: ShapeName, mapped: Specs, rules: ShapeRules): Shape {
  const { own, sources, read } = shapeOf(name, mapped, rules);
  const { id: _, ...given } = mapped;
  const consumed = new Set([...Object.keys(own), ...Object.keys(sources), ...inputsOf[name]]);
  const carried = Object.entries(given).filter(([column]) => !consumed.has(column));
  const columns = { ...own, ...Object.fromEntries(carried.map(([column, spec]) => [column, mappedColumn(spec)])) };
  return {
    columns,
    sources: { ...sources, ...mapped },
    rows: (values) => {
      const extra = Object.fromEntries(
        carried.map(([column, spec]) => [column, readValue(column, spec, values, rules)]),
      );
      return read(values).map((row) => ({ ...row, ...extra }));
    },
  };
}

/** Names that a shape reads from but does not write. */
const inputsOf: Readonly<Record<ShapeName, readonly string[]>> = {
  task: [],
  alpaca: [],
  prompt_completion: [],
  messages: ['messages'],
  preference: ['first', 'second', 'preferred'],
  ranked: ['answers', 'scores'],
  labelled: [],
  text: [],
};

interface Own {
  own: Columns;
  /** Where the shape's values come from unless the configuration says otherwise. */
  sources: Specs;
  read(values: Values): readonly Values[];
}

function shapeOf(name: ShapeName, mapped: Specs, rules: ShapeRules): Own {
  const texts = (values: Values, names: readonly string[]): Values =>
    Object.fromEntries(names.map((column) => [column, checkText(column, values[column], rules)]));
  switch (name) {
    case 'task':
      return { own: {}, sources: {}, read: () => [{}] };
    case 'alpaca':
      return {
        own: alpacaColumns,
        sources: { instruction: 'instruction', input: { from: 'input', default: '' }, output: 'output' },
        read: (values) => [
          { ...texts(values, ['instruction', 'output']), input: checkText('input', values.input, rules, true) },
        ],
      };
    case 'prompt_completion':
      return {
        own: completionColumns,
        sources: { prompt: 'prompt', completion: 'completion' },
        read: (values) => [texts(values, ['prompt', 'completion'])],
      };
    case 'messages':
      return { own: messageColumns, sources: { messages: 'messages' }, read: (values) => [readTurns(values, rules)] };
    case 'preference': {
      const isPreferred = mapped.preferred !== undefined;
      const read = (values: Values): readonly Pair[] => [
        isPreferred ? readPreferred(values, rules) : readPair(values, rules),
      ];
      return { own: pairColumns, sources: isPreferred ? {} : { chosen: 'chosen', rejected: 'rejected' }, read };
    }
    case 'ranked': {
      const sources = { prompt: 'prompt', answers: 'answers', scores: 'scores' };
      return { own: pairColumns, sources, read: (values) => readRanked(values, rules) };
    }
    case 'labelled':
      return {
        own: { ...completionColumns, label: bool('True where the completion was judged good.') },
        sources: { prompt: 'prompt', completion: 'completion', label: 'label' },
        read: (values) => [{ ...texts(values, ['prompt', 'completion']), label: readLabel(values.label) }],
      };
    case 'text':
      return { own: textColumns, sources: { text: 'text' }, read: (values) => [texts(values, ['text'])] };
  }
}

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
const messageColumns = {
  system: utf8('What the system says first; may be empty.'),
  history: utf8List('Earlier turns: user, assistant, user, …; empty for a single exchange.'),
  prompt: utf8('What the user says last.'),
  response: utf8('The last answer of the assistant.'),
};

function readTurns(values: Values, rules: ShapeRules): Values {
  const messages = parseMessages('messages', values.messages, rules);
  const [prompt, response] = messages.slice(-2);
  if (prompt?.role !== 'user' || response?.role !== 'assistant') {
    throw new RowProblem('no answer', '"messages": expected the assistant to have the last word');
  }
  const system = messages[0]?.role === 'system' ? messages[0].content : '';
  const history = messages.slice(system === '' ? 0 : 1, -2).map(({ content }) => content);
  return { system, history, prompt: prompt.content, response: response.content };
}

function readLabel(value: unknown): boolean {
  const text = String(value).toLowerCase();
  if (['true', '1', 'yes', 'good'].includes(text)) return true;
  if (['false', '0', '-1', 'no', 'bad'].includes(text)) return false;
  throw new RowProblem(
    'wrong label',
    `"label": expected true, 1, yes, good or their opposites, received ${show(value)}`,
  );
}

const kindOf = (spec: ColumnSpec): NonNullable<ColumnSource['kind']> => {
  if (typeof spec !== 'object') return 'text';
  return spec.kind ?? (spec.split === undefined ? 'text' : 'list');
};

function mappedColumn(spec: ColumnSpec): Column<unknown> {
  const from = typeof spec === 'object' ? (spec.from ?? `constant ${spec.constant}`) : spec;
  const description = `Column "${from}" of the source.`;
  const kinds = { text: utf8, list: utf8List, integer: int32, number: float64 };
  return kinds[kindOf(spec)](description);
}

function readValue(name: string, spec: ColumnSpec, values: Values, limits: TextLimits): unknown {
  const value = values[name];
  const kind = kindOf(spec);
  const mayBeEmpty = typeof spec === 'object' && spec.default === '';
  if (kind === 'text') return checkText(name, value, limits, mayBeEmpty);
  if (kind === 'list') {
    const list = Array.isArray(value) ? value : [value];
    return list.map((entry, i) => checkText(`${name}[${i}]`, entry, limits));
  }
  const number = finite(name, value);
  if (kind === 'integer' && (number | 0) !== number) {
    throw new RowProblem('not a whole number', `"${name}": expected a whole number of 32 bits, received ${number}`);
  }
  return number;
}
