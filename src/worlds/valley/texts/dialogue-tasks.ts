/** Conversations of two and three turns: a question about a note with a follow-up, and a purchase with its change. */

import type { Random } from '../../../random.ts';
import type { Event } from './events.ts';
import { clause, drawEvents } from './events.ts';
import { goods, people, towns } from './facts.ts';
import { capitalize, coins, pickSome, sayOne, withArticle } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

/** Conversation: who did it, and then where; "she" or "he" of the second question is the answer of the first. */
export function talkNote(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const [asked, other] = drawEvents(random, 2, index % 3 === 0) as [Event, Event];
    const [here, there] = pickSome(
      random,
      towns.map((each) => each.name),
      2,
    ) as [string, string];
    const parts = [`${clause(asked)} in ${here}`, `${clause(other)} in ${there}`];
    const [first, second] = index % 2 === 0 ? parts : parts.reverse();
    const note = sayOne(random, [`${first}, and ${second}.`, `${first}, but ${second}.`, `${first}. ${second}.`]);
    const { verb, good, who } = asked;
    const fields = {
      note,
      question: `Who ${verb.past} the ${good.name}?`,
      reply: `${who.name} ${verb.past} the ${good.name}.`,
      follow_up: `Where did ${who.pronoun} ${verb.base} it?`,
      answer: here,
    };
    return { key: note, fields };
  };
  return drawRows(random, 'talk_note', usualCounts, (_, index) => draw(index));
}

/** Conversation of three turns: the price of one, the price of all, and the coins that come back. */
export function shopTalk(random: Random): TaskRow[] {
  const draw = (index: number) => {
    const who = random.pick(people);
    const good = random.pick(goods.filter((each) => each.name !== each.plural));
    const count = byTurns([2, 3], index);
    const total = good.price * count;
    const given = total + 1 + random.integer(5);
    const price = `${withArticle(good.name)} costs ${coins(good.price)}`;
    const note = sayOne(random, [
      `${price}, and ${who.name} wants ${count} ${good.plural} in ${random.pick(towns).name}.`,
      `${who.name} wants ${count} ${good.plural} in ${random.pick(towns).name}. ${capitalize(price)}.`,
    ]);
    const fields = {
      note,
      name: who.name,
      pronoun: who.pronoun,
      one: withArticle(good.name),
      things: `${count} ${good.plural}`,
      price: coins(good.price),
      total: coins(total),
      given: coins(given),
      change: coins(given - total),
      why: `${count} ${good.plural} cost ${coins(total)}. ${given} without ${total} is ${given - total}.`,
    };
    return { key: note, fields };
  };
  return drawRows(random, 'shop_talk', usualCounts, (_, index) => draw(index));
}
