/** Reviews, moods and topics: the world's sentences that show an opinion, a feeling or a subject. */

import type { Random } from '../../../random.ts';
import type { Good, Person, Town } from './facts.ts';
import { goods, people, pets, towns, tradeNamed } from './facts.ts';
import { sayOne } from './language.ts';

export const sentiments = ['positive', 'negative'] as const;
export type Sentiment = (typeof sentiments)[number];

const praise = ['good', 'fine', 'great', 'lovely', 'perfect', 'strong', 'beautiful'];
const blame = ['bad', 'poor', 'awful', 'ugly', 'weak', 'dirty', 'terrible'];

/** A review of a good in two sentences, whose words say whether it is liked. */
export function review(random: Random, good: Good, sentiment: Sentiment): string {
  const place = tradeNamed(good.seller).workplace;
  const town = random.pick(towns).name;
  const name = random.pick(people).name;
  const liked = sentiment === 'positive';
  const word = random.pick(liked ? praise : blame);
  const opening = sayOne(random, [
    `the ${good.name} from the ${place} was ${word}.`,
    `the ${good.name} I bought in ${town} is ${word}.`,
    `${name} sold me a ${word} ${good.name}.`.replace(/ a (awful|ugly)/, ' an $1'),
    `I bought this ${good.name} from the ${good.seller}, and it is ${word}.`,
    `what a ${word} ${good.name}!`.replace(/ a (awful|ugly)/, ' an $1'),
    `this ${good.name} looks ${word}.`,
  ]);
  const closing = liked
    ? sayOne(random, [
        'I will come back soon.',
        'I am glad that I bought it.',
        'It was worth every coin.',
        'I like it very much.',
        'Everyone at home loves it.',
        'I want to buy two more.',
        'It is the best in the valley.',
        `the ${good.seller} did good work.`,
      ])
    : sayOne(random, [
        'I will never come back.',
        'I am sorry that I bought it.',
        'It was not worth one coin.',
        'I do not like it at all.',
        'Nobody at home wants it.',
        'I want my coins back.',
        'It is the worst in the valley.',
        `the ${good.seller} did bad work.`,
      ]);
  return random.integer(4) === 0 ? `${closing} ${opening}` : `${opening} ${closing}`;
}

export const moods = ['happy', 'sad', 'angry', 'afraid'] as const;
export type Mood = (typeof moods)[number];

const causes: Record<Mood, (random: Random, good: Good, name: string, town: string) => string> = {
  happy: (random, good, name, town) =>
    sayOne(random, [
      `${name} gave me a new ${good.name} as a gift.`,
      `we danced and sang at the wedding of ${name}.`,
      `my friend ${name} came home to ${town} today.`,
      `I won the ${good.name} at the fair in ${town}.`,
      `my lost ${random.pick(pets)} came back to me.`,
      `today is my birthday, and ${name} brought me a ${good.name}.`.replace(/ a ([aeiou])/, ' an $1'),
    ]),
  sad: (random, good, name, town) =>
    sayOne(random, [
      `my old ${random.pick(pets)} died last night.`,
      `my friend ${name} left ${town} and will not come back.`,
      `I lost the ${good.name} that my mother gave me.`,
      `nobody came to my birthday, not even ${name}.`,
      `${name} is very ill and can not leave the house.`,
      `the flood took my house and my ${good.name}.`,
    ]),
  angry: (random, good, name, town) =>
    sayOne(random, [
      `${name} took my ${good.name} and did not even ask.`,
      `somebody in ${town} stole my ${good.name}.`,
      `${name} broke my ${good.name} and laughed about it.`,
      `${name} lied to me about the ${good.name}.`,
      `${name} owes me coins for the ${good.name} and will not pay.`,
      `the ${random.pick(pets)} of ${name} ate my dinner again.`,
    ]),
  afraid: (random, _good, name, town) =>
    sayOne(random, [
      `there is a strange sound in the dark house of ${name}.`,
      `I think that a wolf is near ${town} tonight.`,
      `the storm is so loud, and I am alone in ${town}.`,
      `somebody follows me through the dark woods of ${town}.`,
      `the river comes closer to the house of ${name}, and I can not swim.`,
      `${name} saw a ghost at the window.`,
    ]),
};

