/** What the cards say that cannot be read off the rows: how each dataset is made, what it cannot show, and what columns mean. */

const otherTexts =
  'test rows are other texts of the same grammar: they show that the task is learned, not that the language is new.';
const fromCorpus = 'only the corpus tells the facts of the test rows, so a model without it can only guess.';

/** Dataset → how it is made, and its limits. */
export const cardNotes: Readonly<Record<string, readonly [made: string, limits: string]>> = {
  person_town: ['people by turns; three wrong towns drawn at random. People of a split occur in no other.', fromCorpus],
  person_trade: [
    'people by turns; three wrong trades drawn at random. People of a split occur in no other.',
    fromCorpus,
  ],
  good_price: ['goods by turns; three wrong prices drawn at random. Goods of a split occur in no other.', fromCorpus],
  cheaper: [
    'all pairs of goods with different prices, shuffled; the cheaper one first by turns. `why` gives both prices.',
    'the pairs of the splits differ, the goods do not; who always takes a loaf or an egg is often right.',
  ],
  total_price: [
    'two or three pieces of a good by turns; the note tells the price of one. `why` adds the pieces up.',
    '12 prices and two counts: the sums themselves recur in all splits.',
  ],
  note_who: [
    'two events in one note; the first or the second is asked by turns, the third name is absent.',
    otherTexts,
  ],
  note_what: [
    'two events in one note; the first or the second is asked by turns, the third good is absent.',
    otherTexts,
  ],
  note_where: [
    'two events in two towns; the third town is absent. The same verb for both in a third of the notes.',
    otherTexts,
  ],
  note_when: [
    'two events on two days; the third day is absent. The same verb for both in a third of the notes.',
    otherTexts,
  ],
  note_entailment: [
    'a claim retells one of two events; a wrong claim changes person or good, half of the time to the other event’s. `why` quotes the note.',
    `no claim needs more than one sentence; ${otherTexts}`,
  ],
  note_inference: [
    'the note tells the place of one event and the day of another. A claim about the told detail is right or wrong, one about the untold detail is open; each of the six cases comes by turns.',
    `a claim is wrong because nobody does the same thing in two places; ${otherTexts}`,
  ],
  same_meaning: ['a sentence and a retelling; a different one changes person, good or both, by turns.', otherTexts],
  review_sentiment: [
    'one sentence that judges a good and one that says what the writer will do.',
    'single words give the answer away.',
  ],
  message_mood: ['a cause and a feeling, from lists of each mood.', 'single words often give the answer away.'],
  note_topic: ['two sentences from the lists of the topic.', 'single words often give the answer away.'],
  record_to_sentence: [
    'an event as five fields, and the one canonical sentence.',
    'one right wording; another true one counts as wrong.',
  ],
  note_headline: [
    'one person, place and day, two deeds and one sentence beside the point, whose place changes by turns.',
    'one right wording and always the same form; ROUGE-L gives part of the credit for half a headline.',
  ],
  who_is_it: [
    'two thirds are pairs of people of one sex, where only the reason tells whom the pronoun means (seven twin beginnings to one ending, as in Winograd schemas); in one third a woman and a man.',
    'the seven twins occur in all splits with other names: test rows show that they are learned, not that the sense is understood.',
  ],
  what_to_take: [
    '16 goods by turns with two needs each; wrong goods are drawn among those that do not fit.',
    'the 32 needs occur in all splits with other people.',
  ],
  count_things: [
    'a gain or a loss by turns, numbers up to 17. `why` is the sum.',
    'the sums recur in all splits; only the stories differ.',
  ],
  hill_speech: [
    'a dictionary of 28 invented words and one word order: place or day with its ending, thing, likeness, person, deed.',
    'all words of the test rows occur in train rows; sentences differ. The words are not in the corpus, so they take several tokens each.',
  ],
  number_words: [
    'numbers from 2 to 99; 24 of the two-word numbers are kept for validation and test.',
    'each half of a held-out number is known from train rows.',
  ],
  mend_sentence: [
    'a sentence in small letters without its full stop.',
    `names, towns and days are what needs capitals; ${otherTexts}`,
  ],
  right_sentence: [
    'an event as a right sentence and with one of six faults, by turns: order of article or verb, form of the verb, wrong or missing article, preposition behind its town.',
    'the same six faults in all splits.',
  ],
  talk_note: [
    'two events in two towns: first who did it, then where; the pronoun of the follow-up means the first answer.',
    'the note tells the answer in the same words.',
  ],
  shop_talk: [
    'a price from the note, two or three pieces by turns, and one to five coins too many. `why` gives both sums.',
    'change is never more than five coins.',
  ],
  chat: [
    'half of the questions come with a note that holds the answer, half ask for facts of the world; demonstrations in six styles, of mixed quality on purpose.',
    'no note and no question about a fact is in two splits; other wordings of a question are.',
  ],
};

/** What a column holds; of the datasets that share a name it holds the same kind of thing. */
export const columnMeanings: Readonly<Record<string, string>> = {
  answer: 'the right answer',
  answer_key: 'groups of words, one of each in a right answer',
  answer_kind: 'what the answer names',
  change: 'coins that come back',
  claim: 'what is said to follow',
  count: 'number and things after the change',
  did: 'verb in the past',
  digits: 'number in digits and things',
  does: 'verb in its plain form',
  english: 'English sentence',
  first: 'the first of two',
  follow_up: 'second question',
  given: 'coins that are paid with',
  good: 'name of the good',
  headline: 'the note in one sentence',
  hill: 'the sentence in Hill speech',
  kind: 'kind of question',
  mended: 'the right sentence',
  message: 'text of the message',
  mood: 'the right mood',
  name: 'name of the person',
  note: 'text that is asked about',
  one: 'one good with its article',
  options: 'answers to choose from',
  price: 'price of one',
  prompt: 'note, polite phrase and question',
  pronoun: 'she or he',
  question: 'the question',
  record: 'five fields',
  reply: 'answer to the first question',
  response: 'demonstration; empty outside train',
  review: 'text of the review',
  rough: 'the sentence without capitals and stop',
  second: 'the second of two',
  sentence: 'the sentence',
  sentiment: 'the right kind',
  situation: 'what somebody needs, in other words',
  story: 'what happens to the things',
  style: 'style of the demonstration; empty outside train',
  subject: 'words the question is about',
  things: 'the goods in the plural',
  topic: 'the right topic',
  total: 'coins for all',
  town: 'the right town',
  trade: 'the right trade',
  why: 'the reason for the answer',
  words: 'number in words and things',
};
