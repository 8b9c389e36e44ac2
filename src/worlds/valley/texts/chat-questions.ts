/** What an everyday question of the valley consists of: its note, its answer, and what a wrong answer would name. */

import type { Random } from '../../../random.ts';
import type { Good, Person } from './facts.ts';
import { days, foods, goods, people, pets, towns, trades, weathers } from './facts.ts';

/** One question and all that is needed to answer it rightly or wrongly. */
export interface Question {
  readonly kind: string;
  /** Text that holds the answer; empty where the world's facts do. */
  readonly note: string;
  readonly question: string;
  /** What the question is about: a right answer may name it, whether or not the question does. */
  readonly subject: readonly string[];
  /** The bare answer, and other bare answers of its kind. */
  readonly answer: string;
  readonly wrong: readonly string[];
  /** Groups of words; a right answer holds one of each group. */
  readonly answerKey: readonly (readonly string[])[];
  /** The kind of thing the answer names: a right answer names no other of `answerKinds[answerKind]`. */
  readonly answerKind: AnswerKind;
  /** The answer as patterns of a full sentence. */
  readonly sentences: (answer: string) => readonly string[];
}

/** People and goods that may be asked about. */
export interface Askable {
  readonly people: readonly Person[];
  readonly goods: readonly Good[];
}

/** Everything an answer of a kind can name; the gold scorer takes the others of the kind as wrong. */
export const answerKinds = {
  town: towns.map((each) => each.name),
  person: people.map((each) => each.name),
  day: [...days],
  weather: weathers,
  trade: trades.map((each) => each.name),
  seller: trades.flatMap((each) => [each.name, each.workplace]),
  good: goods.map((each) => each.name),
  pet: pets,
  food: foods,
  price: [...new Set(goods.map((each) => each.price))].sort((a, b) => a - b).map(String),
} as const satisfies Record<string, readonly string[]>;
export type AnswerKind = keyof typeof answerKinds;

/** Draws one question. */
export type Ask = (random: Random, askable: Askable) => Question;

/** The items of a list other than one. */
export function without(all: readonly string[], answer: string): string[] {
  return all.filter((each) => each !== answer);
}
