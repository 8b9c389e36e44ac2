/** The hidden gold scorer: a documented program that says how good a conversation answer is. No model ever sees it. */

import { DataError } from '../../errors.ts';
import type { Judge, Judgement } from '../../evaluation/judge.ts';
import type { Lexicon } from './lexicon.ts';
import { isListOfStrings } from './lexicon.ts';

/** What a right answer to one prompt holds. */
export interface GoldRequest {
  /** Groups of alternatives: a right answer names at least one of each group. */
  readonly answerKey: readonly (readonly string[])[];
  /** Other answers of the same kind; naming one makes the answer wrong. */
  readonly rivals: readonly string[];
  /** All lower-case words of the world; a sentence with any other word is not complete. */
  readonly knownWords: ReadonlySet<string>;
}

/** The five parts, all in [0, 1]; see `goldScore`. */
const goldParts = {
  answered: 'Answers what was asked.',
  friendly: 'Friendly tone.',
  sentences: 'Complete sentences.',
  repetition: '1 without repetition.',
  length: '1 for the right length.',
};

/** The judgement of the gold scorer. */
export interface GoldScore extends Judgement {
  readonly parts: Readonly<Record<keyof typeof goldParts, number>>;
}

const wordList = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** Words that count as friendly. */
export const friendlyWords = wordList('hello welcome friend dear neighbor gladly glad lovely enjoy thank thanks wish');

/** A sentence without one of these verbs, or a friendly word, is a fragment. */
const verbs = wordList(
  'am is are was were be been has have had do does did can will live lives work works cost costs pay pays sell sells sold ' +
    'buy buys bought make makes made keep keeps like likes love loves want wants wait waits go goes went come comes came ' +
    'know knows hope hopes see find found lost brought took taken borrowed carried dropped hid hidden eat eats sleeps ' +
    'ask asks say says said tell told think help helps talk let need cook stands takes tastes sing danced gave sang',
);

/** Words so common that repeating them is no fault. */
const commonWords = wordList(
  'a an the is are was of in on at to for and or it its i you he she they we my your his her that this who what by from with as be has have so but not no yes there coins coin one',
);

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]+|[0-9]+/g) ?? [];
}

const limit = (value: number): number => Math.min(1, Math.max(0, value));

/** Where a phrase stands among words as a whole and without "not" right before it. */
function names(words: readonly string[], phrase: string): boolean {
  const wanted = wordsOf(phrase);
  if (wanted.length === 0) return false;
  return words.some((_, at) => words[at - 1] !== 'not' && wanted.every((word, i) => words[at + i] === word));
}

/** The share of key groups named; 0 as soon as another answer of the same kind is named too. */
function answered(request: GoldRequest, words: readonly string[]): number {
  const keys = new Set(request.answerKey.flat().map((key) => key.toLowerCase()));
  if (request.rivals.some((rival) => !keys.has(rival.toLowerCase()) && names(words, rival))) return 0;
  const hits = request.answerKey.filter((group) => group.some((key) => names(words, key))).length;
  return request.answerKey.length === 0 ? 0 : hits / request.answerKey.length;
}

/** Half for each of two different friendly words; from the fourth friendly word on, each takes a quarter away. */
function friendly(words: readonly string[]): number {
  const used = words.filter((word) => friendlyWords.has(word));
  return limit(Math.min(new Set(used).size, 2) / 2 - 0.25 * Math.max(0, used.length - 3));
}

/** The share of sentences that are complete: capital or digit first, end mark, three or more known words, a verb or a friendly word. */
function sentences(request: GoldRequest, response: string): number {
  const parts = (response.match(/[^.!?]+[.!?]*/g) ?? []).map((part) => part.trim()).filter((part) => part !== '');
  if (parts.length === 0) return 0;
  const complete = parts.filter((part) => {
    const words = wordsOf(part);
    return (
      /^["']?[A-Z0-9]/.test(part) &&
      /[.!?]$/.test(part) &&
      words.length >= 3 &&
      words.every((word) => request.knownWords.has(word)) &&
      words.some((word) => verbs.has(word) || friendlyWords.has(word))
    );
  });
  return complete.length / parts.length;
}

/** Each repeated word that is not common, and each repeated pair of neighbouring words, takes a quarter away; one is free. */
function repetition(words: readonly string[]): number {
  const content = words.filter((word) => !commonWords.has(word));
  const pairs = words.slice(1).map((word, i) => `${words[i]} ${word}`);
  const repeated = content.length - new Set(content).size + pairs.length - new Set(pairs).size;
  return limit(1 - 0.25 * Math.max(0, repeated - 1));
}

/** 1 from 8 to 18 words; falls in a straight line to 0 at 2 words and at 36 words. */
function length(count: number): number {
  return limit(Math.min((count - 2) / 6, (36 - count) / 18));
}

/**
 * Scores one answer. Every part is in [0, 1]; `total` is their mean.
 *
 * - answered: names what was asked, and no other answer of the same kind
 * - friendly: two different friendly words; more than three are too many
 * - sentences: share of complete sentences made of known words
 * - repetition: 1 without repeated words and word pairs
 * - length: 1 for 8 to 18 words
 *
 * An answer without any word scores 0 in every part.
 *
 * key 7, "A hat costs 7 coins." (5 words)  ->  1, 0, 1, 1, 0.5: total 3.5 / 5 = 0.7
 */
export function goldScore(request: GoldRequest, response: string): GoldScore {
  const words = wordsOf(response);
  const isEmpty = words.length === 0;
  const parts = {
    answered: answered(request, words),
    friendly: friendly(words),
    sentences: isEmpty ? 0 : sentences(request, response),
    repetition: isEmpty ? 0 : repetition(words),
    length: length(words.length),
  };
  const values = Object.values(parts);
  return { total: values.reduce((sum, value) => sum + value, 0) / values.length, parts };
}

/** The gold scorer as the judge of one prompt. */
export function goldJudge(request: GoldRequest): Judge {
  return { parts: goldParts, score: (answer) => goldScore(request, answer) };
}

/**
 * What the gold scorer needs to know of a row of data/seed/chat.jsonl: its `answer_key` and `answer_kind`.
 * @param where "path:line" of the row, for errors
 * @throws DataError listing what is missing or of a wrong type
 */
export function goldRequest(fields: Readonly<Record<string, unknown>>, lexicon: Lexicon, where: string): GoldRequest {
  const { answer_key: key, answer_kind: kind } = fields;
  const problems: string[] = [];
  const rivals = typeof kind === 'string' ? lexicon.kinds[kind] : undefined;
  if (rivals === undefined) {
    const known = Object.keys(lexicon.kinds).join(', ');
    problems.push(`${where}: answer_kind: expected one of ${known}, received ${JSON.stringify(kind)}. Mend the row.`);
  }
  const isKey =
    Array.isArray(key) && key.length > 0 && key.every((group) => isListOfStrings(group) && group.length > 0);
  if (!isKey) {
    problems.push(
      `${where}: answer_key: expected a list of lists of words, received ${JSON.stringify(key)}. Mend the row.`,
    );
  }
  if (rivals === undefined || !isKey) throw new DataError(problems);
  return { answerKey: key as string[][], rivals, knownWords: lexicon.words };
}
