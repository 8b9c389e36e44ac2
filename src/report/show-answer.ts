/** Answers of models for the terminal: one line each, with a mark. */
import type { FirstAnswer } from '../run/declaration.ts';

/** Colours a word where colours can be seen. */
export type PaintMark = (color: 'green' | 'red', word: string) => string;

/** "right", "wrong", or nothing where nobody knows. */
export function markOf(isRight: boolean | null): '' | 'right' | 'wrong' {
  if (isRight === null) return '';
  return isRight ? 'right' : 'wrong';
}

/** The mark in front of an answer, with the space behind it. */
export function showMark(isRight: boolean | null, paint: PaintMark): string {
  const mark = markOf(isRight);
  return mark === '' ? '' : `${paint(isRight ? 'green' : 'red', mark)}  `;
}

/** A text as one line; "(nothing)" where it is empty. */
export function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' / ') || '(nothing)';
}

/** The answers of the models so far to one prompt, in the order in which they were made. */
export function answersSoFar(
  answers: readonly (FirstAnswer & { readonly model: string })[],
  paint: PaintMark,
): string[] {
  const width = Math.max(...answers.map(({ model }) => model.length));
  const lines = answers.map(({ model, response, isRight }) => {
    return `  ${model.padEnd(width)}  ${showMark(isRight, paint)}${oneLine(response)}`;
  });
  return [`Greedy answers to the first held-out prompt: ${oneLine(answers[0]?.prompt ?? '')}`, ...lines];
}