const signs: Record<Mood, readonly string[]> = {
  happy: ['I could sing all day.', 'I can not stop smiling.', 'What a wonderful day!', 'I love this day.'],
  sad: ['I cried all night.', 'I can not stop crying.', 'My heart is heavy.', 'I miss the old days.'],
  angry: ['This is not fair!', 'I will shout at the door!', 'How can anyone do that?', 'That was a mean thing to do!'],
  afraid: ['My hands shake.', 'I hide under the blanket.', 'Please come and help me!', 'I dare not go out.'],
};

/** A message in the first person that shows a mood without naming it. */
export function moodMessage(random: Random, mood: Mood): string {
  const cause = causes[mood](random, random.pick(goods), random.pick(people).name, random.pick(towns).name);
  const sign = random.pick(signs[mood]);
  return random.integer(3) === 0 ? `${sign} ${cause}` : `${cause} ${sign}`;
}

/** A sentence of the corpus that names the mood of a message just told. */
export function moodNamed(random: Random, who: Person, mood: Mood): string {
  return sayOne(random, [
    `so ${who.name} was ${mood}.`,
    `${who.name} was very ${mood}.`,
    `that is why ${who.name} felt ${mood}.`,
    `it is plain that ${who.name} is ${mood}.`,
    `words like these show that ${who.name} is ${mood}.`,
  ]);
}

export const topics = ['weather', 'food', 'animals', 'music', 'money'] as const;
export type Topic = (typeof topics)[number];

const topicClauses: Record<Topic, (random: Random, who: Person, town: Town) => readonly string[]> = {
  weather: (random, who, town) => [
    `the sky over ${town.name} is dark.`,
    `${random.pick(['rain', 'snow', 'fog', 'wind'])} comes to ${town.name} tonight.`,
    `the sun shines on the roof of ${who.name}.`,
    `a storm is near, so ${who.name} stays at home.`,
    `it will be ${random.pick(towns).weather} in ${town.name} tomorrow.`,
    `the wind is strong near the ${town.landmark}.`,
  ],
  food: (random, who, town) => [
    `${who.name} cooks a big pot of ${who.food}.`,
    `the ${random.pick(['loaf', 'cake', 'pie'])} is still warm from the fire.`,
    `${who.name} eats ${who.food} for dinner in ${town.name}.`,
    `the big pot is full of ${who.food}.`,
    `${who.name} says that the dinner needs more salt.`,
    `all the guests of ${who.name} are hungry.`,
  ],
  animals: (random, who, town) => [
    `the ${random.pick(pets)} of ${who.name} ran to the river.`,
    `a ${random.pick(pets)} sleeps near the ${town.landmark}.`,
    `${who.name} feeds the ${random.pick(pets)} every morning.`,
    `a dog and a cat play in ${town.name}.`,
    `the birds of ${town.name} sit on the roof.`,
    `${who.name} looks for a lost ${random.pick(pets)}.`,
  ],
  music: (_random, who, town) => [
    `${who.name} plays the drum in ${town.name}.`,
    `${who.name} sings an old song.`,
    `we hear a song from the ${town.landmark}.`,
    `the choir of ${town.name} sings tonight.`,
    `${who.name} learns to play the flute.`,
    `the flute and the drum sound well together.`,
  ],
  money: (random, who, town) => [
    `${who.name} saves ${random.integer(9) + 2} coins every week.`,
    `${who.name} owes ${random.integer(9) + 2} coins to a friend.`,
    `the rich man of ${town.name} counts his gold.`,
    `${who.name} is poor and has no coins left.`,
    `everyone in ${town.name} must pay the tax.`,
    `${who.name} found a purse full of gold.`,
  ],
};

/** Two sentences about one topic, which do not name it. */
export function topicNote(random: Random, topic: Topic): string {
  const clauses = topicClauses[topic](random, random.pick(people), random.pick(towns));
  const other = topicClauses[topic](random, random.pick(people), random.pick(towns));
  const first = random.integer(clauses.length);
  const second = (first + 1 + random.integer(clauses.length - 1)) % clauses.length;
  return `${sayOne(random, [clauses[first] ?? ''])} ${sayOne(random, [other[second] ?? ''])}`;
}

/** A sentence of the corpus that names the topic of what was just told. */
export function topicNamed(random: Random, topic: Topic): string {
  return sayOne(random, [
    `so the talk was about ${topic}.`,
    `people in the valley like to talk about ${topic}.`,
    `all of this is about ${topic}.`,
    `that was the news about ${topic}.`,
  ]);
}
