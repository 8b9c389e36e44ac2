import { expect, it } from 'vitest';
import { describeScores, shownScores } from '../../src/report/validation-log.ts';

it('tells what was measured, and what was not', () => {
  expect(describeScores({ loss: 0.41234, accuracy: 0.75 })).toBe('validation loss 0.4123, accuracy 0.750');
  expect(describeScores({ loss: null, accuracy: null })).toBe('validation loss not measured, accuracy not measured');
  expect(shownScores({ loss: 0.5, accuracy: null })).toEqual({ validation: '0.500' });
  expect(shownScores({ loss: null, accuracy: 1 })).toEqual({ accuracy: '1.000' });
});
