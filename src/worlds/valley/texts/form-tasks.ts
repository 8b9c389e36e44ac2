/** Tasks on the form of a text: mending capitals and full stop, telling a right sentence from a wrong one, numbers in words. */

import type { Random } from '../../../random.ts';
import type { Event } from './events.ts';
import { clause, drawEvents, eventSentence } from './events.ts';
import { goods } from './facts.ts';
import { withArticle } from './language.ts';
import type { Split, TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

/** Text formatting: a sentence without capitals and full stop, and the mended one. Free text. */
export function mendSentence(random: Random): TaskRow[] {
  const draw = () => {
    const [event] = drawEvents(random, 1) as [Event];
    const mended = eventSentence(random, event);
    return { key: mended, fields: { rough: mended.slice(0, -1).toLowerCase(), mended } };
  };
  return drawRows(random, 'mend_sentence', usualCounts, draw);
}

/** Ways to break the sentence of an event. */
const breaks: readonly ((event: Event) => string)[] = [
  // The article behind its noun.
  ({ who, verb, good, town }) => `${who.name} ${verb.past} ${good.name} a in ${town}.`,
  // The verb at the wrong place.
  ({ who, verb, good, town }) => `${who.name} ${withArticle(good.name)} ${verb.past} in ${town}.`,
  // The plain form of the verb after one person.
  ({ who, verb, good, town }) => `${who.name} ${verb.base} ${withArticle(good.name)} in ${town}.`,
  // The wrong article.
  ({ who, verb, good, town }) =>
    `${who.name} ${verb.past} ${withArticle(good.name).startsWith('an ') ? 'a' : 'an'} ${good.name} in ${town}.`,
  // No article.
  ({ who, verb, good, town }) => `${who.name} ${verb.past} ${good.name} in ${town}.`,
  // The town before its preposition.
  ({ who, verb, good, town }) => `${who.name} ${verb.past} ${withArticle(good.name)} ${town} in.`,
];

/** Acceptability: which of two wordings of one event is a right sentence; it stands first as often as second. */
export function rightSentence(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const [event] = drawEvents(random, 1) as [Event];
    const right = `${clause(event)} in ${event.town}.`;
    const wrong = byTurns(breaks, index >> 1)(event);
    const options = index % 2 === 0 ? [right, wrong] : [wrong, right];
    return { key: right, fields: { first: options[0] ?? '', second: options[1] ?? '', answer: right, options } };
  };
  const counts = { train: 360, validation: 42, test: 60 };
  return drawRows(random, 'right_sentence', counts, (_, index) => draw(index));
}

const ones =
  'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  );
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');

/** A number from 1 to 99 in words: 7 → "seven", 24 → "twenty four". */
export function numberInWords(number: number): string {
  if (number < 20) return ones[number - 1] ?? '';
  const unit = number % 10;
  return `${tens[Math.floor(number / 10) - 2]}${unit === 0 ? '' : ` ${ones[unit - 1]}`}`;
}

/** The numbers of each split: those of validation and test are put together from words that train rows show apart. */
function divideNumbers(random: Random): Readonly<Record<Split, readonly number[]>> {
  const all = Array.from({ length: 98 }, (_, i) => i + 2);
  const composed = random.shuffle(all.filter((number) => number > 20 && number % 10 > 0));
  const [validation, test] = [composed.slice(0, 8), composed.slice(8, 24)];
  return { validation, test, train: all.filter((number) => !validation.includes(number) && !test.includes(number)) };
}

/** Text formatting: a number and goods, with the number in words. Free text. */
export function numberWords(random: Random): TaskRow[] {
  const numbers = divideNumbers(random);
  const draw = (split: Split, index: number) => {
    const number = byTurns(numbers[split], index);
    const { plural } = random.pick(goods);
    return {
      key: `${number} ${plural}`,
      fields: { digits: `${number} ${plural}`, words: `${numberInWords(number)} ${plural}` },
    };
  };
  return drawRows(random, 'number_words', usualCounts, draw);
}
