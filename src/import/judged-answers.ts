/** What a row of a recognized shape says of answers: a pair, or answers to one prompt with how good each is. */
import { type Conversation, type Message, saidText } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { listMessages, parseTools, parseTranscript } from './messages.ts';
import { finite } from './pairs.ts';
import { keysOfMessages, unpacked } from './recognize.ts';
import { fieldOfPair, type PairPart, pairShapes, type RecognizedPairs } from './recognize-pairs.ts';
import { isRecord, isVoid, RowProblem, show } from './source-row.ts';
import { orderTurns } from './turns.ts';

type Fields = Readonly<Record<string, unknown>>;

/** An answer with how good it is: more is better. */
export interface ScoredAnswer {
  readonly answer: Message;
  readonly score: number;
}

/** What a row says: answers to a conversation that ends with the user or a tool, the better one first or with scores. */
export type Judged = { readonly prompt: Conversation } & (
  | { readonly kind: 'pair'; readonly chosen: Message; readonly rejected: Message; readonly margin: number }
  /** `isMeasured` where scores are more than an order. */
  | { readonly kind: 'group' | 'rated'; readonly answers: readonly ScoredAnswer[]; readonly isMeasured: boolean }
);

/**
 * The judged answers of a row.
 * @throws RowProblem where a part is missing or of another kind
 */
export function judgedOf(row: Fields, recognized: RecognizedPairs, limits: TextLimits): Judged {
  const { shape, fields } = recognized;
  const value = (part: PairPart): unknown => {
    const field = fieldOfPair(row, part, recognized);
    return field === undefined ? undefined : row[field];
  };
  for (const part of pairShapes[shape].needs) {
    if (isVoid(value(part)))
      throw new RowProblem('missing field', `"${fields[part]}": expected ${part}, received none`);
  }
  const tools = parseTools(value('tools'));
  const lead = promptOf(fields, value, limits);
  const conversation = (messages: readonly Message[]): Conversation => {
    return { messages, ...(tools !== undefined && { tools }) };
  };
  switch (shape) {
    case 'pair': {
      const { prompt, ...answers } = pairOf(lead, { fields, value }, limits);
      return { kind: 'pair', prompt: conversation(prompt), ...answers };
    }
    case 'rated': {
      const answer = answerOf(fields.answer ?? '', value('answer'), limits);
      const score = ratingOf(fields.rating ?? '', value('rating'));
      return {
        kind: 'rated',
        prompt: conversation(asked(lead, limits)),
        answers: [{ answer, score }],
        isMeasured: true,
      };
    }
    default:
      return { kind: 'group', prompt: conversation(asked(lead, limits)), ...answersOf({ fields, value }, limits) };
  }
}

/** What stands in front of the answers; empty where they bring it themselves. */
function promptOf(
  fields: RecognizedPairs['fields'],
  value: (part: PairPart) => unknown,
  limits: TextLimits,
): readonly Message[] {
  const name = fields.prompt ?? '';
  const [given, more, system] = [value('prompt'), value('input'), value('system')];
  const messages = isVoid(given) ? [] : saidBy('user', name, given, limits);
  const [first, second] = messages;
  const isLone = first !== undefined && second === undefined && typeof unpacked(given) === 'string';
  const asked =
    isLone && !isVoid(more) ? [{ ...first, content: `${first.content}\n${text('input', more, limits)}` }] : messages;
  if (isVoid(system) || first?.role === 'system') return asked;
  return [{ role: 'system', content: text('system', system, limits) }, ...asked];
}

/** Messages, a transcript, or a text of one speaker. */
function saidBy(role: 'user' | 'assistant', name: string, value: unknown, limits: TextLimits): Message[] {
  const unpackedValue = unpacked(value);
  const list = isRecord(unpackedValue) ? [unpackedValue] : unpackedValue;
  if (Array.isArray(list)) {
    const keys = keysOfMessages(list);
    if (keys !== null) return listMessages(name, list, { ...limits, ...keys });
    throw new RowProblem(
      'wrong type',
      `"${name}": expected text or messages {role|from, content|value}, received ${show(value)}`,
    );
  }
  const whole = typeof value === 'string' ? value : checkText(name, value, limits);
  if (!isTranscript(whole)) return [{ role, content: text(name, whole, limits) }];
  // Prompts of transcripts end with "Assistant:" and nothing after it.
  const spoken = checkText(name, whole, limits)
    .trim()
    .replace(/\n\nAssistant:$/, '');
  return parseTranscript(name, `\n\n${spoken}`, { accept: ['same_role'], note: limits.note });
}

