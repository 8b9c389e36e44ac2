/** Questions whose answers are fixed facts of the world. */

import type { Ask } from './chat-questions.ts';
import { answerKinds, without } from './chat-questions.ts';
import { towns, tradeNamed } from './facts.ts';
import { coins, sayOne, withArticle } from './language.ts';

const askPrice: Ask = (random, askable) => {
  const good = random.pick(askable.goods);
  const one = withArticle(good.name);
  return {
    kind: 'price',
    note: '',
    question: sayOne(random, [
      `what does ${one} cost?`,
      `how much is ${one}?`,
      `what is the price of ${one}?`,
      `how many coins do I pay for ${one}?`,
      `I want to buy ${one}. What does it cost?`,
      `I need ${one}. How much is it?`,
      `how many coins is ${one}?`,
      `what do I pay for ${one}?`,
      `how dear is ${one}?`,
      `how many coins must I pay for ${one}?`,
    ]),
    subject: [good.name],
    answer: coins(good.price),
    wrong: without(answerKinds.price, String(good.price)).map((price) => coins(Number(price))),
    answerKey: [[String(good.price)]],
    answerKind: 'price',
    sentences: (answer) => [
      `${one} costs ${answer}.`,
      `the price of ${one} is ${answer}.`,
      `you pay ${answer} for ${one}.`,
      `for ${answer} you can buy ${one}.`,
      `one ${good.name} costs ${answer}.`,
    ],
  };
};

const askSeller: Ask = (random, askable) => {
  const good = random.pick(askable.goods);
  const one = withArticle(good.name);
  const place = tradeNamed(good.seller).workplace;
  return {
    kind: 'seller',
    note: '',
    question: sayOne(random, [
      `who sells ${good.plural}?`,
      `where can I buy ${one}?`,
      `who makes ${good.plural}?`,
      `I need ${one}. Who sells it?`,
      `I want to buy ${one}. Who can help me?`,
      `which trade sells ${good.plural}?`,
      `who can sell me ${one}?`,
      `I look for ${one}. Who has one?`,
      `from which trade can I buy ${one}?`,
      `who has ${good.plural}?`,
    ]),
    subject: [good.name],
    answer: `the ${good.seller}`,
    wrong: without(answerKinds.trade, good.seller).map((name) => `the ${name}`),
    answerKey: [[good.seller, place]],
    answerKind: 'seller',
    sentences: (answer) => [
      `you can buy ${one} from ${answer}.`,
      `${good.plural} are sold by ${answer}.`,
      `you can buy ${good.plural} from ${answer}.`,
    ],
  };
};

const askHome: Ask = (random, askable) => {
  const who = random.pick(askable.people);
  return {
    kind: 'home',
    note: '',
    question: sayOne(random, [
      `where does ${who.name} live?`,
      `in which town does ${who.name} live?`,
      `where is the house of ${who.name}?`,
      `where can I find ${who.name}?`,
      `I look for ${who.name}. Where is the house?`,
      `I have a letter for ${who.name}. Which town is it?`,
      `what town is the home of ${who.name}?`,
      `I want to visit ${who.name}. Where must I go?`,
      `which town does ${who.name} live in?`,
      `where is ${who.name} at home?`,
    ]),
    subject: [who.name],
    answer: who.town,
    wrong: without(answerKinds.town, who.town),
    answerKey: [[who.town]],
    answerKind: 'town',
    sentences: (answer) => [
      `${who.name} lives in ${answer}.`,
      `you can find ${who.name} in ${answer}.`,
      `the house of ${who.name} is in ${answer}.`,
      `${who.name} has a house in ${answer}.`,
      `${answer} is where ${who.name} lives.`,
    ],
  };
};

const askTrade: Ask = (random, askable) => {
  const who = random.pick(askable.people);
  return {
    kind: 'trade',
    note: '',
    question: sayOne(random, [
      `what is the trade of ${who.name}?`,
      `what does ${who.name} work as?`,
      `which trade does ${who.name} have?`,
      `what work does ${who.name} do?`,
      `which trade is that of ${who.name}?`,
      `what is the work of ${who.name}?`,
      `do you know the trade of ${who.name}?`,
    ]),
    subject: [who.name],
    answer: `a ${who.trade}`,
    wrong: without(answerKinds.trade, who.trade).map((name) => `a ${name}`),
    answerKey: [[who.trade]],
    answerKind: 'trade',
    sentences: (answer) => [
      `${who.name} is ${answer}.`,
      `${who.name} works as ${answer}.`,
      `by trade, ${who.name} is ${answer}.`,
      `${who.name} has been ${answer} for many years.`,
    ],
  };
};

