/**
 * The task datasets that were added after the base model was trained. They come from random streams of their own and are
 * drawn against the finished corpus, which keeps its bytes: a held-out row whose text stands there is drawn again.
 */

import type { Random } from '../../../random.ts';
import { seededRandom } from '../../../random.ts';
import { whoIsIt } from './coreference-tasks.ts';
import { shopTalk, talkNote } from './dialogue-tasks.ts';
import { countThings, whatToTake } from './everyday-tasks.ts';
import { mendSentence, numberWords, rightSentence } from './form-tasks.ts';
import { hillSpeech } from './hill-speech.ts';
import { noteHeadline, noteInference, noteWhen, noteWhere } from './note-tasks.ts';
import type { InCorpus, TaskRow } from './task-rows.ts';

const writers: Readonly<Record<string, (random: Random, inCorpus: InCorpus) => TaskRow[]>> = {
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

/** These datasets by name; the same seed and corpus give the same rows. */
export function buildLaterTasks(seed: number, inCorpus: InCorpus): Map<string, TaskRow[]> {
  return new Map(Object.entries(writers).map(([name, write]) => [name, write(seededRandom(seed, name), inCorpus)]));
}
