/** Questions whose answers stand in a note that comes with them. */

import type { Ask } from './chat-questions.ts';
import { answerKinds, without } from './chat-questions.ts';
import type { Event } from './events.ts';
import { clause, drawEvents, twoEventSentences } from './events.ts';
import { pickSome, sayOne, vary, withArticle } from './language.ts';

const askWho: Ask = (random) => {
  const [one, other] = drawEvents(random, 2, random.integer(3) === 0) as [Event, Event];
  const asked = random.pick([one, other]);
  const names = answerKinds.person;
  const thing = asked.good.name;
  const did = asked.verb.past;
  return {
    kind: 'note_who',
    note: twoEventSentences(random, one, other),
    question: sayOne(random, [
      `who ${did} the ${thing}?`,
      `who was it who ${did} the ${thing}?`,
      `do you know who ${did} the ${thing}?`,
      `which of them ${did} the ${thing}?`,
    ]),
    subject: [thing],
    answer: asked.who.name,
    wrong: without(names, asked.who.name),
    answerKey: [[asked.who.name]],
    answerKind: 'person',
    sentences: (answer) => [
      `${answer} ${did} the ${thing}.`,
      `it was ${answer} who ${did} the ${thing}.`,
      `the one who ${did} the ${thing} was ${answer}.`,
      `the ${thing} was ${asked.verb.participle} by ${answer}.`,
    ],
  };
};

const askWhat: Ask = (random) => {
  const [one, other] = drawEvents(random, 2, random.integer(3) === 0) as [Event, Event];
  const asked = random.pick([one, other]);
  const names = answerKinds.good;
  const { name } = asked.who;
  const { base, past } = asked.verb;
  return {
    kind: 'note_what',
    note: twoEventSentences(random, one, other),
    question: sayOne(random, [
      `what did ${name} ${base}?`,
      `do you know what ${name} ${past}?`,
      `which thing did ${name} ${base}?`,
      `what was it that ${name} ${past}?`,
    ]),
    subject: [name],
    answer: withArticle(asked.good.name),
    wrong: without(names, asked.good.name).map(withArticle),
    answerKey: [[asked.good.name]],
    answerKind: 'good',
    sentences: (answer) => [
      `${name} ${past} ${answer}.`,
      `what ${name} ${past} was ${answer}.`,
      `it was ${answer} that ${name} ${past}.`,
      `the thing that ${name} ${past} was ${answer}.`,
    ],
  };
};

const askWhere: Ask = (random) => {
  const [one, other] = drawEvents(random, 2, random.integer(2) === 0) as [Event, Event];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const thing = one.good.name;
  const told = random.shuffle([`${clause(one)} in ${here}`, `${clause(other)} in ${there}`]);
  const { name } = one.who;
  const { base, past } = one.verb;
  return {
    kind: 'note_where',
    note: vary(random, `${told.join('[ and |, but |. ]')}.`),
    question: sayOne(random, [
      `where did ${name} ${base} the ${thing}?`,
      `in which town did ${name} ${base} the ${thing}?`,
      `where was the ${thing} ${one.verb.participle}?`,
      `do you know where ${name} ${past} the ${thing}?`,
    ]),
    subject: [name, thing],
    answer: here,
    wrong: without(answerKinds.town, here),
    answerKey: [[here]],
    answerKind: 'town',
    sentences: (answer) => [
      `${name} ${past} the ${thing} in ${answer}.`,
      `it was in ${answer}.`,
      `the ${thing} was ${one.verb.participle} in ${answer}.`,
      `${name} ${past} it in ${answer}.`,
    ],
  };
};

const askWhen: Ask = (random) => {
  const [first, second] = pickSome(random, answerKinds.day, 2) as [string, string];
  const [one, other] = pickSome(random, ['fair', 'wedding', 'feast', 'birthday'], 2) as [string, string];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const told = random.shuffle([`the ${one} in ${here} is on ${first}`, `the ${other} in ${there} is on ${second}`]);
  return {
    kind: 'note_when',
    note: sayOne(random, [vary(random, `${told.join('[ and |, but ]')}.`)]),
    question: sayOne(random, [
      `when is the ${one}?`,
      `on which day is the ${one} in ${here}?`,
      `which day is the ${one}?`,
      `do you know when the ${one} is?`,
      `I want to go to the ${one}. When is it?`,
    ]),
    subject: [one],
    answer: first,
    wrong: without(answerKinds.day, first),
    answerKey: [[first]],
    answerKind: 'day',
    sentences: (answer) => [
      `the ${one} is on ${answer}.`,
      `the ${one} in ${here} is on ${answer}.`,
      `it is on ${answer}.`,
      `you can go to the ${one} on ${answer}.`,
    ],
  };
};

const askWeather: Ask = (random) => {
  const [now, elsewhere] = pickSome(random, answerKinds.weather, 2) as [string, string];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const day = random.pick(answerKinds.day);
  const told = random.shuffle([`${now} in ${here}`, `${elsewhere} in ${there}`]);
  return {
    kind: 'note_weather',
    note: sayOne(random, [
      vary(random, `[today|on ${day}|this morning] it is ${told.join('[ and |, but |, and it is ]')}.`),
    ]),
    question: sayOne(random, [
      `how is the weather in ${here}?`,
      `what is the weather in ${here}?`,
      `how is it in ${here} now?`,
      `I want to go to ${here}. How is the weather?`,
      `do you know how the weather is in ${here}?`,
    ]),
    subject: [here],
    answer: now,
    wrong: without(answerKinds.weather, now),
    answerKey: [[now]],
    answerKind: 'weather',
    sentences: (answer) => [
      `it is ${answer} in ${here}.`,
      `the weather in ${here} is ${answer}.`,
      `${here} has a ${answer} day.`,
      `in ${here} it is ${answer} now.`,
    ],
  };
};

/** Writers of questions about a note. */
export const noteQuestions: readonly Ask[] = [askWho, askWhat, askWhere, askWhen, askWeather];
