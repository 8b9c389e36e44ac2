/** Corpus documents in which people ask and are answered: about a note just read, about the facts of the valley, and whether two say the same. */

import type { Random } from '../../../random.ts';
import { factQuestions } from './chat-fact-questions.ts';
import { longNoteWriters, noteWriters } from './chat-note-questions.ts';
import type { Question } from './chat-questions.ts';
import { compose } from './compose.ts';
import type { Event } from './events.ts';
import { drawEvents, eventSentence, restated } from './events.ts';
import { goods, people, towns, weathers } from './facts.ts';
import { capitalize, pickSome, sayOne } from './language.ts';

/** How the questions of one document are told. */
type Telling = (random: Random, question: Question) => string;

const bare = ({ answer }: Question): string => `${capitalize(answer)}.`;

const answerOf = (random: Random, question: Question): string =>
  random.integer(3) === 0 ? bare(question) : sayOne(random, question.sentences(question.answer));

/** A question and its answer one after the other, as in a talk with oneself. */
const plainly: Telling = (random, question) => `${question.question} ${answerOf(random, question)}`;

/** Two people talk. */
function between(random: Random): Telling {
  const [asker, teller] = pickSome(random, people, 2).map(({ name }) => name) as [string, string];
  return (drawn, question) => {
    const answer = answerOf(drawn, question).replace(/\.$/, '');
    const asked = drawn.pick([`asked ${asker}`, `${asker} asked`]);
    return `"${question.question}" ${asked}. "${answer}," ${drawn.pick([`said ${teller}`, `answered ${teller}`])}.`;
  };
}

/** A note that is read, and questions about it. */
export function readingTalk(random: Random): string {
  const note = random.pick(noteWriters)(random, 'any');
  const tell = random.integer(2) === 0 ? plainly : between(random);
  return compose(random, {
    opening: [note.text],
    middle: note.asks.map((ask) => () => tell(random, ask(random))),
  });
}

/** A note of many things, and as many short questions as a document has room for: to read is to keep them apart. */
export function longReading(random: Random): string {
  const note = random.pick(longNoteWriters)(random);
  return compose(random, {
    opening: [note.text],
    middle: note.asks.map((ask) => () => {
      const question = ask(random);
      return random.integer(4) === 0 ? plainly(random, question) : `${question.question} ${bare(question)}`;
    }),
  });
}

/** Writers of pairs that a ledger keeps: of each kind as many as asked for, nothing twice on either side. */
const entries: readonly ((random: Random, count: number) => (readonly [string, string])[])[] = [
  (random, count) => inPairs(random, count, names, things),
  (random, count) => inPairs(random, count, names, things),
  (random, count) => inPairs(random, count, townNames, weathers),
  (random, count) => inPairs(random, count, things, townNames),
  (random, count) => inPairs(random, count, names, townNames),
];

const [names, things, townNames] = [people, goods, towns].map((all) => all.map(({ name }) => name)) as [
  string[],
  string[],
  string[],
];

function inPairs(random: Random, count: number, left: readonly string[], right: readonly string[]) {
  const others = pickSome(random, right, count);
  return pickSome(random, left, count).map((one, i) => [one, others[i] as string] as const);
}

/** A list of pairs, told again and again in other orders. */
export function ledger(random: Random): string {
  const pairs = random.pick(entries)(random, 4 + random.integer(3));
  const between = random.pick([': ', ' ']);
  const turned = random.integer(2) === 0;
  const told = pairs.map(([one, other]) => (turned ? other + between + one : one + between + other));
  const tell = (): string => `${capitalize(random.shuffle(told).join(', '))}.`;
  return compose(random, { middle: [tell, tell, tell, tell, tell, tell] });
}

/** Two notes, one after the other, each with questions. */
export function shortReadings(random: Random): string {
  const notes = [random.pick(noteWriters)(random, 'any'), random.pick(noteWriters)(random, 'any')];
  return compose(random, {
    ordered: true,
    middle: notes.flatMap((note) => {
      const asks = pickSome(random, note.asks, 2);
      return [() => note.text, ...asks.map((ask) => () => plainly(random, ask(random)))];
    }),
  });
}

/** Questions about the facts of the valley. */
export function factTalk(random: Random): string {
  const tell = random.integer(2) === 0 ? plainly : between(random);
  const askable = { people, goods };
  return compose(random, {
    middle: pickSome(random, factQuestions, 5).map((ask) => () => tell(random, ask(random, askable))),
  });
}

/** Two sentences of two people, and whether they say the same. */
export function sameOrNot(random: Random): string {
  const compare = (): string => {
    const [event, other] = drawEvents(random, 2) as [Event, Event];
    const same = random.integer(2) === 0;
    const changed = random.pick([
      { ...event, who: other.who },
      { ...event, good: other.good },
    ]);
    const [first, second] = pickSome(random, people, 2).map(({ name }) => name);
    const told = `${first} said: "${eventSentence(random, event)}" ${second} said: "${restated(random, same ? event : changed)}"`;
    const verdict = same
      ? sayOne(random, ['these two say the same.', 'yes, both say the same.', 'this means the same.'])
      : sayOne(random, ['these two do not say the same.', 'no, that is not the same.', 'this does not mean the same.']);
    return `${told} ${verdict}`;
  };
  return compose(random, { middle: [compare, compare, compare] });
}
