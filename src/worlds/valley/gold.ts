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
  /** People, towns, things, deeds that are neither asked about nor the answer; an answer that names one tells something else. */
  readonly strays: readonly string[];
  /** All lower-case words of the world; a sentence with any other word is not complete. */
  readonly knownWords: ReadonlySet<string>;
}

/** The five parts, all in [0, 1]; see `goldScore`. */
const goldParts = {
  answered: '1 for a right answer; at most 0.5 for one that tells something else beside it.',
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

const phrases = new Map<string, readonly string[]>();

/** The words of a name of the world; the same few hundred are asked for with every answer. */
function phraseWords(phrase: string): readonly string[] {
  const known = phrases.get(phrase);
  if (known !== undefined) return known;
  const words = wordsOf(phrase);
  phrases.set(phrase, words);
  return words;
}

/** Where a phrase stands among words as a whole and without "not" right before it. */
function names(words: readonly string[], phrase: string): boolean {
  const wanted = phraseWords(phrase);
  if (wanted.length === 0 || !words.includes(wanted[0] as string)) return false;
  return words.some((_, at) => words[at - 1] !== 'not' && wanted.every((word, i) => words[at + i] === word));
}

/** 1 where every key group is named and nothing else; 0 where another answer of the same kind is; at most a half between. */
function answered({ answerKey, rivals, strays }: GoldRequest, words: readonly string[]): number {
  if (rivals.some((rival) => names(words, rival))) return 0;
  const hits = answerKey.filter((group) => group.some((key) => names(words, key))).length;
  const isRight = hits === answerKey.length && !strays.some((stray) => names(words, stray));
  return isRight ? 1 : Math.min(0.5, hits / answerKey.length);
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
 * Scores one answer. Every part is in [0, 1]. To be right is a condition: with m half friendly tone and half the mean of
 * the last three parts, `total` is (1 + m) / 2 for a right answer, and (2 · answered + m) / 4 for any other, so that none of
 * these gets more than 0.5 and a right one never less.
 *
 * - answered: 1 where it names what was asked and nothing else of the world but what the question is about; where it
 *   names another answer of the same kind 0; where it tells something else beside the answer a half
 * - friendly: two different friendly words; more than three are too many
 * - sentences: share of complete sentences made of known words
 * - repetition: 1 without repeated words and word pairs
 * - length: 1 for 8 to 18 words
 *
 * An answer without any word scores 0 in every part.
 *
 * key 7, "A hat costs 7 coins." (5 words)  ->  1, 0, 1, 1, 0.5: total (1 + 2.5 / 6) / 2 = 0.71
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
  const manner = parts.friendly / 2 + (parts.sentences + parts.repetition + parts.length) / 6;
  const total = parts.answered === 1 ? (1 + manner) / 2 : (2 * parts.answered + manner) / 4;
  return { total, parts };
}

/** The gold scorer as the judge of one prompt. */
export function goldJudge(request: GoldRequest): Judge {
  return { parts: goldParts, score: (answer) => goldScore(request, answer) };
}

/** All names of the world by kind, prices apart: other numbers are no names. */
const namesOf = ({ kinds }: Lexicon): string[] => [
  ...new Set(Object.entries(kinds).flatMap(([kind, all]) => (kind === 'price' ? [] : all))),
];

/**
 * What the gold scorer needs to know of a row of data/seed/chat.jsonl: its `question`, `subject`, `answer_key` and
 * `answer_kind`.
 * @param where "path:line" of the row, for errors
 * @throws DataError listing what is missing or of a wrong type
 */
export function goldRequest(fields: Readonly<Record<string, unknown>>, lexicon: Lexicon, where: string): GoldRequest {
  const { question, subject, answer_key: key, answer_kind: kind } = fields;
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
  if (typeof question !== 'string')
    problems.push(`${where}: question: expected a text, received ${JSON.stringify(question)}. Mend the row.`);
  if (!isListOfStrings(subject))
    problems.push(`${where}: subject: expected a list of words, received ${JSON.stringify(subject)}. Mend the row.`);
  if (rivals === undefined || problems.length > 0) throw new DataError(problems);
  const answerKey = key as string[][];
  const keys = wordsOf(answerKey.flat().join(' '));
  const asked = [...wordsOf([question, ...(subject as string[])].join(' ')), ...keys];
  const isNamed = (words: readonly string[], name: string): boolean =>
    (lexicon.forms.get(name) ?? [name]).some((form) => names(words, form));
  return {
    answerKey,
    rivals: rivals.filter((rival) => !isNamed(keys, rival)),
    strays: namesOf(lexicon).filter((name) => !isNamed(asked, name)),
    knownWords: lexicon.words,
  };
}
