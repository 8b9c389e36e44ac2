/**
 * Eighty-four answers to test prompts, graded by reading before their gold was seen: twenty each of a base, an instruct and a
 * PPO model of 2026-11-28, and 24 of the PPO model of `4cd774e`, seed 1, read by another language model. 0 wrong or no answer,
 * 1 kind without an answer or right in passing amid nonsense, 2 right and curt, 3 right in a whole sentence, 4 right and kind.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldRequest, goldScore } from '../../../src/worlds/valley/gold.ts';
import { readLexicon } from '../../../src/worlds/valley/lexicon.ts';

const fileOf = (path: string): URL => new URL(path, import.meta.url);
const lexicon = readLexicon(fileOf('../../../data/seed/lexicon.json').pathname);
const answers = (
  JSON.parse(readFileSync(fileOf('read-answers.json'), 'utf8')) as { response: string; grade: number }[]
).map((row, i) => ({ ...row, gold: goldScore(goldRequest({ ...row }, lexicon, `answer ${i}`), row.response) }));

describe('gold beside a reader', () => {
  it('orders every two answers as the reader does where the grades differ by two or more', () => {
    const clear = answers.flatMap((one) =>
      answers.filter(({ grade }) => one.grade - grade >= 2).map((other) => [one, other]),
    );
    expect(clear.length).toBeGreaterThan(1700);
    const turned = clear.filter(([better, worse]) => better!.gold.total <= worse!.gold.total);
    expect(turned.map((pair) => pair.map(({ response }) => response))).toEqual([]);
  });

  it('calls those right that the reader does', () => {
    const disputed = answers.filter(({ grade, gold }) => grade >= 2 !== (gold.parts.answered === 1));
    expect(disputed.map(({ response }) => response)).toEqual([]);
  });
});
