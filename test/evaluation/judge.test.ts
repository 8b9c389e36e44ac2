import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../src/evaluation/judge.ts';

const judged = (answered: number, friendly: number, length: number) => ({
  total: 0,
  parts: { answered, friendly, length },
});

describe('what two judged answers differ in', () => {
  it.each([
    ['manner', judged(1, 1, 1), judged(1, 0, 1)],
    ['manner', judged(0.5, 1, 1), judged(0, 0, 1)],
    // The means of the other parts are 0.5 and 0.6, then 0.5 and 0.75.
    ['truth alone', judged(1, 0.5, 0.5), judged(0.5, 0.7, 0.5)],
    ['truth and manner', judged(1, 0.5, 0.5), judged(0, 1, 0.5)],
  ])('is %s', (difference, one, other) => {
    expect(differenceOf(one, other)).toBe(difference);
    expect(differenceOf(other, one)).toBe(difference);
  });

  it('is the total where the judge does not tell what is right', () => {
    const untold = { total: 0.5, parts: { length: 1 } };
    expect(differenceOf(untold, untold)).toBe('total');
  });
});
