/** Many ways to say each fixed fact of the world, one sentence each. */

import type { Random } from '../../../random.ts';
import type { Good, Person, Town } from './facts.ts';
import { goodsOf, objectForm, possessive, townNamed, tradeNamed } from './facts.ts';
import { capitalize, coins, listed, sayOne, vary, withArticle } from './language.ts';

/** Whether a sentence names the person or uses the pronoun. */
export type Reference = 'name' | 'pronoun';

interface Forms {
  readonly subject: string;
  readonly owner: string;
  readonly object: string;
}

function forms(who: Person, reference: Reference): Forms {
  return reference === 'name'
    ? { subject: who.name, owner: `${who.name}'s`, object: who.name }
    : { subject: who.pronoun, owner: possessive(who), object: objectForm(who) };
}

/** Where somebody lives. */
export function homeSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const { subject, owner, object } = forms(who, reference);
  return sayOne(random, [
    `${subject} lives in ${who.town}.`,
    `${subject} lives in ${who.town}, [near|not far from|close to] the ${townNamed(who.town).landmark}.`,
    `${owner} [home|house] is in ${who.town}.`,
    `${subject} has [a small|a big|an old|a little] house in ${who.town}.`,
    `${subject} has lived in ${who.town} for [many|a few|ten] years.`,
    `${who.town} is where ${subject} lives.`,
    `the town where ${who.name} lives is [called |]${who.town}.`,
    `you can find ${object} in ${who.town}.`,
    `people in ${who.town} know ${object} well, because ${who.pronoun} lives there.`,
  ]);
}

/** What somebody's trade is. */
export function tradeSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const { subject, owner } = forms(who, reference);
  const place = tradeNamed(who.trade).workplace;
  const made = vary(random, listed(random.shuffle(goodsOf(who.trade)).map((each) => each.plural)));
  return sayOne(random, [
    `${subject} is a ${who.trade}.`,
    `${subject} works as a ${who.trade}.`,
    `${owner} trade is that of a ${who.trade}.`,
    `${subject} is the ${who.trade} of ${who.town}.`,
    `the ${who.trade} of ${who.town} is ${who.name}.`,
    `${subject} is a ${who.trade} and works at the ${place}.`,
    `as a ${who.trade}, ${subject} [makes|sells] ${made}.`,
    `${subject} works at the ${place}, because ${who.pronoun} is a ${who.trade}.`,
    `by trade, ${subject} is a ${who.trade}.`,
    `everyone in ${who.town} knows ${who.name} the ${who.trade}.`,
    `${subject} has been a ${who.trade} for [many|a few|ten] years.`,
  ]);
}

/** Which pet somebody has. */
export function petSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const { subject, owner, object } = forms(who, reference);
  return sayOne(random, [
    `${subject} has a ${who.pet}.`,
    `${subject} keeps a ${who.pet}.`,
    `${owner} pet is a ${who.pet}.`,
    `a ${who.pet} lives with ${object}.`,
    `the pet that ${subject} [has|keeps] is a ${who.pet}.`,
    `${owner} ${who.pet} sleeps [by the door|by the fire|in the house].`,
    `at home a ${who.pet} waits for ${object}.`,
    `${subject} takes good care of ${possessive(who)} ${who.pet}.`,
    `${subject} loves ${possessive(who)} ${who.pet}.`,
  ]);
}

/** What somebody likes to eat best. */
export function foodSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const { subject, owner, object } = forms(who, reference);
  return sayOne(random, [
    `${subject} likes ${who.food} best.`,
    `${owner} favorite food is ${who.food}.`,
    `the food that ${subject} likes best is ${who.food}.`,
    `${subject} eats ${who.food} [every day|every evening|for dinner].`,
    `nothing tastes better to ${object} than ${who.food}.`,
    `for dinner ${subject} [always wants|likes to eat] ${who.food}.`,
    `if you ask ${object} to dinner, cook ${who.food}.`,
    `${who.food} is ${owner} favorite food.`,
  ]);
}

/** How many children somebody has. */
export function childrenSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const { subject, owner } = forms(who, reference);
  if (who.children === 0) {
    return sayOne(random, [
      `${subject} has no children.`,
      `there are no children in ${owner} house.`,
      `${subject} has no children, but ${who.pronoun} has a ${who.pet}.`,
    ]);
  }
  const count = who.children === 1 ? 'one child' : `${who.children} children`;
  return sayOne(random, [
    `${subject} has ${count}.`,
    `${subject} lives with ${count}.`,
    `there ${who.children === 1 ? 'is' : 'are'} ${count} in ${owner} house.`,
  ]);
}

/** Any fact about somebody. */
export function personSentence(random: Random, who: Person, reference: Reference = 'name'): string {
  const say = random.pick([homeSentence, tradeSentence, petSentence, foodSentence, childrenSentence]);
  return say(random, who, reference);
}

