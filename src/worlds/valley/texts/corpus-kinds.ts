/** Every kind of corpus document, by name; each writer returns one document as plain prose. */

import type { Random } from '../../../random.ts';
import { dialogue, diary, letter, story, wedding } from './corpus-life.ts';
import { comparison, marketNote, priceList, sums, tradeTalk } from './corpus-market.ts';
import { cheerfulVoices, opinion, reviews, topicTalk } from './corpus-opinion.ts';
import { factTalk, ledger, longReading, readingTalk, sameOrNot, shortReadings } from './corpus-questions.ts';
import { eventReport, portrait, restatement, rumour, townGuide, weatherNote, whoDidWhat } from './corpus-reports.ts';

/** A kind of document: its writer and how many times as often as others it is written. */
export interface DocumentKind {
  readonly weight: number;
  readonly write: (random: Random) => string;
}

const kind = (write: (random: Random) => string, weight = 1): DocumentKind => ({ write, weight });

/** Kind → writer. The order is part of the corpus: changing it changes every document. */
export const documentKinds: Readonly<Record<string, DocumentKind>> = {
  portrait: kind(portrait, 2),
  market_note: kind(marketNote),
  weather_note: kind(weatherNote),
  diary: kind(diary),
  letter: kind(letter),
  dialogue: kind(dialogue, 2),
  review: kind(reviews),
  event_report: kind(eventReport),
  price_list: kind(priceList),
  story: kind(story),
  comparison: kind(comparison),
  who_did_what: kind(whoDidWhat, 4),
  restatement: kind(restatement, 2),
  opinion: kind(opinion),
  rumour: kind(rumour, 5),
  town_guide: kind(townGuide),
  sums: kind(sums),
  trade_talk: kind(tradeTalk),
  topic_talk: kind(topicTalk),
  wedding: kind(wedding),
  voices: kind(cheerfulVoices),
  long_reading: kind(longReading, 12),
  reading_talk: kind(readingTalk, 8),
  short_readings: kind(shortReadings, 6),
  ledger: kind(ledger, 6),
  fact_talk: kind(factTalk, 6),
  same_or_not: kind(sameOrNot, 4),
};
