/** Tasks that ask for what the world knows: homes, trades, prices, which is cheaper, and sums of coins. */

import type { Random } from '../../../random.ts';
import type { Good, Person } from './facts.ts';
import { goods, people, towns, trades } from './facts.ts';
import { capitalize, coins, pickSome, say, withArticle } from './language.ts';
import type { Split, TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

/** People and goods whose facts are asked in each split; those of validation and test are known from the corpus alone. */
export interface Known {
  readonly people: Readonly<Record<Split, readonly Person[]>>;
  readonly goods: Readonly<Record<Split, readonly Good[]>>;
}

/** Divides people (24, 4, 8) and goods (18, 4, 8) among the splits. */
export function divideWorld(random: Random): Known {
  const who = random.shuffle(people);
  const what = random.shuffle(goods);
  return {
    people: { train: who.slice(0, 24), validation: who.slice(24, 28), test: who.slice(28) },
    goods: { train: what.slice(0, 18), validation: what.slice(18, 22), test: what.slice(22) },
  };
}

function optionsWith(random: Random, answer: string, all: readonly string[], count: number): string[] {
  const wrong = pickSome(
    random,
    all.filter((each) => each !== answer),
    count - 1,
  );
  return random.shuffle([answer, ...wrong]);
}

/** Closed-book: the town somebody lives in. */
export function personTown(random: Random, known: Known): TaskRow[] {
  const names = towns.map((each) => each.name);
  return drawRows(random, 'person_town', { ...usualCounts, test: 48 }, (split, index) => {
    const who = byTurns(known.people[split], index);
    const options = optionsWith(random, who.town, names, 4);
    return { key: `${who.name} ${[...options].sort()}`, fields: { name: who.name, town: who.town, options } };
  });
}

/** Closed-book: somebody's trade. */
export function personTrade(random: Random, known: Known): TaskRow[] {
  const names = trades.map((each) => each.name);
  return drawRows(random, 'person_trade', { ...usualCounts, test: 48 }, (split, index) => {
    const who = byTurns(known.people[split], index);
    const options = optionsWith(random, who.trade, names, 4);
    return { key: `${who.name} ${[...options].sort()}`, fields: { name: who.name, trade: who.trade, options } };
  });
}

/** Closed-book: what a good costs. */
export function goodPrice(random: Random, known: Known): TaskRow[] {
  const prices = [...new Set(goods.map((each) => each.price))].sort((a, b) => a - b).map(coins);
  return drawRows(random, 'good_price', { ...usualCounts, test: 48 }, (split, index) => {
    const good = byTurns(known.goods[split], index);
    const price = coins(good.price);
    const options = optionsWith(random, price, prices, 4);
    const fields = { good: good.name, one: withArticle(good.name), price, options };
    return { key: `${good.name} ${[...options].sort()}`, fields };
  });
}

/** Commonsense: which of two goods is cheaper; the pairs of the splits are disjoint. */
export function cheaper(random: Random): TaskRow[] {
  const pairs = random.shuffle(
    goods
      .flatMap((one, i) => goods.slice(i + 1).map((other) => ({ one, other })))
      .filter((p) => p.one.price !== p.other.price),
  );
  let next = 0;
  return drawRows(random, 'cheaper', { train: 280, validation: 40, test: 60 }, (_, index) => {
    const { one, other } = pairs[next++] ?? { one: goods[0] as Good, other: goods[1] as Good };
    const [low, high] = one.price < other.price ? [one, other] : [other, one];
    // By turns the cheaper one stands first, and by other turns it is the first option.
    const [first, second] = index % 2 === 0 ? [low, high] : [high, low];
    const options = index % 4 < 2 ? [low.name, high.name] : [high.name, low.name];
    const why = `${capitalize(withArticle(first.name))} costs ${coins(first.price)}, and ${withArticle(second.name)} costs ${coins(second.price)}.`;
    const fields = { first: withArticle(first.name), second: withArticle(second.name), answer: low.name, options, why };
    return { key: [one.name, other.name].sort().join(' '), fields };
  });
}

/** Arithmetic: the price of two or three pieces, from a note that says what one costs. Free text. */
export function totalPrice(random: Random): TaskRow[] {
  return drawRows(random, 'total_price', usualCounts, (_, index) => {
    const who = random.pick(people);
    const good = random.pick(goods);
    const count = 2 + (index % 2);
    const note = say(
      random,
      random.pick([
        `${who.name} [buys|wants|takes] ${count} ${good.plural}. One ${good.name} costs ${coins(good.price)}.`,
        `${withArticle(good.name)} costs ${coins(good.price)}. ${who.name} [buys|wants|takes] ${count} ${good.plural}.`,
        `${who.name} buys ${count} ${good.plural} at ${coins(good.price)} each.`,
      ]),
    );
    const why = `One ${good.name} costs ${coins(good.price)}. ${Array(count).fill(good.price).join(' and ')} are ${count * good.price}.`;
    const fields = { note, name: who.name, total: coins(count * good.price), why };
    return { key: `${who.name} ${count} ${good.name}`, fields };
  });
}
