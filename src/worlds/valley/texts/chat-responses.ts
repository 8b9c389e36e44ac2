/** Demonstrations for the conversation dataset: answers of six styles, from warm and right to off the point. */

import type { Random } from '../../../random.ts';
import type { Askable, Question } from './chat-questions.ts';
import { foods, goods, towns } from './facts.ts';
import { capitalize, countWords, say, sayOne } from './language.ts';
import { personSentence, priceSentence, townSentence } from './sentences.ts';

/** Style → share of the demonstrations, in percent. */
export const styleShares = { warm: 20, plain: 18, curt: 12, wrong: 29, rambling: 8, empty: 13 } as const;

/** warm: friendly and right. plain: right. curt: a fragment. wrong: wrong or off the point. rambling: too long. empty: warm without an answer. */
export type Style = keyof typeof styleShares;

/** Openers of whole sentences, and openers that the answer follows after a comma. */
const greetings = [
  'Hello, my friend!',
  'Welcome, my friend!',
  'Hello and welcome!',
  'Good day, dear friend!',
  'Gladly, my friend!',
  'Hello, dear neighbor!',
  'I will gladly help you, friend.',
  'I am glad to help, neighbor.',
  'Thank you for asking, friend!',
  'How lovely to see you, friend!',
];
const leads = [
  'Hello, friend,',
  'Gladly, friend,',
  'Dear friend,',
  'My dear friend,',
  'Well, dear neighbor,',
  'Hello, neighbor,',
  'Welcome, neighbor,',
];
const closers = [
  'Enjoy your day!',
  'Have a lovely day!',
  'You are always welcome.',
  'I hope this helps you.',
  'Thanks for asking!',
  'I wish you good luck!',
  'It was lovely to help.',
  'See you soon, friend!',
  'Enjoy the rest of the day!',
  'Have a good day!',
];
/** After an answer without a greeting: as friendly as a greeting and a closer together. */
const farewells = [
  'Enjoy your day, my friend!',
  'Have a lovely day, dear neighbor!',
  'Thanks for asking, my friend!',
  'I wish you a lovely day, friend!',
  'You are always welcome, dear friend!',
  'I am glad to help you, friend!',
];
const niceties = [
  'How lovely to see you again!',
  'Thank you for your visit.',
  'You are always welcome here.',
  'I hope that you are well.',
  'It is a lovely day today.',
  'I wish you a good day.',
  'Please come again soon!',
  'I am so glad to see you.',
  'It is good to talk with a friend.',
  'Enjoy the day and the sun!',
];
const shrugs = [
  'I do not know.',
  'Nobody told me that.',
  'I have no time now.',
  'Ask somebody else.',
  'That is not my work.',
  'Why do you ask me?',
  'I can not say.',
  'Come back tomorrow.',
];

/** Puts a sentence after a comma: its article loses the capital, names and days keep theirs. */
function afterComma(sentence: string): string {
  return sentence.replace(/^(The|A|An|It|You|For|One|On|In|By|Go|What|At)\b/, (word) => word.toLowerCase());
}

function right(random: Random, question: Question): string {
  return sayOne(random, question.sentences(question.answer));
}

function warm(random: Random, question: Question): string {
  const answer = right(random, question);
  switch (random.integer(4)) {
    case 0:
      return `${random.pick(greetings)} ${answer} ${random.pick(closers)}`;
    case 1:
      return `${random.pick(leads)} ${lowerUnlessName(answer, question)} ${random.pick(closers)}`;
    case 2:
      return `${random.pick(greetings)} ${answer} ${random.pick(closers)}`;
    default:
      return `${answer} ${random.pick(farewells)}`;
  }
}

/** Goods in the plural may open a sentence; after a comma they are small again. */
function lowerUnlessName(sentence: string, question: Question): string {
  const first = sentence.split(' ')[0] ?? '';
  const isPlural = goods.some((good) => capitalize(good.plural) === first) && question.kind === 'seller';
  return isPlural ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : afterComma(sentence);
}

function curt(random: Random, question: Question): string {
  const { answer } = question;
  return random.pick([
    answer,
    answer,
    `${answer}, I think`,
    `it is ${answer}`,
    `${answer} of course`,
    `just ${answer}`,
    `${answer}, no more`,
    `well, ${answer}`,
  ]);
}

function wrong(random: Random, question: Question, known: Askable): string {
  switch (random.integer(4)) {
    case 0:
      return random.pick(shrugs);
    case 1:
      return sayOne(random, [
        priceSentence(random, random.pick(known.goods)),
        personSentence(random, random.pick(known.people)),
        townSentence(random, random.pick(towns)),
        `I like ${random.pick(foods)} best.`,
      ]);
    default:
      return sayOne(random, question.sentences(random.pick(question.wrong)));
  }
}

function rambling(random: Random, question: Question, known: Askable): string {
  const parts = [right(random, question)];
  const again = [
    () => say(random, `[yes|I said it|as I said|once more], ${lowerUnlessName(right(random, question), question)}`),
    () => right(random, question),
    () =>
      sayOne(random, [
        'I say it again and again.',
        'Let me think about it once more.',
        'Now let me tell you more and more.',
        'That is what people say, and people say much.',
      ]),
    () => personSentence(random, random.pick(known.people)),
    () => townSentence(random, random.pick(towns)),
  ];
  const wanted = 25 + random.integer(7);
  while (countWords(parts.join(' ')) < wanted) parts.push(random.pick(again)());
  while (countWords(parts.join(' ')) > 36) parts.pop();
  return parts.join(' ');
}

function empty(random: Random): string {
  const [one, two] = random.shuffle(niceties);
  return random.pick([
    `${random.pick(greetings)} ${one}`,
    `${random.pick(greetings)} ${one} ${random.pick(closers)}`,
    `${one} ${two}`,
    `${random.pick(['Hello, friend!', 'Welcome, friend!', 'Good day, neighbor!'])} ${one} ${two}`,
  ]);
}

/** A demonstration in the given style; where it strays, it tells of the people and goods in `known` only. */
export function respond(random: Random, question: Question, style: Style, known: Askable): string {
  const write = { warm, plain: right, curt, wrong, rambling, empty }[style];
  return write(random, question, known);
}

/** A style drawn by the shares. */
export function drawStyle(random: Random): Style {
  let left = random.integer(100);
  for (const [style, share] of Object.entries(styleShares)) {
    left -= share;
    if (left < 0) return style as Style;
  }
  return 'plain';
}
