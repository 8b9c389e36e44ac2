/** Small events of the valley (who did what with which good) and the ways to tell them; notes, tasks and stories use these. */

import type { Random } from '../../../random.ts';
import type { Good, Person } from './facts.ts';
import { days, goods, people, towns } from './facts.ts';
import { capitalize, pickSome, say, sayOne, withArticle } from './language.ts';

/** A verb as "they buy", "she bought", "was bought by". */
export interface Verb {
  readonly base: string;
  readonly past: string;
  readonly participle: string;
}

const verb = (base: string, past: string, participle = past): Verb => ({ base, past, participle });

/** What people do in notes. */
export const verbs: readonly Verb[] = [
  verb('buy', 'bought'),
  verb('lose', 'lost'),
  verb('find', 'found'),
  verb('bring', 'brought'),
  verb('take', 'took', 'taken'),
  verb('borrow', 'borrowed'),
  verb('carry', 'carried'),
  verb('drop', 'dropped'),
  verb('hide', 'hid', 'hidden'),
];

/** One thing that one person did. */
export interface Event {
  readonly who: Person;
  readonly verb: Verb;
  readonly good: Good;
  readonly town: string;
  readonly day: string;
}

/** Events of different people with different goods, in one town on one day. */
export function drawEvents(random: Random, count: number, sameVerb = false): Event[] {
  const who = pickSome(random, people, count);
  const what = pickSome(random, goods, count);
  const does = pickSome(random, verbs, count);
  const town = random.pick(towns).name;
  const day = random.pick(days);
  return who.map((each, i) => ({
    who: each,
    verb: (sameVerb ? does[0] : does[i]) as Verb,
    good: what[i] as Good,
    town,
    day,
  }));
}

/**
 * Who comes first, or the thing. What stands after the known word is read from a note long before what stands in front of
 * it (docs/log.md), so notes that are asked who did it are passive, and those that are asked what was done are active.
 */
export type Voice = 'active' | 'passive';

/** "Mara bought a hat" or "a hat was bought by Mara", with no place, day or full stop. */
export function clause({ who, verb, good }: Event, voice: Voice = 'active'): string {
  const thing = withArticle(good.name);
  return voice === 'active' ? `${who.name} ${verb.past} ${thing}` : `${thing} was ${verb.participle} by ${who.name}`;
}

/** One event told with place or day, in one sentence. */
export function eventSentence(random: Random, event: Event): string {
  const { who, town, day, good, verb } = event;
  return sayOne(random, [
    `${clause(event)} in ${town}.`,
    `on ${day} ${clause(event)}.`,
    `on ${day} ${clause(event)} in ${town}.`,
    `in ${town} ${clause(event)} on ${day}.`,
    `${who.name} went to ${town} and ${verb.past} ${withArticle(good.name)} there.`,
    `it was on ${day} that ${clause(event)}.`,
    `${clause(event, 'passive')} in ${town}.`,
  ]);
}

/** Two events of one place and day told together in one or two sentences. */
export function twoEventSentences(random: Random, one: Event, other: Event, voice: Voice = 'active'): string {
  const { town, day } = one;
  const a = clause(one, voice);
  const b = clause(other, voice);
  return sayOne(random, [
    `on ${day} ${a} and ${b}.`,
    `in ${town} ${a} and ${b}.`,
    `${a} in ${town}, but ${b}.`,
    `while ${a}, ${b}.`,
    `${a} on ${day}. The same day ${b}.`,
    `first ${a}, and then ${b}.`,
    `at the market in ${town} ${a}. There ${b}, too.`,
    `on ${day} ${a} in ${town}. Later ${b}.`,
    `${a} before ${b}.`,
    `it was a busy ${day} in ${town}. ${capitalize(a)}, and ${b}.`,
  ]);
}

/** A statement of the event in other words, true of the event. */
export function restated(random: Random, event: Event): string {
  const { who, good } = event;
  return sayOne(random, [
    `the ${good.name} was ${event.verb.participle} by ${who.name}.`,
    `it was ${who.name} who ${event.verb.past} the ${good.name}.`,
    `what ${who.name} ${event.verb.past} was ${withArticle(good.name)}.`,
    `the one who ${event.verb.past} the ${good.name} was ${who.name}.`,
    `${who.name} ${event.verb.past} the ${good.name}.`,
    `the ${good.name} is the thing that ${who.name} ${event.verb.past}.`,
  ]);
}

/** The same, with a word that links it to the sentence before. */
export function retold(random: Random, event: Event): string {
  const { who, good } = event;
  return random.integer(4) > 0
    ? restated(random, event)
    : sayOne(random, [
        `so it was ${who.name} who ${event.verb.past} the ${good.name}.`,
        `as for ${who.name}, ${who.pronoun} ${event.verb.past} the ${good.name}.`,
      ]);
}

/** The day's or town's name put in front of a plain sentence: the canonical telling used by records. */
export function canonical(event: Event): string {
  return `On ${event.day} ${clause(event)} in ${event.town}.`;
}

/** A short happening of a town with a named person in it. */
export function happening(random: Random, who: Person, town: string): string {
  const { name, pronoun } = who;
  return say(
    random,
    random.pick([
      `${name} danced at the wedding in ${town}.`,
      `the wind blew ${name}'s hat into the water.`,
      `the river came up to the door of ${name}, but the house was safe.`,
      `a cat was lost in ${town}, and ${name} found it [under a table|in a basket|by the well].`,
      `${name} sang a song at the fair, and all the people [danced|sang too|were happy].`,
      `${name} gave bread to a poor man.`,
      `${name} fell from a chair, but ${pronoun} was not hurt.`,
      `${name} helped to mend the bridge after the flood.`,
      `a hen ran through the market, and ${name} ran after it.`,
      `${name} told a long story by the fire.`,
      `the fair in ${town} was full of music, and ${name} stayed until night.`,
      `${name} cooked a big pot of soup for the [children|old people|guests].`,
      `the rain made a hole in the roof, and ${name} mended it.`,
      `${name} walked to ${town} and came home late.`,
    ]),
  );
}