/** A conversation as Anthropic's HH files hold it. */
function isTranscript(whole: string): boolean {
  return /^\s*Human:.*\n\nAssistant:/s.test(whole);
}

/** A text without the white space around it. */
function text(name: string, value: unknown, limits: TextLimits): string {
  const whole = checkText(name, value, limits);
  const trimmed = whole.trim();
  if (trimmed !== whole) limits.note('white space around a text, cut off', name);
  return trimmed;
}

/** Turns in order, the last of the user or a tool. */
function asked(messages: readonly Message[], limits: TextLimits): Message[] {
  const turns = inOrder('prompt', messages, limits);
  const last = turns.at(-1)?.role;
  if (last === 'user' || last === 'tool') return turns;
  const expected = 'expected it to end with what the user says, or what a tool gave back';
  throw new RowProblem('no question', `"prompt": ${expected}`);
}

function inOrder(name: string, messages: readonly Message[], { note }: TextLimits): Message[] {
  return orderTurns(name, messages, { accept: ['same_role'], note });
}

interface Row {
  readonly fields: RecognizedPairs['fields'];
  readonly value: (part: PairPart) => unknown;
}

/** A pair: what both sides begin with is the prompt, and one answer each is left. */
function pairOf(lead: readonly Message[], { fields, value }: Row, limits: TextLimits) {
  const names = [fields.chosen ?? 'chosen', fields.rejected ?? 'rejected'] as const;
  const margin = isVoid(value('margin')) ? 0 : finite('margin', value('margin'));
  const given = [value('chosen'), value('rejected')] as const;
  const isText = given.every((side) => typeof unpacked(side) === 'string' && !isTranscript(String(side)));
  if (lead.every(({ role }) => role === 'system') && isText) {
    const { prompt, ...answers } = divided(text(names[0], given[0], limits), text(names[1], given[1], limits));
    return { prompt: [...lead, ...prompt], ...answers, margin };
  }
  const sides = given.map((side, i) => {
    const said = saidBy('assistant', names[i] as string, side, limits);
    const isWhole = said.find(({ role }) => role !== 'system')?.role === 'user';
    const whole = isWhole ? conversation(lead, said) : [...(lead.length === 0 ? [] : asked(lead, limits)), ...said];
    return inOrder(names[i] as string, whole, limits);
  });
  const [chosen = [], rejected = []] = sides;
  const prompt = chosen.slice(0, -1);
  const isShared =
    chosen.length === rejected.length && JSON.stringify(prompt) === JSON.stringify(rejected.slice(0, -1));
  if (!isShared) {
    throw new RowProblem('prompts differ', 'expected chosen and rejected to be the same but for the last answer');
  }
  const [better, worse] = [chosen.at(-1), rejected.at(-1)];
  if (better?.role !== 'assistant' || worse?.role !== 'assistant') {
    throw new RowProblem('no answer', 'expected chosen and rejected to end with an answer of the assistant');
  }
  if (saidText(better) === saidText(worse)) throw sameAnswers();
  return { prompt: asked(prompt, limits), chosen: better, rejected: worse, margin };
}

/** A whole conversation, where the prompt that stands beside it is its own. */
function conversation(lead: readonly Message[], said: readonly Message[]): readonly Message[] {
  const turns = (messages: readonly Message[]) => messages.filter(({ role }) => role !== 'system');
  const [before, own] = [turns(lead), turns(said)];
  const last = own.findLastIndex(({ role }) => role === 'user');
  const begins = before.every(
    ({ role, content }, i) => own[i]?.role === role && own[i]?.content.trim() === content.trim(),
  );
  const isLastAsked = before.length === 1 && own[last]?.content.trim() === before[0]?.content.trim();
  if (!begins && !isLastAsked) {
    throw new RowProblem(
      'prompt differs',
      '"prompt": the answers are whole conversations that do not hold it; expected one prompt',
    );
  }
  const hasSystem = said[0]?.role === 'system';
  return hasSystem ? said : [...lead.filter(({ role }) => role === 'system'), ...said];
}

/**
 * Two texts as a prompt and what follows it: the words that both begin with.
 *
 * "The sky is blue.", "The sky is green."  ->  "The sky is", "blue.", "green."
 *
 * @see TRL, dataset formats, implicit prompt; there the prompt may end within a word
 */
