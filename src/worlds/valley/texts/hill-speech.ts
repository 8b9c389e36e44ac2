/** Hill speech, the invented sister language of the valley: a dictionary of 30 words, one word order, and its translation task. */

import type { Random } from '../../../random.ts';
import { days, people, towns } from './facts.ts';
import { withArticle } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows } from './task-rows.ts';

/** Things, English → Hill. */
const things: Readonly<Record<string, string>> = {
  hat: 'pilo',
  coat: 'dorma',
  loaf: 'bruna',
  bowl: 'keto',
  book: 'lisu',
  knife: 'sarn',
  net: 'viro',
  bell: 'tingo',
  rose: 'flemi',
  box: 'kasto',
};

/** Deeds, English past → Hill. */
const deeds: Readonly<Record<string, string>> = {
  bought: 'zumet',
  sold: 'vendet',
  found: 'trovet',
  lost: 'perdit',
  took: 'grabet',
  hid: 'mukit',
};

/** What things are like, English → Hill. */
const likenesses: Readonly<Record<string, string>> = {
  big: 'gor',
  small: 'pim',
  old: 'vek',
  red: 'rudo',
  fine: 'bel',
};

/** Days, English → Hill. */
const dayNames: Readonly<Record<string, string>> = {
  Monday: 'Unadi',
  Tuesday: 'Duadi',
  Wednesday: 'Triadi',
  Thursday: 'Kvaradi',
  Friday: 'Pentadi',
  Saturday: 'Sestadi',
  Sunday: 'Sepadi',
};

/** "in" and "on" stand behind their word and grow onto it: "Alderen", "Unadian". */
const endings = { in: 'en', on: 'an' } as const;

/** All words of Hill speech, endings apart. */
export const hillWords: readonly string[] = [things, deeds, likenesses, dayNames].flatMap((list) =>
  Object.values(list),
);

/** One thing that somebody did, in English words. */
export interface HillEvent {
  readonly who: string;
  readonly deed: string;
  readonly likeness: string;
  readonly thing: string;
  /** A place or a day; one of them. */
  readonly town?: string;
  readonly day?: string;
}

/** "Mara bought a red hat in Alder." */
export function inEnglish({ who, deed, likeness, thing, town, day }: HillEvent): string {
  const detail = town === undefined ? `on ${day}` : `in ${town}`;
  return `${who} ${deed} ${withArticle(`${likeness} ${thing}`)} ${detail}.`;
}

/** The same in Hill speech: place or day, thing, likeness, person, deed; no articles. "Alderen pilo rudo Mara zumet." */
export function inHillSpeech({ who, deed, likeness, thing, town, day }: HillEvent): string {
  const detail = town === undefined ? `${dayNames[day ?? '']}${endings.on}` : `${town}${endings.in}`;
  return `${detail} ${things[thing]} ${likenesses[likeness]} ${who} ${deeds[deed]}.`;
}

/** Translation: a sentence and the same in Hill speech. Free text, one right wording. */
export function hillSpeech(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const event: HillEvent = {
      who: random.pick(people).name,
      deed: random.pick(Object.keys(deeds)),
      likeness: random.pick(Object.keys(likenesses)),
      thing: byTurns(Object.keys(things), index),
      ...(index % 2 === 0 ? { town: random.pick(towns).name } : { day: random.pick(days) }),
    };
    const english = inEnglish(event);
    return { key: english, fields: { english, hill: inHillSpeech(event) } };
  };
  const counts = { train: 400, validation: 40, test: 50 };
  return drawRows(random, 'hill_speech', counts, (_, index) => draw(index));
}
