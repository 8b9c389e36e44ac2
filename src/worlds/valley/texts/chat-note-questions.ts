/** Short notes, and the questions whose answers stand in them. */

import type { Random } from '../../../random.ts';
import type { Ask, Question } from './chat-questions.ts';
import { answerKinds, without } from './chat-questions.ts';
import type { Event, Voice } from './events.ts';
import { clause, drawEvents, twoEventSentences } from './events.ts';
import { capitalizeSentences, listed, pickSome, sayOne, vary, withArticle } from './language.ts';

/** A note with writers of questions about it. */
export interface Note {
  readonly text: string;
  readonly asks: readonly ((random: Random) => Question)[];
}

/**
 * What a hasty reader answers: half of the wrong answers are what the note tells of something else.
 * @param told the answer to the same question about the other thing of the note
 */
function mistakes(all: readonly string[], answer: string, told: string): string[] {
  const wrong = without(all, answer);
  return [...wrong, ...wrong.map(() => told)];
}

const askWho =
  (note: string, asked: Event, other: Event) =>
  (random: Random): Question => {
    const thing = asked.good.name;
    const did = asked.verb.past;
    return {
      kind: 'note_who',
      note,
      question: sayOne(random, [
        `who ${did} the ${thing}?`,
        `who was it who ${did} the ${thing}?`,
        `do you know who ${did} the ${thing}?`,
        `which of them ${did} the ${thing}?`,
      ]),
      subject: [thing],
      answer: asked.who.name,
      wrong: mistakes(answerKinds.person, asked.who.name, other.who.name),
      answerKey: [[asked.who.name]],
      answerKind: 'person',
      sentences: (answer) => [
        `the one who ${did} the ${thing} was ${answer}.`,
        `the ${thing} was ${asked.verb.participle} by ${answer}.`,
        `it was ${asked.verb.participle} by ${answer}.`,
      ],
    };
  };