function divided(chosen: string, rejected: string) {
  if (chosen === rejected) throw sameAnswers();
  let same = 0;
  while (same < chosen.length && chosen[same] === rejected[same]) same++;
  const end = chosen.slice(0, same).search(/\s\S*$/);
  if (end === -1) {
    const expected = 'expected a prompt, or texts that begin with one';
    throw new RowProblem('no prompt', `${expected}; received no prompt, and texts that begin otherwise`);
  }
  const prompt: Message = { role: 'user', content: chosen.slice(0, end).trim() };
  const answer = (whole: string): Message => ({ role: 'assistant', content: whole.slice(end).trim() });
  return { prompt: [prompt], chosen: answer(chosen), rejected: answer(rejected) };
}

function sameAnswers(): RowProblem {
  return new RowProblem('same answers', 'expected two different answers, received the same twice');
}

/** One answer: text, or calls of tools. */
function answerOf(name: string, value: unknown, limits: TextLimits): Message {
  const said = saidBy('assistant', name, value, limits);
  const [only, second] = said;
  const isSaid = only?.role === 'assistant' && (only.content.trim() !== '' || Boolean(only.tool_calls));
  if (isSaid && second === undefined) return only;
  throw new RowProblem('no answer', `"${name}": expected one answer of the assistant, received ${show(value)}`);
}

const textKeys = ['response', 'text', 'answer', 'completion', 'content', 'value', 'output'];
const scoreKeys = ['score', 'rating', 'reward', 'overall_score'];

/** The answers of a group with their scores: of lists beside them, of their own fields, or by their order. */
function answersOf({ fields, value }: Row, limits: TextLimits) {
  const name = fields.ranked ?? fields.answers ?? '';
  const list = unpacked(value(fields.ranked === undefined ? 'answers' : 'ranked')) as readonly unknown[];
  if (!Array.isArray(list) || list.length < 2) {
    throw new RowProblem('one answer', `"${name}": expected two answers or more, received ${show(list)}`);
  }
  const scores = unpacked(value('scores'));
  const ranks = scores === undefined ? unpacked(value('ranks')) : undefined;
  const [numbers, numbersName] = [scores ?? ranks, fields.scores ?? fields.ranks];
  if (numbers !== undefined && (!Array.isArray(numbers) || numbers.length !== list.length)) {
    const problem = `"${numbersName}": expected a number for each of ${list.length} answers, received ${show(numbers)}`;
    throw new RowProblem('wrong type', problem);
  }
  const answers = list.map((entry: unknown, i): ScoredAnswer => {
    const where = `${name}[${i}]`;
    const own = isRecord(entry) ? entry : {};
    const answer = answerOf(where, answerIn(entry), limits);
    if (fields.ranked !== undefined) return { answer, score: -i };
    const scored = scoreKeys.find((candidate) => !isVoid(own[candidate]));
    const beside = Array.isArray(numbers) ? (numbers[i] as unknown) : undefined;
    if (beside !== undefined) {
      const number = ratingOf(`${numbersName}[${i}]`, beside);
      return { answer, score: scores === undefined ? -number : number };
    }
    if (scored !== undefined) return { answer, score: ratingOf(`${where}.${scored}`, own[scored]) };
    if (!isVoid(own.rank)) return { answer, score: -finite(`${where}.rank`, own.rank) };
    const remedy = 'expected scores, ranks, or the name ranked_responses where the best is first';
    throw new RowProblem('no scores', `"${name}": nothing says which answer is better; ${remedy}`);
  });
  // Of an order the distance of two places says nothing.
  const isMeasured = scores !== undefined || (fields.ranked === undefined && list.some(isScored));
  return { answers, isMeasured: ranks === undefined && isMeasured };
}

/** What of an entry is the answer: a message without its score, the text of one of its fields, or all of it. */
function answerIn(entry: unknown): unknown {
  if (!isRecord(entry)) return entry;
  if (keysOfMessages([entry]) !== null) {
    return Object.fromEntries(Object.entries(entry).filter(([key]) => key !== 'rank' && !scoreKeys.includes(key)));
  }
  const key = textKeys.find((candidate) => !isVoid(entry[candidate]));
  return key === undefined ? entry : entry[key];
}

function isScored(entry: unknown): boolean {
  return isRecord(entry) && scoreKeys.some((key) => !isVoid(entry[key]));
}

/** A number; true is 1 and false 0. */
function ratingOf(name: string, value: unknown): number {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
  if (word === true || word === 'true') return 1;
  if (word === false || word === 'false') return 0;
  return finite(name, value);
}
