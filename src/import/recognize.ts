/** What the rows of a file are, by the names and values of their fields: conversations, questions with answers, texts. */
import { isRecord, isVoid, show } from './source-row.ts';

/** Shapes that rows to learn from have, by the names that the importer has for them too. */
export const learnedShapes = ['messages', 'alpaca', 'prompt_completion', 'text'] as const;
export type LearnedShape = (typeof learnedShapes)[number];

type Fields = Readonly<Record<string, unknown>>;

/** Names that people give to the parts of a row, in the order in which they are believed; capitals do not count. */
export const partNames = {
  messages: ['messages', 'conversations', 'conversation', 'dialogue', 'dialog', 'chat'],
  system: ['system', 'system_prompt', 'system_message'],
  instruction: ['instruction'],
  input: ['input', 'context'],
  output: ['output', 'response'],
  instances: ['instances'],
  history: ['history'],
  tools: ['tools'],
  prompt: ['prompt', 'question', 'query', 'problem', 'input'],
  completion: ['completion', 'response', 'answer', 'output', 'solution'],
  text: ['text', 'content'],
} as const;
export type Part = keyof typeof partNames;

/** Parts that a row of each shape may have or lack. */
export const optionalParts: Readonly<Record<LearnedShape, readonly Part[]>> = {
  messages: ['system', 'tools'],
  alpaca: ['input', 'history', 'system'],
  prompt_completion: ['system', 'tools'],
  text: [],
};

/** What a file's rows are taken for: the shape, and the field of each part that it cannot do without. */
export interface Recognized {
  readonly shape: LearnedShape;
  readonly fields: Readonly<Partial<Record<Part, string>>>;
}

/** The names of a row's fields that can be a part, in the order of belief. */
export function fieldsOfPart(fields: Fields, part: Part): string[] {
  const own = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  return partNames[part].flatMap((name) => own.get(name) ?? []);
}

const messageKeys = {
  role: ['role', 'from', 'speaker'],
  content: ['content', 'value', 'text'],
} as const;

/** The keys of speaker and text in a list of messages; null where it is none. */
export function keysOfMessages(value: unknown): { role: string; content: string } | null {
  if (!Array.isArray(value)) return null;
  const entries: readonly unknown[] = value;
  const keyOf = (names: readonly string[]): string | undefined =>
    names.find((name) => entries.some((entry) => isRecord(entry) && Object.hasOwn(entry, name)));
  const [role, content] = [keyOf(messageKeys.role), keyOf(messageKeys.content)];
  return role === undefined || content === undefined ? null : { role, content };
}

