/** Corpus documents in somebody's voice: diaries, letters, dialogues, stories and weddings. */

import type { Random } from '../../../random.ts';
import { compose } from './compose.ts';
import { drawEvents, happening } from './events.ts';
import type { Person } from './facts.ts';
import { days, goods, goodsOf, people, possessive, towns, tradeNamed } from './facts.ts';
import { capitalize, coins, pickSome, say, sayOne, withArticle } from './language.ts';
import {
  foodSentence,
  homeSentence,
  marketSentence,
  personSentence,
  petSentence,
  priceSentence,
  sellerSentence,
  townSentence,
  tradeSentence,
} from './sentences.ts';

/** A page of somebody's diary, in the first person. */
export function diary(random: Random): string {
  const who = random.pick(people);
  const day = random.pick(days);
  const friend = random.pick(people.filter((each) => each !== who));
  const goodOfDay = random.pick(goods);
  const place = tradeNamed(who.trade).workplace;
  return compose(random, {
    opening: [
      sayOne(random, [
        `${day}. [I woke up early.|I slept well.|The morning was ${random.pick(towns).weather}.]`,
        `diary of ${who.name}, ${day}.`,
        `my name is ${who.name}, and today is ${day}.`,
        `${day} was a [long|good|quiet|busy] day for me, ${who.name}.`,
      ]),
    ],
    middle: [
      () =>
        say(
          random,
          `I worked at the ${place} [all day|until noon|until the evening], [as a ${who.trade} must|because I am a ${who.trade}].`,
        ),
      () => say(random, `my ${who.pet} [slept by the fire|was hungry|ran after me|was happy to see me].`),
      () => say(random, `for dinner I [ate|had|cooked] ${who.food}, my favorite food.`),
      () => say(random, `I bought ${withArticle(goodOfDay.name)} for ${coins(goodOfDay.price)}.`),
      () => say(random, `I [met|saw|spoke with] ${friend.name}, the ${friend.trade} of ${friend.town}.`),
      () => homeSentence(random, friend),
      () => happening(random, friend, friend.town),
      () => say(random, `here in ${who.town} the market is on ${townOf(who).marketDay}.`),
      () => say(random, `from my window in ${who.town} I can see the ${townOf(who).landmark}.`),
      () => say(random, `it was ${townOf(who).weather} in ${who.town}, as it usually is.`),
    ],
    closing:
      random.integer(2) === 0
        ? [say(random, '[Now I am tired.|I will sleep well.|Good night.|Tomorrow is a new day.]')]
        : [],
  });
}

function townOf(who: Person) {
  const home = towns.find((each) => each.name === who.town);
  return home ?? { name: who.town, landmark: 'old mill', weather: 'sunny', marketDay: 'Monday' };
}

/** A letter between two people. */
export function letter(random: Random): string {
  const [from, to, third] = pickSome(random, people, 3) as [Person, Person, Person];
  const wished = random.pick(goods);
  return compose(random, {
    opening: [
      say(
        random,
        `dear ${to.name}, [how are you?|I hope that you are well.|thank you for your letter.|I have news for you.]`,
      ).replace(/, ([a-z])/, (_, c: string) => `, ${c}`),
    ],
    middle: [
      () => personSentence(random, third),
      () => happening(random, third, third.town),
      () => say(random, `here in ${from.town} it is ${townOf(from).weather} [again|as usual].`),
      () => say(random, `please [send|bring] me ${withArticle(wished.name)} from the ${wished.seller}.`),
      () => priceSentence(random, wished),
      () => say(random, `my ${from.pet} is [well|old now|fat and happy].`),
      () => say(random, `I still work as a ${from.trade} at the ${tradeNamed(from.trade).workplace}.`),
      () => say(random, `how is your ${to.pet}? [I hope it is well.|Does it still sleep by the fire?]`),
      () => say(random, `when you come to ${from.town}, I will cook ${to.food} for you, because you like it best.`),
      () => marketSentence(random, townOf(from)),
      () => say(random, `is the ${townOf(to).landmark} in ${to.town} still [so beautiful|there]?`),
    ],
    closing: [say(random, `[your friend|with love|yours], ${from.name}.`)],
  });
}

