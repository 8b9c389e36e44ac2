/** Tasks on notes with places and days: three-way inference, where, when, and a note told in one sentence. */

import type { Random } from '../../../random.ts';
import type { Event } from './events.ts';
import { clause, drawEvents } from './events.ts';
import { days, people, towns, weathers } from './facts.ts';
import { pickSome, say, sayOne, withArticle } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

const townNames = towns.map((each) => each.name);

/** Answers of three-way inference; a note that is silent about what a claim adds leaves it open. */
const inferenceAnswers = ['yes', 'no', 'can not tell'] as const;

/** A claim that an event was in a place or on a day. */
function claimOf(random: Random, { who, verb, good }: Event, detail: string): string {
  return sayOne(random, [
    `${who.name} ${verb.past} the ${good.name} ${detail}.`,
    `the ${good.name} was ${verb.participle} by ${who.name} ${detail}.`,
    `it was ${detail} that ${who.name} ${verb.past} the ${good.name}.`,
    `${detail} ${who.name} ${verb.past} the ${good.name}.`,
  ]);
}

/**
 * Entailment, three ways: of one event the note tells the place, of the other the day. A claim gives place or day of
 * either, so that a claim about the untold one is open; half of the open claims name the other event's place or day.
 */
export function noteInference(random: Random): TaskRow[] {
  const counts = { train: 360, validation: 42, test: 60 };
  const draw = (index: number) => {
    const answer = byTurns(inferenceAnswers, index);
    const asksPlace = byTurns([true, false], Math.floor(index / 3));
    const [placed, dated] = drawEvents(random, 2) as [Event, Event];
    const { town, day } = placed;
    const [first, second] = random.shuffle([`${clause(placed)} in ${town}`, `${clause(dated)} on ${day}`]);
    const note = sayOne(random, [`${first}, and ${second}.`, `${first}. ${second}.`, `${first}, but ${second}.`]);
    const told = asksPlace ? placed : dated;
    const open = asksPlace ? dated : placed;
    const right = asksPlace ? town : day;
    const other = random.pick((asksPlace ? townNames : days).filter((each) => each !== right));
    const value = answer === 'yes' ? right : answer === 'no' ? other : random.pick([right, other]);
    const event = answer === 'can not tell' ? open : told;
    const detail = asksPlace ? `in ${value}` : `on ${value}`;
    const claim = claimOf(random, event, detail);
    const said = asksPlace ? `in ${town}` : `on ${day}`;
    const why =
      answer === 'can not tell'
        ? `The note does not say ${asksPlace ? 'where' : 'when'} ${clause(event)}.`
        : `The note says: ${clause(event)} ${said}.`;
    return { key: note, fields: { note, claim, answer, why } };
  };
  return drawRows(random, 'note_inference', counts, (_, index) => draw(index));
}

/** What a question about one of two told events needs. */
interface Told {
  readonly asked: Event;
  readonly note: string;
  readonly answer: string;
  readonly options: readonly string[];
}

/** Two events told with one detail each ("in Alder", "on Friday"), and three details to choose from. */
function drawTold(random: Random, index: number, all: readonly string[], word: 'in' | 'on'): Told {
  const [one, other] = drawEvents(random, 2, index % 3 === 0) as [Event, Event];
  const [here, there, elsewhere] = pickSome(random, all, 3) as [string, string, string];
  const parts = [`${clause(one)} ${word} ${here}`, `${clause(other)} ${word} ${there}`];
  const [first, second] = index % 2 === 0 ? parts : parts.reverse();
  const note = sayOne(random, [
    `${first}, and ${second}.`,
    `${first}, but ${second}.`,
    `${first}. Later ${second}.`,
    `first ${first}, and then ${second}.`,
  ]);
  return { asked: one, note, answer: here, options: random.shuffle([here, there, elsewhere]) };
}

/** Reading: the town of one of two events. */
export function noteWhere(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const { asked, note, answer, options } = drawTold(random, index, townNames, 'in');
    const { verb, who, good } = asked;
    const fields = { note, name: who.name, does: verb.base, did: verb.past, good: good.name, answer, options };
    return { key: note, fields };
  };
  return drawRows(random, 'note_where', usualCounts, (_, index) => draw(index));
}

/** Reading: the day of one of two events. */
export function noteWhen(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const { asked, note, answer, options } = drawTold(random, index, days, 'on');
    const { verb, who, good } = asked;
    const fields = { note, name: who.name, does: verb.base, did: verb.past, good: good.name, answer, options };
    return { key: note, fields };
  };
  return drawRows(random, 'note_when', usualCounts, (_, index) => draw(index));
}

/** Summarization: a note of three or four sentences about one person's two deeds, some of them beside the point. Free text. */
export function noteHeadline(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const [one, two] = drawEvents(random, 2) as [Event, Event];
    const who = byTurns(people, index);
    const [first, second] = [one, two].map((each) => `${each.verb.past} ${withArticle(each.good.name)}`);
    const opening = sayOne(random, [
      `on ${one.day} ${who.name} went to ${one.town}.`,
      `${who.name} walked to ${one.town} on ${one.day}.`,
      `${who.name} was in ${one.town} on ${one.day}.`,
    ]);
    const aside = sayOne(random, [
      `it was a ${random.pick(weathers)} day.`,
      'the market was full of people.',
      'there was music everywhere.',
      'a dog ran after a cat.',
      'many people came that day.',
      'the road was long.',
    ]);
    const earlier = say(random, `[there|in the morning|at noon] ${who.pronoun} ${first}.`);
    const later = say(random, `[then|later|in the evening] ${who.pronoun} ${second}.`);
    const middle = byTurns(
      [
        [aside, earlier, later],
        [earlier, aside, later],
        [earlier, later, aside],
      ],
      index,
    );
    const note = [opening, ...middle].join(' ');
    return { key: note, fields: { note, headline: `${who.name} ${first} and ${second} in ${one.town}.` } };
  };
  return drawRows(random, 'note_headline', usualCounts, (_, index) => draw(index));
}