/** What a good costs. */
export function priceSentence(random: Random, good: Good): string {
  const one = withArticle(good.name);
  const price = coins(good.price);
  return sayOne(random, [
    `${one} costs ${price}.`,
    `the price of ${one} is ${price}.`,
    `you pay ${price} for ${one}.`,
    `for ${price} you can buy ${one}.`,
    `the ${good.seller} sells ${one} for ${price}.`,
    `${good.plural} cost ${price} each.`,
    `${good.plural} are sold for ${price} each.`,
    `one ${good.name} costs ${price}.`,
    `the ${good.seller} asks ${price} for ${one}.`,
    `${one} is sold for ${price}.`,
    `at the ${tradeNamed(good.seller).workplace} ${one} costs ${price}.`,
  ]);
}

/** Who makes and sells a good, and where. */
export function sellerSentence(random: Random, good: Good): string {
  const place = tradeNamed(good.seller).workplace;
  const one = withArticle(good.name);
  return sayOne(random, [
    `the ${good.seller} sells ${good.plural}.`,
    `${good.plural} are sold by the ${good.seller}.`,
    `you can buy ${one} from the ${good.seller} at the ${place}.`,
    `if you need ${one}, go to the ${good.seller}.`,
    `the ${good.seller} makes [fine|good|many] ${good.plural} at the ${place}.`,
    `${good.plural} come from the ${good.seller}.`,
    `the ${place} is the place for ${good.plural}.`,
    `people who want ${one} ask the ${good.seller}.`,
  ]);
}

/** What several pieces of a good cost together. */
export function totalSentence(random: Random, good: Good, count: number): string {
  const total = coins(good.price * count);
  return sayOne(random, [
    `${count} ${good.plural} cost ${total}.`,
    `for ${count} ${good.plural} you pay ${total}.`,
    `${withArticle(good.name)} costs ${coins(good.price)}, so ${count} ${good.plural} cost ${total}.`,
    `the price of ${count} ${good.plural} is ${total}, because one ${good.name} costs ${coins(good.price)}.`,
  ]);
}

/** Which of two goods with different prices is cheaper. */
export function comparisonSentence(random: Random, one: Good, other: Good): string {
  const [low, high] = one.price < other.price ? [one, other] : [other, one];
  const a = withArticle(one.name);
  const b = withArticle(other.name);
  return sayOne(random, [
    `${a} costs ${coins(one.price)} and ${b} costs ${coins(other.price)}, so the ${low.name} is cheaper.`,
    `${withArticle(low.name)} is cheaper than ${withArticle(high.name)}.`,
    `${withArticle(high.name)} costs more than ${withArticle(low.name)}.`,
    `of ${a} and ${b}, the ${low.name} is cheaper.`,
    `the ${low.name} is cheaper than the ${high.name}, because it costs only ${coins(low.price)}.`,
    `${a} or ${b}? [People with few coins|Those who want to save] take the ${low.name}, which is cheaper.`,
    `the ${low.name} costs ${coins(low.price)}, the ${high.name} costs ${coins(high.price)}, and the ${high.name} is the dear one.`,
  ]);
}

/** A fixed fact about a town. */
export function townSentence(random: Random, town: Town): string {
  return random.pick([landmarkSentence, usualWeatherSentence, marketSentence])(random, town);
}

/** Which landmark a town has. */
export function landmarkSentence(random: Random, town: Town): string {
  return sayOne(random, [
    `the ${town.landmark} is in ${town.name}.`,
    `${town.name} is known for the ${town.landmark}.`,
    `if you want to see the ${town.landmark}, go to ${town.name}.`,
    `people come to ${town.name} to see the ${town.landmark}.`,
    `in the middle of ${town.name} you find the ${town.landmark}.`,
    `the pride of ${town.name} is the ${town.landmark}.`,
  ]);
}

/** Which weather a town usually has. */
export function usualWeatherSentence(random: Random, town: Town): string {
  return sayOne(random, [
    `it is usually ${town.weather} in ${town.name}.`,
    `the weather in ${town.name} is usually ${town.weather}.`,
    `in ${town.name} most days are ${town.weather}.`,
    `${town.name} is a ${town.weather} town.`,
    `a ${town.weather} day is nothing new in ${town.name}.`,
  ]);
}

/** On which day a town has its market. */
export function marketSentence(random: Random, town: Town): string {
  return sayOne(random, [
    `the market in ${town.name} is on ${town.marketDay}.`,
    `${town.name} has its market on ${town.marketDay}.`,
    `on ${town.marketDay} there is a market in ${town.name}.`,
    `every ${town.marketDay} people go to the market in ${town.name}.`,
    `the market day of ${town.name} is ${town.marketDay}.`,
  ]);
}

/** Who sells a good in a town where somebody has that trade. */
export function sellerPersonSentence(random: Random, who: Person): string {
  const good = random.pick(goodsOf(who.trade));
  return sayOne(random, [
    `in ${who.town} ${who.name} sells ${good.plural}.`,
    `${who.name} sells ${withArticle(good.name)} for ${coins(good.price)}.`,
    `${capitalize(good.plural)} made by ${who.name} are [good|strong|fine].`,
  ]);
}
