/** All task datasets by name, in the order in which they are drawn. */

import type { Random } from '../../../random.ts';
import { seededRandom } from '../../../random.ts';
import type { Known } from './knowledge-tasks.ts';
import { cheaper, divideWorld, goodPrice, personTown, personTrade, totalPrice } from './knowledge-tasks.ts';
import {
  messageMood,
  noteEntailment,
  noteTopic,
  noteWhat,
  noteWho,
  recordToSentence,
  reviewSentiment,
  sameMeaning,
} from './reading-tasks.ts';
import type { TaskRow } from './task-rows.ts';

const writers: Readonly<Record<string, (random: Random, known: Known) => TaskRow[]>> = {
  person_town: personTown,
  person_trade: personTrade,
  good_price: goodPrice,
  cheaper,
  total_price: totalPrice,
  note_who: noteWho,
  note_what: noteWhat,
  note_entailment: noteEntailment,
  same_meaning: sameMeaning,
  review_sentiment: reviewSentiment,
  message_mood: messageMood,
  note_topic: noteTopic,
  record_to_sentence: recordToSentence,
};

/** The fields of a row that are texts of their own, which the corpus must not hold for held-out rows. */
const textFields =
  'note first second claim review message record sentence mended situation story english headline reply'.split(' ');

/** The people and goods of each split, as the closed-book tasks use them. */
export function knownBySplit(seed: number): Known {
  return divideWorld(seededRandom(seed, 'known'));
}

/** All datasets; the same seed gives the same rows. */
export function buildTasks(seed: number): Map<string, TaskRow[]> {
  const known = knownBySplit(seed);
  return new Map(Object.entries(writers).map(([name, write]) => [name, write(seededRandom(seed, name), known)]));
}

/** The texts of held-out rows of tasks, none of which may stand in the corpus. */
export function heldOutTexts(tasks: ReadonlyMap<string, readonly TaskRow[]>): string[] {
  return [...tasks.values()]
    .flat()
    .filter((row) => row.split !== 'train')
    .flatMap((row) => textFields.map((field) => row[field]))
    .filter((text): text is string => typeof text === 'string' && text.includes(' ') && text.endsWith('.'));
}
