/** Tasks of common sense and counting: what somebody needs, and how many things there are after a change. */

import type { Random } from '../../../random.ts';
import { goods, people } from './facts.ts';
import { pickSome, say } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

/** Good → what somebody says who needs it. A is the person. */
const needs: Readonly<Record<string, readonly string[]>> = {
  loaf: ['A is hungry and wants bread', 'A has no bread at home'],
  cake: ['A wants to make a feast for a birthday', 'A has a birthday today and guests will come'],
  hammer: ['A wants to mend the roof', 'A wants to mend the barn'],
  blanket: ['A wants to sleep, but the night is cold', 'A is cold at night'],
  bowl: ['A cooked soup and wants to eat it', 'A made stew and wants to eat it'],
  cup: ['A wants to drink water', 'A has a jug of water and wants to drink'],
  net: ['A wants to take fish from the lake', 'A goes to the harbor, because fish swim there'],
  coat: ['A wants to go out, but it is snowy', 'A must walk in the cold rain'],
  hat: ['A walks in the sun, and the sun is too strong', 'the wind blows, and the head of A is cold'],
  chair: ['A is tired and wants to sit', 'a guest of A wants to sit down'],
  book: ['A wants to read a story', 'A wants to read all evening'],
  map: ['A does not know the road to the next town', 'A wants to find the way over the river'],
  rose: ['A wants to give a flower', 'A wants one flower for the window'],
  basket: ['A wants to carry home many plums', 'A picked plums and must carry them'],
  bell: ['A wants everyone to hear when guests come to the door', 'A looks for the goat, but hears no sound'],
  knife: ['A wants to cut the bread', 'A has a big cheese and wants to cut it'],
};

/** Common sense: which of three goods fits a need; every good is as often right as the others. */
export function whatToTake(random: Random): TaskRow[] {
  const names = Object.keys(needs);
  const draw = (index: number) => {
    const answer = byTurns(names, index);
    const need = random.pick(needs[answer] ?? []).replace(/\bA\b/, random.pick(people).name);
    const wrong = pickSome(
      random,
      names.filter((name) => name !== answer && !rivals.some((pair) => pair.includes(name) && pair.includes(answer))),
      2,
    );
    const situation = say(random, `${need}.`);
    const options = random.shuffle([answer, ...wrong]);
    return { key: situation, fields: { situation, answer, options } };
  };
  return drawRows(random, 'what_to_take', usualCounts, (_, index) => draw(index));
}

/** Goods that could help with the same need, and are never offered together. */
const rivals: readonly (readonly string[])[] = [
  ['loaf', 'cake'],
  ['loaf', 'knife'],
  ['cake', 'knife'],
  ['coat', 'hat'],
  ['coat', 'blanket'],
  ['bowl', 'cup'],
  ['chair', 'blanket'],
  ['basket', 'bowl'],
  ['cake', 'rose'],
  ['cake', 'chair'],
  ['cake', 'bowl'],
  ['cake', 'cup'],
  ['cake', 'book'],
  ['blanket', 'hat'],
  ['basket', 'net'],
];

/** Arithmetic: how many things somebody has after a gain or a loss, with the sum as reason. Free text. */
export function countThings(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const who = random.pick(people);
    const good = random.pick(goods.filter((each) => each.name !== each.plural));
    const gains = index % 2 === 0;
    const change = 2 + random.integer(6);
    const before = gains ? 2 + random.integer(9) : change + 2 + random.integer(9);
    const after = gains ? before + change : before - change;
    const verb = gains ? '[buys|finds|makes]' : '[sells|loses|drops]';
    const story = say(
      random,
      random.pick([
        `${who.name} has ${before} ${good.plural}. Then ${who.pronoun} ${verb} ${change} ${good.plural}.`,
        `${who.name} had ${before} ${good.plural} and now ${verb} ${change}${gains ? ' more' : ''}.`,
      ]),
    );
    const why = gains ? `${before} and ${change} are ${after}.` : `${before} without ${change} is ${after}.`;
    const fields = { story, name: who.name, things: good.plural, count: `${after} ${good.plural}`, why };
    return { key: story, fields };
  };
  return drawRows(random, 'count_things', usualCounts, (_, index) => draw(index));
}
