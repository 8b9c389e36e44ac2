/** Rows of a shape: made of the values that a mapping picks from the fields of a source. */
import type { Message } from '../message.ts';
import { type Column, type Columns, float64, int32, utf8, utf8List } from '../tables/columns.ts';
import { messageRows } from '../tables/message-column.ts';
import { checkText, type TextLimits } from './check-text.ts';
import type { ColumnSource, ColumnSpec } from './column-value.ts';
import { shortestNumber } from './exact-json.ts';
import { type MessageKeys, parseMessages, parseTools } from './messages.ts';
import { finite, type Pair, type rankedPairs, readPair, readPreferred, readRanked } from './pairs.ts';
import { ownColumns, reservedBy, type ShapeName } from './shape-columns.ts';
import { isVoid, RowProblem, show } from './source-row.ts';
import { rolesOf } from './turns.ts';

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
  const { sources, read } = shapeOf(name, mapped, rules);
  const carried = Object.entries(mapped).filter(([column]) => column !== 'id' && !reservedBy(name).has(column));
  const columns = {
    ...ownColumns[name],
    ...Object.fromEntries(carried.map(([column, spec]) => [column, mappedColumn(spec)])),
  };
  return {
    columns,
    sources: { ...sources, ...mapped, ...mayBeMissing(mapped, optionalInputs[name]) },
    rows: (values) => {
      const extra = Object.fromEntries(
        carried.map(([column, spec]) => [column, readValue(column, spec, values, rules)]),
      );
      return read(values).map((row) => ({ ...row, ...extra }));
    },
  };
}

/** Inputs of shapes that rows may lack. */
const optionalInputs: Partial<Record<ShapeName, readonly string[]>> = {
  alpaca: ['input'],
  messages: ['system', 'tools'],
};

/** Mappings that give an empty text where the field is missing. */
function mayBeMissing(mapped: Specs, inputs: readonly string[] = []): Specs {
  const sources = inputs.flatMap((input): [string, ColumnSource][] => {
    const spec = mapped[input];
    if (spec === undefined || (typeof spec === 'object' && spec.constant !== undefined)) return [];
    const source = typeof spec === 'object' ? spec : { from: spec };
    return [[input, { ...source, default: source.default ?? '' }]];
  });
  return Object.fromEntries(sources);
}

interface Own {
  /** Where the shape's values come from unless the configuration says otherwise. */
  sources: Specs;
  read(values: Values): readonly Values[];
}

/** Where values come from unless the configuration says otherwise, and how rows are made of them. */
function shapeOf(name: ShapeName, mapped: Specs, rules: ShapeRules): Own {
  const texts = (values: Values, names: readonly string[]): Values =>
    Object.fromEntries(names.map((column) => [column, checkText(column, values[column], rules)]));
  switch (name) {
    case 'task':
      return { sources: {}, read: () => [{}] };
    case 'alpaca':
      return {
        sources: { instruction: 'instruction', input: { from: 'input', default: '' }, output: 'output' },
        read: (values) => [
          { ...texts(values, ['instruction', 'output']), input: checkText('input', values.input, rules, true) },
        ],
      };
    case 'prompt_completion':
      return {
        sources: { prompt: 'prompt', completion: 'completion' },
        read: (values) => [texts(values, ['prompt', 'completion'])],
      };
    case 'messages':
      return {
        sources: {
          messages: 'messages',
          system: { from: 'system', default: '' },
          tools: { from: 'tools', default: '' },
        },
        read: (values) => [readConversation(values, rules)],
      };
    case 'preference': {
      const isPreferred = mapped.preferred !== undefined;
      const read = (values: Values): readonly Pair[] => [
        isPreferred ? readPreferred(values, rules) : readPair(values, rules),
      ];
      return { sources: isPreferred ? {} : { chosen: 'chosen', rejected: 'rejected' }, read };
    }
    case 'ranked': {
      const sources = { prompt: 'prompt', answers: 'answers', scores: 'scores' };
      return { sources, read: (values) => readRanked(values, rules) };
    }
    case 'labelled':
      return {
        sources: { prompt: 'prompt', completion: 'completion', label: 'label' },
        read: (values) => [{ ...texts(values, ['prompt', 'completion']), label: readLabel(values.label) }],
      };
    case 'text':
      return { sources: { text: 'text' }, read: (values) => [texts(values, ['text'])] };
  }
}

function readConversation(values: Values, rules: ShapeRules): Values {
  const messages = parseMessages('messages', values.messages, rules);
  const [first] = messages;
  const isLed = first?.role === 'system';
  const spoken = isLed ? messages.slice(1) : messages;
  if (spoken.at(-1)?.role !== 'assistant') {
    const remedy = spoken.length > 1 ? '; messages.accept: [user_last] leaves out what the user says after it' : '';
    const received = `received ${rolesOf(messages)}`;
    throw new RowProblem('no answer', `"messages": expected the assistant to have the last word, ${received}${remedy}`);
  }
  if (spoken.every(({ role, learned }) => role !== 'assistant' || learned === false)) {
    const problem = '"messages": every answer has weight 0; expected one to learn from';
    throw new RowProblem('answers with weight 0', problem);
  }
  const system = readSystem(values.system, isLed ? first.content : '', rules);
  const lead: Message[] = system === '' ? [] : [{ role: 'system', content: system }];
  const tools = parseTools(values.tools);
  return { messages: messageRows([...lead, ...spoken]), tools: tools === undefined ? null : JSON.stringify(tools) };
}

/** The system text of a row: of its own field, or of the first message; both only where they are the same. */
function readSystem(field: unknown, message: string, rules: ShapeRules): string {
  const text = isVoid(field) ? '' : checkText('system', field, rules, true);
  if (text.trim() === '') return message;
  if (message === '' || message === text) return text;
  const problem = `"system": ${show(text)}, but the first message is the system's too: ${show(message)}; expected one of them`;
  throw new RowProblem('two system texts', problem);
}

function readLabel(value: unknown): boolean {
  const text = shortestNumber(String(value).toLowerCase());
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
