import { describe, expect, it } from 'vitest';
import { answersSoFar, showMark } from '../../src/report/show-answer.ts';

const plain = (_: string, word: string) => word;
const answer = (model: string, response: string, isRight: boolean | null) => ({
  ...{ model, prompt: 'A note.\nWho?', response, isRight },
});

describe('answersSoFar', () => {
  it('gives the prompt one line and each model one, with its mark', () => {
    const answers = [answer('base', 'is corn.\n\nIn Dale\n', false), answer('instruct', 'Ada.', true)];
    expect(answersSoFar(answers, plain)).toEqual([
      'Greedy answers to the first held-out prompt: A note. / Who?',
      '  base      wrong  is corn. / In Dale',
      '  instruct  right  Ada.',
    ]);
  });

  it('has no mark where nothing tells, and says where there is no answer', () => {
    expect(answersSoFar([answer('ppo', '', null)], plain)[1]).toBe('  ppo  (nothing)');
  });
});

describe('showMark', () => {
  it('colours the word alone', () => {
    const paint = (color: string, word: string) => `<${color}>${word}</>`;
    expect([true, false, null].map((isRight) => showMark(isRight, paint))).toEqual([
      '<green>right</>  ',
      '<red>wrong</>  ',
      '',
    ]);
  });
});
