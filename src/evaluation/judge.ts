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