/** A talk between two people who meet. */
export function dialogue(random: Random): string {
  const [one, two] = pickSome(random, people, 2) as [Person, Person];
  const wished = random.pick(goods);
  const said = (who: Person): string => vary2(random, `[said ${who.name}|${who.name} said|answered ${who.name}]`);
  const lines = random.shuffle([
    [
      `"[What does|How much is] ${withArticle(wished.name)}[| now]?" asked ${one.name}.`
        .replace('What does', 'What is the price of')
        .replace('How much is', 'How much is'),
      `"[It costs|You pay|It is] ${coins(wished.price)}," ${said(two)}.`,
    ],
    [
      `"[Where can I buy|Who sells] ${withArticle(wished.name)}?" ${one.name} wanted to know.`,
      `"[Go to the ${wished.seller}|Ask the ${wished.seller}|The ${wished.seller} sells ${wished.plural}]," ${said(two)}.`,
    ],
    [
      `"[Do you still live|Is your home] in ${two.town}?" asked ${one.name}.`,
      `"Yes, [I live in ${two.town}|my house is in ${two.town}|near the ${townOf(two).landmark}]," ${said(two)}.`,
    ],
    [
      `"[How is your ${two.pet}?|Is your ${two.pet} well?]" asked ${one.name}.`,
      `"[My ${two.pet} is well|It sleeps all day|It eats too much]," ${said(two)}.`,
    ],
    [
      `"[What will you eat|What do you want for dinner]?" asked ${one.name}.`,
      `"[${capitalize(two.food)}, of course|I want ${two.food}|Please give me ${two.food}]," ${said(two)}.`,
    ],
    [
      `"[When is the market|On which day is the market] in ${one.town}?" asked ${two.name}.`,
      `"[On ${townOf(one).marketDay}|It is on ${townOf(one).marketDay}|Come on ${townOf(one).marketDay}]," ${said(one)}.`,
    ],
  ]);
  return compose(random, {
    opening: [
      say(
        random,
        `${one.name} met ${two.name} [at the market|near the ${townOf(two).landmark}|at the ${tradeNamed(two.trade).workplace}|on the road].`,
      ),
      say(
        random,
        `"[Hello, ${two.name}!|Good day, ${two.name}!|Hello, my friend!|Welcome, dear friend!]" said ${one.name}.`,
      ),
      say(
        random,
        `"[Hello, ${one.name}!|I am glad to see you.|Lovely to see you, ${one.name}.|Good day to you!]" said ${two.name}.`,
      ),
    ],
    ordered: true,
    middle: lines.slice(0, 3).map((pair) => () => pair.map((line) => vary2(random, line)).join(' ')),
    closing: [
      say(
        random,
        `"[Thank you|Thanks, my friend|Many thanks|Thank you, dear ${two.name}]," said ${one.name}. "[Have a good day!|Enjoy the day!|See you soon!|Good luck!|You are welcome|You are welcome,]`,
      )
        .replace(/"You are welcome,?$/, `"You are welcome," said ${two.name}.`)
        .replace(/!$/, '!"'),
    ],
  });
}

function vary2(random: Random, pattern: string): string {
  return say(random, pattern).replace(/^(Said|Answered) /, (word) => word.toLowerCase());
}

/** A small story with a lost thing or animal that is found again. */
export function story(random: Random): string {
  const [owner, finder] = pickSome(random, people, 2) as [Person, Person];
  const thing = random.integer(2) === 0 ? random.pick(goods).name : owner.pet;
  const where = random.pick(towns).name;
  return compose(random, {
    opening: [
      sayOne(random, [
        `one ${random.pick(days)} ${owner.name} lost ${possessive(owner)} ${thing}.`,
        `once ${owner.name}, the ${owner.trade} of ${owner.town}, lost ${possessive(owner)} ${thing}.`,
        `${owner.name} came home and the ${thing} was gone.`,
      ]),
      sayOne(random, [
        `${owner.pronoun} was very sad.`,
        `${owner.pronoun} looked [under the table|in every room|at the market], but the ${thing} was not there.`,
        `"where is my ${thing}?" cried ${owner.name}.`.replace('"w', '"W'),
      ]),
    ],
    middle: [
      () => homeSentence(random, finder),
      () => tradeSentence(random, finder),
      () => petSentence(random, owner),
      () => say(random, `${owner.name} asked all the people in ${owner.town}.`),
      () => say(random, `the night was [dark|cold|long], and the wind was strong.`),
      () => townSentence(random, townOf(finder)),
      () => foodSentence(random, owner),
      () => say(random, `nobody in ${where} had seen the ${thing}.`),
    ],
    closing: [
      sayOne(random, [
        `then ${finder.name} found the ${thing} in ${where} and brought it back.`,
        `at last ${finder.name} came with the ${thing} from ${where}.`,
        `it was ${finder.name} who found the ${thing} near the road to ${where}.`,
      ]),
      sayOne(random, [
        `${owner.name} was happy and gave ${finder.name} [a cake|a pie|an apple|a rose].`,
        `"thank you, dear friend," said ${owner.name}.`.replace('"t', '"T'),
        `so the ${thing} of ${owner.name} was found by ${finder.name}.`,
      ]),
    ],
  });
}

/** A wedding or feast with guests and gifts. */
export function wedding(random: Random): string {
  const guests = drawEvents(random, 4);
  const host = random.pick(people);
  const gifts = guests.map(({ who, good }) => ({ who, good }));
  return compose(random, {
    opening: [
      say(
        random,
        `[There was a wedding in ${host.town}.|The feast in ${host.town} was on ${random.pick(days)}.|${host.name} had a birthday in ${host.town}.|All the guests came to the house of ${host.name}.]`,
      ),
    ],
    ordered: true,
    middle: [
      ...gifts.slice(0, 3).map(
        ({ who, good }) =>
          () =>
            say(
              random,
              `${who.name} [gave|brought] [${withArticle(good.name)}|${withArticle(good.name)} as a gift|a gift: ${withArticle(good.name)}].`,
            ),
      ),
      () => happening(random, host, host.town),
      ...gifts.slice(0, 3).map(
        ({ who, good }) =>
          () =>
            say(
              random,
              `[the ${good.name} was the gift of ${who.name}|the ${good.name} came from ${who.name}|${who.name} was the one with the ${good.name}].`,
            ),
      ),
      () => sellerSentence(random, gifts[0]?.good ?? random.pick(goods)),
      () => say(random, `they ate ${host.food} and [danced|sang] until [night|late|the morning].`),
      () => tradeSentence(random, host),
      () => priceSentence(random, random.pick(goodsOf(host.trade))),
    ],
  });
}
