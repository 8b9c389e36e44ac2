/** Corpus documents with opinions, moods, topics and friendly voices. */

import type { Random } from '../../../random.ts';
import { compose } from './compose.ts';
import type { Event } from './events.ts';
import { drawEvents, eventSentence, happening } from './events.ts';
import type { Person } from './facts.ts';
import { goods, people, towns } from './facts.ts';
import { moodMessage, moodNamed, moods, review, sentiments, topicNamed, topicNote, topics } from './feelings.ts';
import { pickSome, say, sayOne } from './language.ts';
import { homeSentence, priceSentence, sellerSentence, tradeSentence } from './sentences.ts';

/** Reviews of goods by named people, with the judgement named. */
export function reviews(random: Random): string {
  const [one, two] = pickSome(random, people, 2) as [Person, Person];
  const item = random.pick(goods);
  const middle = [one, two].map((who) => () => {
    const sentiment = random.pick(sentiments);
    const text = review(random, item, sentiment);
    return sayOne(random, [
      `${who.name} [wrote|said]: "${text}" [That is a ${sentiment} review.|This review is ${sentiment}.|So ${who.name} ${sentiment === 'positive' ? 'likes' : 'does not like'} it.]`,
      `"${text}" These are the ${sentiment} words of ${who.name}.`,
      `the review of ${who.name} is ${sentiment}: "${text}"`,
    ]);
  });
  return compose(random, {
    middle: [...middle, () => priceSentence(random, item), () => sellerSentence(random, item)],
  });
}

/** Messages that show a mood, followed by the name of the mood. */
export function opinion(random: Random): string {
  const [one, two] = pickSome(random, people, 2) as [Person, Person];
  return compose(random, {
    middle: [one, two].map((who) => () => {
      const mood = random.pick(moods);
      return `${say(random, `[${who.name} wrote|${who.name} said|these are the words of ${who.name}|a message from ${who.name}]`)}: "${moodMessage(random, mood)}" ${moodNamed(random, who, mood)}`;
    }),
    closing: random.integer(2) === 0 ? [homeSentence(random, one)] : [],
  });
}

/** Talk about one topic after another, with the topics named. */
export function topicTalk(random: Random): string {
  const chosen = pickSome(random, topics, 3);
  return compose(random, {
    ordered: true,
    middle: [
      ...chosen.map((topic) => () => `${topicNote(random, topic)} ${topicNamed(random, topic)}`),
      () => happening(random, random.pick(people), random.pick(towns).name),
    ],
  });
}

/** Friendly and less friendly people at their doors. */
export function cheerfulVoices(random: Random): string {
  const [one, two, three] = pickSome(random, people, 3) as [Person, Person, Person];
  const friendly = (who: Person): string =>
    sayOne(random, [
      `${who.name} is always friendly and says: "[Hello, dear friend, welcome!|Good day, how lovely to see you!|Hello, and thank you for your visit!|I will gladly help you, my friend.]"`,
      `"[Welcome|Hello], [my dear friend|dear ${one.name}|friend]! [I will gladly help you.|How can I help you?|I am glad to help.]" said ${who.name}.`,
      `"[Enjoy your day, my friend!|Have a lovely day, and come again!|Thank you, dear friend, and good luck!|I wish you a lovely day!]" said ${who.name}.`,
      `${who.name} [smiled and said|said with a smile]: "[I hope this helps you, dear friend.|You are always welcome here.|Please come again soon.]"`,
    ]);
  return compose(random, {
    opening: [homeSentence(random, three)],
    middle: [
      () => friendly(two),
      () => friendly(three),
      () => tradeSentence(random, two),
      () => eventSentence(random, { ...(drawEvents(random, 1)[0] as Event), who: two }),
      () => say(random, `${one.name} [said nothing|only said "No"|had no time|walked by].`),
    ],
  });
}
