/** Corpus documents that report: portraits, towns, weather, and who did what, told twice in other words. */

import type { Random } from '../../../random.ts';
import { compose } from './compose.ts';
import type { Event } from './events.ts';
import {
  canonical,
  clause,
  drawEvents,
  eventSentence,
  happening,
  restated,
  retold,
  twoEventSentences,
} from './events.ts';
import { days, people, towns, tradeNamed, weathers } from './facts.ts';
import { pickSome, say, sayOne, withArticle } from './language.ts';
import {
  childrenSentence,
  foodSentence,
  homeSentence,
  landmarkSentence,
  marketSentence,
  petSentence,
  tradeSentence,
  usualWeatherSentence,
} from './sentences.ts';

/** All facts about one person, sometimes with a second one. */
export function portrait(random: Random): string {
  const [who, other] = pickSome(random, people, 2);
  if (who === undefined || other === undefined) return '';
  const facts = [homeSentence, tradeSentence, petSentence, foodSentence, childrenSentence];
  const [first, ...rest] = random.shuffle(facts);
  return compose(random, {
    opening: [first?.(random, who) ?? ''],
    ordered: true,
    middle: [
      ...rest.map((fact) => () => fact(random, who, random.integer(3) === 0 ? 'name' : 'pronoun')),
      ...random.shuffle(facts).map((fact) => () => fact(random, other)),
      ...random.shuffle(facts).map((fact) => () => fact(random, who)),
    ],
  });
}

/** The weather over the towns on one day. */
export function weatherNote(random: Random): string {
  const day = random.pick(days);
  const chosen = pickSome(random, towns, 4);
  return compose(random, {
    opening: [say(random, `[the weather on ${day}|weather for ${day}|this is the weather of ${day}].`)],
    middle: chosen.flatMap((town) => {
      const now = random.pick(weathers);
      const today = (): string =>
        sayOne(random, [
          `today it is ${now} in ${town.name}.`,
          `${town.name} has a ${now} day [today|on ${day}].`,
          `on ${day} it will be ${now} in ${town.name}.`,
          `people in ${town.name} [stay at home|go for a walk|look at the sky], because it is ${now} [there today|today].`,
          `this ${day} is ${now} in ${town.name}, [and|but] it is usually ${town.weather} there.`,
        ]);
      return [() => usualWeatherSentence(random, town), today];
    }),
  });
}

/** A report about a fair, a flood or another event of a town. */
export function eventReport(random: Random): string {
  const [one, two, three] = drawEvents(random, 3) as [Event, Event, Event];
  const { town, day } = one;
  const [guest, other] = pickSome(random, people, 2);
  return compose(random, {
    opening: [
      sayOne(random, [
        `[there was|we had] a [fair|feast|flood|storm|wedding] in ${town} on ${day}.`,
        `on ${day} the [fair|feast] in ${town} [began|was full of people].`,
        `news from ${town}: [the fair was on ${day}|a storm came on ${day}|the fair will be on ${day}].`,
      ]),
    ],
    middle: [
      () => say(random, `${clause(one)}.`),
      () => say(random, `${clause(two)} [near the road|by the water|at noon|in the evening].`),
      () => say(random, `${clause(three)}.`),
      () => happening(random, guest ?? one.who, town),
      () => happening(random, other ?? two.who, town),
      () => landmarkSentence(random, towns.find((each) => each.name === town) ?? (towns[0] as (typeof towns)[number])),
    ],
    closing: [retold(random, random.pick([one, two]))],
  });
}

/** Two or three people do things; later each deed is told again in other words. */
export function whoDidWhat(random: Random): string {
  const same = random.integer(3) === 0;
  const events = drawEvents(random, 3, same) as [Event, Event, Event];
  const [one, two, three] = events;
  const told = random.integer(2) === 0;
  return compose(random, {
    opening: told
      ? [twoEventSentences(random, one, two)]
      : [twoEventSentences(random, one, two), eventSentence(random, three)],
    middle: random.shuffle(told ? [one, two, one, two] : events).map((event) => () => retold(random, event)),
    ordered: true,
  });
}

/** One event told again and again in other words, or beside a different one. */
export function restatement(random: Random): string {
  const [one, two] = drawEvents(random, 2) as [Event, Event];
  return compose(random, {
    opening: [random.integer(2) === 0 ? canonical(one) : eventSentence(random, one)],
    middle: [
      () => say(random, `[in other words,|that is to say,|this means that] ${lowerThe(restated(random, one))}`),
      () => restated(random, one),
      () => eventSentence(random, one),
      () => say(random, `[that|it] was in ${one.town}, on ${one.day}.`),
      () => say(random, `[another thing|something else] is this: ${clause(two)}.`),
      () => canonical(two),
      () => restated(random, two),
    ],
  });
}

/** What people say, and whether it is true. */
export function rumour(random: Random): string {
  const [one, two, stranger] = drawEvents(random, 3) as [Event, Event, Event];
  const talk = (event: Event): string => {
    const wrong = random.pick([
      { ...event, who: event === one ? two.who : one.who },
      { ...event, good: event === one ? two.good : one.good },
      { ...event, who: stranger.who },
      { ...event, good: stranger.good },
    ]);
    const good = random.integer(2) === 0;
    const claim = lowerThe(restated(random, good ? event : wrong)).replace(/\.$/, '');
    const opening = say(
      random,
      `[some say that|people say that|${random.pick(people).name} says that|one hears that] ${claim}.`,
    );
    const verdict = good
      ? say(random, `[yes, that is true|that is true|this is right|yes, so it was], because ${clause(event)}.`)
      : say(
          random,
          `[no, that is not true|that is not true|this is wrong|no, that is wrong], because ${clause(event)}.`,
        );
    return `${opening} ${verdict}`;
  };
  return compose(random, {
    opening: [twoEventSentences(random, one, two)],
    ordered: true,
    middle: [() => talk(one), () => talk(two), () => talk(random.pick([one, two]))],
  });
}

function lowerThe(sentence: string): string {
  return sentence.replace(/^(The|It|What)\b/, (word) => word.toLowerCase());
}

/** What a visitor finds in one town. */
export function townGuide(random: Random): string {
  const town = random.pick(towns);
  const living = random.shuffle(people.filter((each) => each.town === town.name));
  return compose(random, {
    opening: [landmarkSentence(random, town)],
    middle: [
      () => usualWeatherSentence(random, town),
      () => marketSentence(random, town),
      ...living.map((who) => () => homeSentence(random, who)),
      ...living.map((who) => () => tradeSentence(random, who)),
      () =>
        say(
          random,
          `[you can visit|many people visit] the ${tradeNamed(living[0]?.trade ?? 'baker').workplace} of ${living[0]?.name ?? 'Ada'}.`,
        ),
      () =>
        say(
          random,
          `[a road goes|the road goes] from ${town.name} to ${random.pick(towns.filter((each) => each !== town)).name}.`,
        ),
      () => say(random, `buy ${withArticle('apple')} and [sit by the road|look at the river|enjoy the day].`),
    ],
  });
}