const askWhat =
  (note: string, asked: Event, other: Event) =>
  (random: Random): Question => {
    const { name } = asked.who;
    const { base, past } = asked.verb;
    return {
      kind: 'note_what',
      note,
      question: sayOne(random, [
        `what did ${name} ${base}?`,
        `do you know what ${name} ${past}?`,
        `which thing did ${name} ${base}?`,
        `what was it that ${name} ${past}?`,
      ]),
      subject: [name],
      answer: withArticle(asked.good.name),
      wrong: mistakes(answerKinds.good, asked.good.name, other.good.name).map(withArticle),
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

/**
 * `any`: some notes tell that both did the same, and only who and with what tells the two apart; the corpus has them.
 * `different`: none does, and the verb tells them apart too, which is what a model of a million parameters learns to go by.
 */
type Deeds = 'any' | 'different';

/** Writers of notes. */
type NoteWriter = (random: Random, deeds: Deeds) => Note;

const drawVoice = (random: Random): Voice => random.pick(['active', 'passive']);

/** What of every event of an active note, who of every event of a passive one: what the telling comes to last. */
const askOfEvents = (note: string, events: readonly Event[], voice: Voice) => {
  const ask = voice === 'active' ? askWhat : askWho;
  return events.map((event, i) => ask(note, event, events[(i + 1) % events.length] as Event));
};

/** Two people do something with two things; who did it, or with what. */
function eventNote(random: Random, deeds: Deeds): Note {
  const same = random.integer(3) === 0 && deeds === 'any';
  const [one, other] = drawEvents(random, 2, same) as [Event, Event];
  const voice = drawVoice(random);
  const text = twoEventSentences(random, one, other, voice);
  return { text, asks: askOfEvents(text, [one, other], voice) };
}

const askWhere =
  (note: string, asked: Event, here: string, there: string) =>
  (random: Random): Question => {
    const thing = asked.good.name;
    const { name } = asked.who;
    const { base, past, participle } = asked.verb;
    return {
      kind: 'note_where',
      note,
      question: sayOne(random, [
        `where did ${name} ${base} the ${thing}?`,
        `in which town did ${name} ${base} the ${thing}?`,
        `where was the ${thing} ${participle}?`,
        `do you know where ${name} ${past} the ${thing}?`,
      ]),
      subject: [name, thing],
      answer: here,
      wrong: mistakes(answerKinds.town, here, there),
      answerKey: [[here]],
      answerKind: 'town',
      sentences: (answer) => [
        `${name} ${past} the ${thing} in ${answer}.`,
        `it was in ${answer}.`,
        `the ${thing} was ${participle} in ${answer}.`,
        `${name} ${past} it in ${answer}.`,
      ],
    };
  };

/** Two people do something in two towns; where, and who or what. */
function placeNote(random: Random, deeds: Deeds): Note {
  const same = random.integer(2) === 0 && deeds === 'any';
  const [one, other] = drawEvents(random, 2, same) as [Event, Event];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const voice = drawVoice(random);
  const told = random.shuffle([`${clause(one, voice)} in ${here}`, `${clause(other, voice)} in ${there}`]);
  const text = capitalizeSentences(vary(random, `${told.join('[ and |, but |. ]')}.`));
  const places = [askWhere(text, one, here, there), askWhere(text, other, there, here)];
  return { text, asks: [...places, ...askOfEvents(text, [one, other], voice), ...places] };
}

const askWhen =
  (note: string, occasion: string, town: string, first: string, second: string) =>
  (random: Random): Question => ({
    kind: 'note_when',
    note,
    question: sayOne(random, [
      `when is the ${occasion}?`,
      `on which day is the ${occasion} in ${town}?`,
      `which day is the ${occasion}?`,
      `do you know when the ${occasion} is?`,
      `I want to go to the ${occasion}. When is it?`,
    ]),
    subject: [occasion, town],
    answer: first,
    wrong: mistakes(answerKinds.day, first, second),
    answerKey: [[first]],
    answerKind: 'day',
    sentences: (answer) => [
      `the ${occasion} is on ${answer}.`,
      `the ${occasion} in ${town} is on ${answer}.`,
      `it is on ${answer}.`,
      `you can go to the ${occasion} on ${answer}.`,
    ],
  });

/** Two occasions in two towns on two days; when. */
function dayNote(random: Random): Note {
  const [first, second] = pickSome(random, answerKinds.day, 2) as [string, string];
  const [one, other] = pickSome(random, ['fair', 'wedding', 'feast', 'birthday'], 2) as [string, string];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const told = random.shuffle([`the ${one} in ${here} is on ${first}`, `the ${other} in ${there} is on ${second}`]);
  const text = sayOne(random, [vary(random, `${told.join('[ and |, but ]')}.`)]);
  return { text, asks: [askWhen(text, one, here, first, second), askWhen(text, other, there, second, first)] };
}

const askWeather =
  (note: string, town: string, now: string, elsewhere: string) =>
  (random: Random): Question => ({
    kind: 'note_weather',
    note,
    question: sayOne(random, [
      `how is the weather in ${town}?`,
      `what is the weather in ${town}?`,
      `how is it in ${town} now?`,
      `I want to go to ${town}. How is the weather?`,
      `do you know how the weather is in ${town}?`,
    ]),
    subject: [town],
    answer: now,
    wrong: mistakes(answerKinds.weather, now, elsewhere),
    answerKey: [[now]],
    answerKind: 'weather',
    sentences: (answer) => [
      `it is ${answer} in ${town}.`,
      `the weather in ${town} is ${answer}.`,
      `${town} has a ${answer} day.`,
      `in ${town} it is ${answer} now.`,
    ],
  });

/** The weather in two towns, often not what it usually is there; how it is. */
function weatherNote(random: Random): Note {
  const [now, elsewhere] = pickSome(random, answerKinds.weather, 2) as [string, string];
  const [here, there] = pickSome(random, answerKinds.town, 2) as [string, string];
  const day = random.pick(answerKinds.day);
  const told = random.shuffle([`in ${here} it is ${now}`, `in ${there} it is ${elsewhere}`]);
  const text = sayOne(random, [vary(random, `[today|on ${day}|this morning] ${told.join('[ and |, but |, and ]')}.`)]);
  return { text, asks: [askWeather(text, here, now, elsewhere), askWeather(text, there, elsewhere, now)] };
}

/** Clauses in one sentence, or a sentence each. */
function toldTogether(random: Random, clauses: readonly string[]): string {
  return capitalizeSentences(`${random.integer(2) === 0 ? listed(clauses) : clauses.join('. ')}.`);
}

/** Three to five people do something with as many things. */
function manyEvents(random: Random): Note {
  const events = drawEvents(random, 3 + random.integer(3), random.integer(2) === 0);
  const voice = drawVoice(random);
  const text = toldTogether(
    random,
    events.map((event) => clause(event, voice)),
  );
  return { text, asks: askOfEvents(text, events, voice) };
}

/** Three or four people do something, each in another town. */
function manyPlaces(random: Random): Note {
  const events = drawEvents(random, 3 + random.integer(2), random.integer(2) === 0);
  const places = pickSome(random, answerKinds.town, events.length);
  const voice = drawVoice(random);
  const text = toldTogether(
    random,
    events.map((event, i) => `${clause(event, voice)} in ${places[i]}`),
  );
  const wheres = events.map((event, i) =>
    askWhere(text, event, places[i] as string, places[(i + 1) % places.length] as string),
  );
  return { text, asks: [...wheres, ...askOfEvents(text, events, voice)] };
}

/** The weather in four or five towns. */
function manyWeathers(random: Random): Note {
  const here = pickSome(random, answerKinds.town, 4 + random.integer(2));
  const now = pickSome(random, answerKinds.weather, here.length);
  const text = sayOne(random, [`${listed(here.map((town, i) => `in ${town} it is ${now[i]}`))}.`]);
  const asks = here.map((town, i) => askWeather(text, town, now[i] as string, now[(i + 1) % now.length] as string));
  return { text, asks };
}

/** Writers of notes that tell of more than two things: they stand in the corpus alone. */
export const longNoteWriters: readonly ((random: Random) => Note)[] = [
  manyEvents,
  manyEvents,
  manyPlaces,
  manyWeathers,
];

/** Writers of notes; those about places have most kinds of questions. */
export const noteWriters: readonly NoteWriter[] = [eventNote, placeNote, placeNote, dayNote, weatherNote];

/** A question about a note. */
export const askOfNote: Ask = (random) => random.pick(random.pick(noteWriters)(random, 'different').asks)(random);
