/** The task datasets that the default chain does not train on: dialogues, translation, forms of words, notes with places and days. */

import type { Random } from '../../../random.ts';
import { seededRandom } from '../../../random.ts';
import { whoIsIt } from './coreference-tasks.ts';
import { shopTalk, talkNote } from './dialogue-tasks.ts';
import { countThings, whatToTake } from './everyday-tasks.ts';
import { mendSentence, numberWords, rightSentence } from './form-tasks.ts';
import { hillSpeech } from './hill-speech.ts';
import { noteHeadline, noteInference, noteWhen, noteWhere } from './note-tasks.ts';
import type { TaskRow } from './task-rows.ts';

const writers: Readonly<Record<string, (random: Random) => TaskRow[]>> = {
  note_where: noteWhere,
  note_when: noteWhen,
  note_inference: noteInference,
  note_headline: noteHeadline,
  who_is_it: whoIsIt,
  what_to_take: whatToTake,
  count_things: countThings,
  hill_speech: hillSpeech,
  number_words: numberWords,
  mend_sentence: mendSentence,
  right_sentence: rightSentence,
  talk_note: talkNote,
  shop_talk: shopTalk,
};

/** These datasets by name; the same seed gives the same rows. */
export function buildLaterTasks(seed: number): Map<string, TaskRow[]> {
  return new Map(Object.entries(writers).map(([name, write]) => [name, write(seededRandom(seed, name))]));
}
