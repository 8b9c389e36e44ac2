/** Tasks on short texts: who and what, entailment, paraphrase, sentiment, mood, topic, and records told as sentences. */

import type { Random } from '../../../random.ts';
import type { Event } from './events.ts';
import { canonical, clause, drawEvents, eventSentence, restated, twoEventSentences } from './events.ts';
import { goods, people } from './facts.ts';
import type { Sentiment } from './feelings.ts';
import { moodMessage, moods, review, sentiments, topicNote, topics } from './feelings.ts';
import { withArticle } from './language.ts';
import type { TaskRow } from './task-rows.ts';
import { byTurns, drawRows, usualCounts } from './task-rows.ts';

type Pair = [Event, Event, Event];

/** Reading: which person of the note did it. */
export function noteWho(random: Random): TaskRow[] {
  return drawRows(random, 'note_who', { ...usualCounts, train: 400 }, (_, index) => {
    const [one, other, absent] = drawEvents(random, 3) as Pair;
    const note = twoEventSentences(random, one, other, 'passive');
    const asked = index % 2 === 0 ? one : other;
    const options = random.shuffle([one.who.name, other.who.name, absent.who.name]);
    const fields = { note, did: asked.verb.past, good: asked.good.name, answer: asked.who.name, options };
    return { key: note, fields };
  });
}

/** Reading: which good of the note it was. */
export function noteWhat(random: Random): TaskRow[] {
  return drawRows(random, 'note_what', { ...usualCounts, train: 400 }, (_, index) => {
    const [one, other, absent] = drawEvents(random, 3) as Pair;
    const note = twoEventSentences(random, one, other);
    const asked = index % 2 === 0 ? one : other;
    const options = random.shuffle([one.good.name, other.good.name, absent.good.name]);
    const { base, past } = asked.verb;
    const fields = { note, name: asked.who.name, does: base, did: past, answer: asked.good.name, options };
    return { key: note, fields };
  });
}

/** Entailment: whether a claim follows from the note; a wrong claim changes the person or the good. */
export function noteEntailment(random: Random): TaskRow[] {
  return drawRows(random, 'note_entailment', { train: 400, validation: 40, test: 60 }, (_, index) => {
    const [one, other, absent] = drawEvents(random, 3) as Pair;
    const note = twoEventSentences(random, one, other);
    const [told, second] = random.integer(2) === 0 ? [one, other] : [other, one];
    const answer = byTurns(['yes', 'no'], index);
    const wrong = byTurns(
      [
        { ...told, who: absent.who },
        { ...told, good: absent.good },
        { ...told, who: second.who },
        { ...told, good: second.good },
      ],
      index >> 1,
    );
    const claim = restated(random, answer === 'yes' ? told : wrong);
    const why = `The note says: ${clause(told)}.`;
    return { key: note, fields: { note, claim, answer, why } };
  });
}

/** Paraphrase: whether two sentences say the same; a different one changes person, good, or both. */
export function sameMeaning(random: Random): TaskRow[] {
  return drawRows(random, 'same_meaning', { train: 400, validation: 40, test: 60 }, (_, index) => {
    const [event, absent] = drawEvents(random, 2) as Pair;
    const answer = byTurns(['yes', 'no'], index);
    const wrong = byTurns(
      [
        { ...event, who: absent.who },
        { ...event, good: absent.good },
        { ...event, who: absent.who, good: absent.good },
      ],
      index >> 1,
    );
    const first = eventSentence(random, event);
    const second = restated(random, answer === 'yes' ? event : wrong);
    return { key: `${first} ${second}`, fields: { first, second, answer } };
  });
}

/** Sentiment of a review of a good. */
export function reviewSentiment(random: Random): TaskRow[] {
  return drawRows(random, 'review_sentiment', usualCounts, (_, index) => {
    const sentiment: Sentiment = byTurns(sentiments, index);
    const good = random.pick(goods);
    const text = review(random, good, sentiment);
    return { key: text, fields: { review: text, good: good.name, sentiment } };
  });
}

/** The mood a message shows. */
export function messageMood(random: Random): TaskRow[] {
  return drawRows(random, 'message_mood', usualCounts, (_, index) => {
    const mood = byTurns(moods, index);
    const message = moodMessage(random, mood);
    return { key: message, fields: { message, mood } };
  });
}

/** The topic of a note. */
export function noteTopic(random: Random): TaskRow[] {
  return drawRows(random, 'note_topic', usualCounts, (_, index) => {
    const topic = byTurns(topics, index);
    const note = topicNote(random, topic);
    return { key: note, fields: { note, topic } };
  });
}

/** Data to text: the one canonical sentence for a record. Free text. */
export function recordToSentence(random: Random): TaskRow[] {
  return drawRows(random, 'record_to_sentence', usualCounts, (_, index) => {
    const [drawn] = drawEvents(random, 1) as Pair;
    const event = { ...drawn, who: byTurns(people, index) };
    const record = [
      `who: ${event.who.name}`,
      `did: ${event.verb.past}`,
      `what: ${withArticle(event.good.name)}`,
      `where: ${event.town}`,
      `when: ${event.day}`,
    ].join('; ');
    return { key: record, fields: { record, sentence: canonical(event) } };
  });
}
