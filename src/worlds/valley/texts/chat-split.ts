/** Which split of the conversations may ask which question about the world's facts: no question is asked in two splits. */

import { seededRandom } from '../../../random.ts';
import type { Askable, Question } from './chat-questions.ts';
import { goods, people } from './facts.ts';
import type { Known } from './knowledge-tasks.ts';

export type ChatSplit = 'train' | 'reward' | 'ppo' | 'validation' | 'test';

/** How many rows of which split are drawn one after the other: the last came later, so that the corpus stays around the others. */
export const chatDraws: readonly (readonly [ChatSplit, number])[] = [
  ['train', 1600],
  ['reward', 2400],
  ['ppo', 500],
  ['validation', 150],
  ['test', 150],
  ['reward', 2000],
];

type Shares = Readonly<Partial<Record<ChatSplit, number>>>;

/**
 * Percent of the questions that each split may ask, by whom or what they are about: people and goods of the closed-book
 * training rows and all towns; of their validation rows; of their test rows, of which most are never asked, so that
 * validation and test stay mixed.
 */
const shares = {
  trained: { train: 40, reward: 36, ppo: 10, validation: 7, test: 7 },
  validation: { reward: 72, ppo: 14, validation: 7, test: 7 },
  hidden: { validation: 12, test: 12 },
} as const satisfies Record<string, Shares>;

/** The people and goods that questions of a split are drawn about. */
export function askableIn(split: ChatSplit, known: Known): Askable {
  if (split === 'train') return { people: known.people.train, goods: known.goods.train };
  if (split === 'validation' || split === 'test') return { people, goods };
  return {
    people: [...known.people.train, ...known.people.validation],
    goods: [...known.goods.train, ...known.goods.validation],
  };
}

/** The split that a question about a fact belongs to, by a draw seeded with its text; none for some about hidden people and goods. */
export function splitOfFact(seed: number, known: Known, question: Question): ChatSplit | undefined {
  const isAbout = (split: 'validation' | 'test'): boolean =>
    [...known.people[split], ...known.goods[split]].some(({ name }) => question.subject.includes(name));
  const wanted: Shares = isAbout('test') ? shares.hidden : isAbout('validation') ? shares.validation : shares.trained;
  let left = seededRandom(seed, question.question).integer(100);
  for (const [split, share] of Object.entries(wanted)) {
    left -= share;
    if (left < 0) return split as ChatSplit;
  }
  return undefined;
}
