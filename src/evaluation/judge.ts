/** What says how good an answer to a prompt is: a program, not a model. A world brings one; training never sees it. */

/** How good an answer is, in [0, 1], and the named parts that say why. */
export interface Judgement {
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** Judges the answers to one prompt: the loader of the prompt's row gives it the fields it needs. */
export interface Judge {
  /** The parts of every judgement, in order, and what each says: a column of answers.arrow each. */
  readonly parts: Readonly<Record<string, string>>;
  /** The judgement of an answer, which holds each of `parts`. */
  readonly score: (answer: string) => Judgement;
}

/** The part that says whether an answer is right, with 1 for yes, where a judge tells it. */
const RIGHT = 'answered';

/** The column of answers.arrow that holds it. */
export const RIGHT_COLUMN = `gold_${RIGHT}`;

/** Whether a value of that part, or of that column, says right; null where there is none. */
export function isRight(value: number | undefined): boolean | null {
  return value === undefined ? null : value === 1;
}

/** Answers whose other parts differ by no more than this in the mean are alike in manner. */
const LIKE_MANNER = 0.1;

/** What two judged answers differ in; "total" where their judge does not tell what is right. */
export type Difference = 'manner' | 'total' | 'truth alone' | 'truth and manner';

/** Says what two judged answers to a prompt differ in. */
export function differenceOf(one: Judgement, other: Judgement): Difference {
  const [right, otherRight] = [judgedRight(one), judgedRight(other)];
  if (right === null || otherRight === null) return 'total';
  if (right === otherRight) return 'manner';
  return Math.abs(mannerOf(one.parts) - mannerOf(other.parts)) <= LIKE_MANNER ? 'truth alone' : 'truth and manner';
}

/** Mean of all parts but the one that says whether the answer is right. */
function mannerOf(parts: Judgement['parts']): number {
  const others = Object.entries(parts).filter(([name]) => name !== RIGHT);
  return others.reduce((sum, [, value]) => sum + value, 0) / Math.max(1, others.length);
}

/** Whether the judged answer is right; null where its judge does not tell. */
export function judgedRight({ parts }: Judgement): boolean | null {
  return isRight(parts[RIGHT]);
}
