/** Preference pairs out of what sources hold: two texts, two conversations, a preferred one of two, ranked groups. */
import type { Message } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { type MessageKeys, parseMessages, parseTranscript, renderMessages } from './messages.ts';
import { RowProblem, show } from './source-row.ts';

/** One pair; `margin` says how much better the chosen response is, 0 where unknown. */
export type Pair = { prompt: string; chosen: string; rejected: string; margin: number };

type Values = Readonly<Record<string, unknown>>;

/**
 * The pair of a row with `chosen` and `rejected`: as text beside a `prompt`, as transcripts that begin with it, or as
 * lists of messages that begin with it.
 *
 * @throws RowProblem where the two differ before the last answer, are the same, or have no prompt
 */
export function readPair(values: Values, keys: MessageKeys): Pair {
  const margin = values.margin === undefined ? 0 : finite('margin', values.margin);
  const sides = ['chosen', 'rejected'].map((name) => ({ name, value: values[name] }));
  const lead: readonly unknown[] = Array.isArray(values.prompt) ? values.prompt : [];
  const [chosen, rejected] = sides.map(({ name, value }) => {
    return asConversation(name, Array.isArray(value) ? [...lead, ...value] : value, keys);
  });
  if (chosen && rejected) {
    const pair = splitPrompt(chosen, rejected, keys);
    const beside = Array.isArray(values.prompt) ? undefined : values.prompt;
    const known: unknown[] = [undefined, null, '', pair.prompt, chosen.at(-2)?.content];
    if (!known.includes(beside))
      keys.note('"prompt" beside whole conversations that begin otherwise, not used', 'prompt');
    return distinct({ ...pair, margin });
  }
  const text = (name: string): string => checkText(name, values[name], keys);
  return distinct({ prompt: text('prompt'), chosen: text('chosen'), rejected: text('rejected'), margin });
}

function asConversation(name: string, value: unknown, keys: MessageKeys): Message[] | null {
  if (Array.isArray(value)) return parseMessages(name, value, keys);
  if (typeof value !== 'string' || !value.startsWith('\n\nHuman:')) return null;
  return parseTranscript(name, checkText(name, value, keys), keys);
}

/** The shared beginning is the prompt; what is left must be one answer each. */
function splitPrompt(
  chosen: readonly Message[],
  rejected: readonly Message[],
  { note }: TextLimits,
): Omit<Pair, 'margin'> {
  const prompt = chosen.slice(0, -1);
  const [better, worse] = [chosen.at(-1), rejected.at(-1)];
  const isShared =
    chosen.length === rejected.length &&
    prompt.every(({ role, content }, i) => rejected[i]?.role === role && rejected[i]?.content === content);
  if (!isShared) {
    throw new RowProblem('prompts differ', 'expected chosen and rejected to be the same but for the last answer');
  }
  if (better?.role !== 'assistant' || worse?.role !== 'assistant') {
    throw new RowProblem('no answer', 'expected chosen and rejected to end with an answer of the assistant');
  }
  const odd = [...chosen, ...rejected].find(
    ({ role, tool_calls, reasoning }) => role === 'tool' || Boolean(tool_calls ?? reasoning),
  );
  if (odd !== undefined) {
    const what = odd.role === 'tool' ? 'what a tool gave back' : odd.tool_calls ? 'a call of a tool' : 'reasoning';
    const expected = 'expected texts of system, user and assistant';
    const problem = `a turn of ${what}; ${expected}. Stage 2 reads such rows without an import: pairs=<file>`;
    throw new RowProblem('tools or reasoning', problem);
  }
  if (prompt.length > 1) note('turns before the last prompt (or a system text), written into one prompt', 'prompt');
  return { prompt: renderMessages(prompt), chosen: better.content, rejected: worse.content };
}

function distinct(pair: Pair): Pair {
  if (pair.chosen !== pair.rejected) return pair;
  throw new RowProblem('same answers', 'expected two different answers, received the same twice');
}

/**
 * The pair of a row with `first`, `second` and `preferred`, which says "first", "second" or "tie".
 *
 * @throws RowProblem for ties and other values
 */
export function readPreferred(values: Values, limits: TextLimits): Pair {
  const { preferred } = values;
  if (preferred === 'tie') throw new RowProblem('tie', 'a tie; expected one of the two to be preferred');
  if (preferred !== 'first' && preferred !== 'second') {
    throw new RowProblem('wrong label', `"preferred": expected first, second or tie, received ${show(preferred)}`);
  }
  const text = (name: string): string => checkText(name, values[name], limits);
  const [first, second] = [text('first'), text('second')];
  const [chosen, rejected] = preferred === 'first' ? [first, second] : [second, first];
  return distinct({ prompt: text('prompt'), chosen, rejected, margin: 0 });
}

/** Which pairs a ranked group gives: every two answers (InstructGPT), or the best with every other. */
export const rankedPairs = ['all', 'best_vs_rest'] as const;

/**
 * The pairs of a row with `answers` and their `scores` (higher is better). Two answers whose scores are no further
 * apart than `tie` give no pair; the margin is the difference of the scores.
 *
 * @throws RowProblem where lists differ in length, hold other values, or no pair is left
 */
export function readRanked(
  values: Values,
  rule: TextLimits & { pairs: (typeof rankedPairs)[number]; tie: number },
): Pair[] {
  const prompt = checkText('prompt', values.prompt, rule);
  const { answers, scores } = values;
  if (!Array.isArray(answers) || !Array.isArray(scores) || answers.length !== scores.length || answers.length < 2) {
    throw new RowProblem('wrong type', 'expected "answers" and "scores" to be lists of one length, two or more');
  }
  const ranked = answers
    .map((answer, i) => ({ text: checkText(`answers[${i}]`, answer, rule), score: finite(`scores[${i}]`, scores[i]) }))
    .sort((a, b) => b.score - a.score);
  const pairs = ranked.flatMap((better, i) =>
    rule.pairs === 'best_vs_rest' && i > 0
      ? []
      : ranked
          .slice(i + 1)
          .filter((worse) => better.score - worse.score > rule.tie && better.text !== worse.text)
          .map((worse) => ({ prompt, chosen: better.text, rejected: worse.text, margin: better.score - worse.score })),
  );
  const possible = rule.pairs === 'best_vs_rest' ? ranked.length - 1 : (ranked.length * (ranked.length - 1)) / 2;
  if (pairs.length < possible)
    rule.note('answers of a group that tie or are the same, of which no pair is made', 'answers');
  if (pairs.length === 0) throw new RowProblem('tie', 'all answers tie; expected two whose scores differ');
  return pairs;
}

/** A number out of a number or its text. */
export function finite(name: string, value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  if (typeof number === 'bigint') return Number(number);
  throw new RowProblem('not a number', `"${name}": expected a number, received ${show(value)}`);
}
