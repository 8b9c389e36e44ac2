/** Corpus documents about goods, prices and trades. */

import type { Random } from '../../../random.ts';
import { compose } from './compose.ts';
import { goods, goodsOf, people, towns, trades } from './facts.ts';
import { capitalize, coins, listed, pickSome, say, sayOne, withArticle } from './language.ts';
import {
  comparisonSentence,
  homeSentence,
  marketSentence,
  priceSentence,
  sellerPersonSentence,
  sellerSentence,
  totalSentence,
  tradeSentence,
} from './sentences.ts';

/** What a market day offers. */
export function marketNote(random: Random): string {
  const town = random.pick(towns);
  const offered = pickSome(random, goods, 6);
  return compose(random, {
    opening: [marketSentence(random, town)],
    middle: [
      ...offered.map((good) => () => priceSentence(random, good)),
      ...offered.slice(0, 3).map((good) => () => sellerSentence(random, good)),
      () =>
        say(
          random,
          `[many|few] people came [to the market|to buy] [today|in the morning], because it was ${town.weather}.`,
        ),
    ],
  });
}

/** A list of prices, told in one breath. */
export function priceList(random: Random): string {
  const offered = pickSome(random, goods, 9);
  const style = random.integer(3);
  const entry = (good: (typeof goods)[number]): string =>
    style === 0 ? `${good.name} ${coins(good.price)}` : `${withArticle(good.name)} costs ${coins(good.price)}`;
  return compose(random, {
    opening: [
      say(
        random,
        `[prices in the valley|the prices of this week|what things cost at the market in ${random.pick(towns).name}|a list of prices]: ${listed(offered.slice(0, 6).map(entry))}.`,
      ),
    ],
    middle: offered.slice(4).map((good) => () => priceSentence(random, good)),
  });
}

/** Which of two goods is cheaper, several times. */
export function comparison(random: Random): string {
  const chosen = pickSome(random, goods, 8);
  return compose(random, {
    opening:
      random.integer(2) === 0
        ? [
            say(
              random,
              '[some things cost more than others.|it is good to know what is cheaper.|let us look at the prices.]',
            ),
          ]
        : [],
    middle: chosen.slice(1).flatMap((good, i) => {
      const other = chosen[i] ?? good;
      return other.price === good.price
        ? [
            () =>
              `${capitalize(withArticle(good.name))} costs as much as ${withArticle(other.name)}: ${coins(good.price)}.`,
          ]
        : [() => comparisonSentence(random, good, other)];
    }),
  });
}

/** Sums of coins. */
export function sums(random: Random): string {
  const buyers = pickSome(random, people, 4);
  return compose(random, {
    middle: buyers.map((who) => () => {
      const good = random.pick(goods);
      const count = 2 + random.integer(2);
      const total = coins(good.price * count);
      return sayOne(random, [
        `${who.name} [wants|takes] ${count} ${good.plural}. One ${good.name} costs ${coins(good.price)}, so ${who.pronoun} pays ${total}.`,
        `${who.name} paid ${total} for ${count} ${good.plural}, because one ${good.name} costs ${coins(good.price)}.`,
        `the ${good.seller} sold ${count} ${good.plural} to ${who.name} for ${total} in all.`,
        totalSentence(random, good, count),
        `at ${coins(good.price)} each, ${count} ${good.plural} cost ${who.name} ${total}.`,
      ]);
    }),
  });
}

/** What a trade makes, where, and who has it. */
export function tradeTalk(random: Random): string {
  const trade = random.pick(trades);
  const made = goodsOf(trade.name);
  const masters = people.filter((each) => each.trade === trade.name);
  return compose(random, {
    opening: [
      sayOne(random, [
        `a ${trade.name} works at the ${trade.workplace}.`,
        `the ${trade.workplace} is the place of the ${trade.name}.`,
        `this is the work of a ${trade.name}.`,
        `every ${trade.name} needs [good hands|a good eye|much time].`,
      ]),
    ],
    middle: [
      ...made.map((good) => () => sellerSentence(random, good)),
      ...made.map((good) => () => priceSentence(random, good)),
      ...masters.map((who) => () => tradeSentence(random, who)),
      ...masters.map((who) => () => sellerPersonSentence(random, who)),
      ...masters.map((who) => () => homeSentence(random, who)),
      () =>
        say(
          random,
          `there are ${masters.length} people in the valley with this trade: ${listed(random.shuffle(masters).map((each) => each.name))}.`,
        ),
    ],
  });
}