const askPet: Ask = (random, askable) => {
  const who = random.pick(askable.people);
  return {
    kind: 'pet',
    note: '',
    question: sayOne(random, [
      `what pet does ${who.name} have?`,
      `which pet does ${who.name} keep?`,
      `what is the pet of ${who.name}?`,
      `which animal lives with ${who.name}?`,
      `what animal does ${who.name} have?`,
      `which pet lives with ${who.name}?`,
      `do you know the pet of ${who.name}?`,
    ]),
    subject: [who.name],
    answer: `a ${who.pet}`,
    wrong: without(answerKinds.pet, who.pet).map((name) => `a ${name}`),
    answerKey: [[who.pet]],
    answerKind: 'pet',
    sentences: (answer) => [
      `${who.name} has ${answer}.`,
      `${who.name} keeps ${answer}.`,
      `the pet of ${who.name} is ${answer}.`,
      `at home ${answer} waits for ${who.name}.`,
    ],
  };
};

const askFood: Ask = (random, askable) => {
  const who = random.pick(askable.people);
  return {
    kind: 'food',
    note: '',
    question: sayOne(random, [
      `what does ${who.name} like to eat?`,
      `what is the favorite food of ${who.name}?`,
      `${who.name} comes to dinner. What can I cook?`,
      `which food does ${who.name} like best?`,
      `what is the best food for ${who.name}?`,
      `which food can I bring to ${who.name}?`,
      `what must I cook for ${who.name}?`,
    ]),
    subject: [who.name],
    answer: who.food,
    wrong: without(answerKinds.food, who.food),
    answerKey: [[who.food]],
    answerKind: 'food',
    sentences: (answer) => [
      `${who.name} likes ${answer} best.`,
      `${who.name} loves to eat ${answer}.`,
      `the favorite food of ${who.name} is ${answer}.`,
      `for dinner ${who.name} wants ${answer}.`,
    ],
  };
};

const askLandmark: Ask = (random) => {
  const { name, landmark } = random.pick(towns);
  return {
    kind: 'landmark',
    note: '',
    question: sayOne(random, [
      `where is the ${landmark}?`,
      `where can I see the ${landmark}?`,
      `which town has the ${landmark}?`,
      `I want to see the ${landmark}. Where is it?`,
      `I look for the ${landmark}. Which town is it?`,
      `in which town is the ${landmark}?`,
      `where do I find the ${landmark}?`,
      `do you know where the ${landmark} is?`,
    ]),
    subject: [landmark],
    answer: name,
    wrong: without(answerKinds.town, name),
    answerKey: [[name]],
    answerKind: 'town',
    sentences: (answer) => [
      `the ${landmark} is in ${answer}.`,
      `you can see the ${landmark} in ${answer}.`,
      `${answer} has the ${landmark}.`,
      `go to ${answer} to see the ${landmark}.`,
    ],
  };
};

const askMarket: Ask = (random) => {
  const { name, marketDay } = random.pick(towns);
  return {
    kind: 'market',
    note: '',
    question: sayOne(random, [
      `when is the market in ${name}?`,
      `on which day is the market in ${name}?`,
      `what is the market day of ${name}?`,
      `which day is market day in ${name}?`,
      `I want to go to the market in ${name}. When is it?`,
      `when does ${name} have its market?`,
      `do you know the market day of ${name}?`,
      `on what day can I go to the market in ${name}?`,
    ]),
    subject: [name],
    answer: marketDay,
    wrong: without(answerKinds.day, marketDay),
    answerKey: [[marketDay]],
    answerKind: 'day',
    sentences: (answer) => [
      `the market in ${name} is on ${answer}.`,
      `${name} has its market on ${answer}.`,
      `on ${answer} there is a market in ${name}.`,
      `the market day of ${name} is ${answer}.`,
    ],
  };
};

const askUsualWeather: Ask = (random) => {
  const { name, weather } = random.pick(towns);
  return {
    kind: 'usual_weather',
    note: '',
    question: sayOne(random, [
      `what is the weather usually like in ${name}?`,
      `how is the weather in ${name} most days?`,
      `which weather does ${name} usually have?`,
      `how is the weather in ${name} usually?`,
      `what weather does ${name} have most days?`,
      `do you know the usual weather in ${name}?`,
      `what are most days like in ${name}?`,
    ]),
    subject: [name],
    answer: weather,
    wrong: without(answerKinds.weather, weather),
    answerKey: [[weather]],
    answerKind: 'weather',
    sentences: (answer) => [
      `it is usually ${answer} in ${name}.`,
      `the weather in ${name} is usually ${answer}.`,
      `in ${name} most days are ${answer}.`,
      `${name} is a ${answer} town.`,
    ],
  };
};

/** Writers of questions about the world's facts; one about goods or people is drawn more often than one about towns. */
export const factQuestions: readonly Ask[] = [
  askPrice,
  askPrice,
  askSeller,
  askSeller,
  askHome,
  askHome,
  askTrade,
  askPet,
  askFood,
  askLandmark,
  askMarket,
  askUsualWeather,
];