/** A list that stands in a text as JSON, as tables of text hold it; other values as they are. */
export function unpacked(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*\[\s*\{/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    // A text that only begins like a list stays a text.
    return value;
  }
}

const isText = (value: unknown): boolean => ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
const isMessages = (value: unknown): boolean => keysOfMessages(unpacked(value)) !== null;
const isSpoken = (value: unknown): boolean => isText(value) || isMessages(value);

/** What one row can be taken for. */
function readings(fields: Fields): Recognized[] {
  const first = (part: Part, fits: (value: unknown) => boolean): string | undefined =>
    fieldsOfPart(fields, part).find((name) => fits(fields[name]));
  const found: Recognized[] = [];
  const messages = first('messages', isMessages);
  if (messages !== undefined) found.push({ shape: 'messages', fields: { messages } });
  const instruction = first('instruction', isText);
  if (instruction !== undefined) {
    const instances = first('instances', Array.isArray);
    const output = first('output', isText);
    if (instances !== undefined) found.push({ shape: 'alpaca', fields: { instruction, instances } });
    else if (output !== undefined) found.push({ shape: 'alpaca', fields: { instruction, output } });
  } else {
    const prompt = first('prompt', isSpoken);
    const completion = first('completion', isSpoken);
    if (prompt !== undefined && completion !== undefined) {
      found.push({ shape: 'prompt_completion', fields: { prompt, completion } });
    }
  }
  const text = first('text', isText);
  // Many sets of questions and answers carry the whole of it once more as a text.
  if (text !== undefined && found.length === 0) found.push({ shape: 'text', fields: { text } });
  return found;
}

/** Fields that could be the same part of a pair, where a row has several. */
function rivals(rows: readonly Fields[], { shape, fields }: Recognized): string[] {
  if (shape !== 'prompt_completion') return [];
  return (['prompt', 'completion'] as const).flatMap((part) => {
    // "prompt" and "completion" are the shape's own names.
    if (fields[part]?.toLowerCase() === part) return [];
    const names = new Set(
      rows.flatMap((row) => fieldsOfPart(row, part).filter((name) => isSpoken(row[name]) && !isVoid(row[name]))),
    );
    return names.size > 1 ? [`${[...names].join(' and ')} could each be the ${part}`] : [];
  });
}

/**
 * What most of the first rows of a file are taken for.
 *
 * {question: "2 + 2?", answer: "4"}  ->  prompt_completion, from question and answer
 *
 * @param asked a shape that the configuration names: then only its fields are looked for
 * @returns what is wrong, in words, where there is nothing or more than one thing
 */
export function recognize(rows: readonly Fields[], asked: LearnedShape | 'auto'): Recognized | string {
  const counts = new Map<LearnedShape, { count: number; reading: Recognized }>();
  for (const row of rows) {
    for (const reading of asked === 'text' ? textReading(row) : readings(row)) {
      if (asked !== 'auto' && reading.shape !== asked) continue;
      const entry = counts.get(reading.shape);
      if (entry === undefined) counts.set(reading.shape, { count: 1, reading });
      else entry.count++;
    }
  }
  const most = Math.max(0, ...[...counts.values()].map(({ count }) => count));
  const [best, other] = [...counts.values()].filter(({ count }) => count === most);
  if (best === undefined) return received(rows);
  if (other !== undefined) {
    const both = `${named(best.reading)} or ${named(other.reading)}`;
    return `its rows can be taken for ${both}. Say which: data.shape=${best.reading.shape} or data.shape=${other.reading.shape}`;
  }
  const unclear = asked === 'auto' ? rivals(rows, best.reading) : [];
  if (unclear.length === 0) return best.reading;
  return `${unclear.join('; ')}. Name the right ones prompt and completion; data.shape=prompt_completion takes ${named(best.reading)}`;
}

function textReading(row: Fields): Recognized[] {
  const text = fieldsOfPart(row, 'text').find((name) => isText(row[name]));
  return text === undefined ? [] : [{ shape: 'text', fields: { text } }];
}

/** "prompt_completion (question, answer)". */
export function named({ shape, fields }: Recognized): string {
  return `${shape} (${Object.values(fields).join(', ')})`;
}

/** The fields found, and what they seem to be for where it is something else. */
function received(rows: readonly Fields[]): string {
  const elsewhere = rows.some((row) => Object.keys(row).some((name) => name.toLowerCase() === 'chosen'))
    ? '; chosen and rejected answers are for the reward model: npm run reward'
    : '';
  return `nothing to learn from was recognized in ${shownFields(rows)}${elsewhere}`;
}

/** "the fields a, b (first row: {…})". */
export function shownFields(rows: readonly Fields[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !name.startsWith('$'));
  const shown = names.length > 12 ? `${names.slice(0, 12).join(', ')}, …` : names.join(', ');
  const [first] = rows;
  return `the fields ${shown || 'it has: none'}${first === undefined ? '' : ` (first row: ${show(first)})`}`;
}

/** The shapes with the names of their fields, for errors. */
export function describeShapes(asked: LearnedShape | 'auto'): string[] {
  const list = (part: Part): string => partNames[part].join('|');
  const forms: Readonly<Record<LearnedShape, string>> = {
    messages: `${list('messages')}: a list of {role|from, content|value}`,
    alpaca: `instruction and ${list('output')}, with input where there is one; or instances, a list of {input, output}`,
    prompt_completion: `${list('prompt')} and ${list('completion')}, as texts or lists of messages`,
    text: `${list('text')}, of which everything is learned`,
  };
  const shapes = asked === 'auto' ? learnedShapes : [asked];
  const title = asked === 'auto' ? 'The shapes that are known:' : `Rows of data.shape ${asked} have:`;
  return [title, ...shapes.map((shape) => `  ${shape}: ${forms[shape]}`)];
}
