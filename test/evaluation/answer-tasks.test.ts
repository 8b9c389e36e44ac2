import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/decoding/generate.ts';
import { DataError } from '../../src/errors.ts';
import {
  type AnswerOptions,
  accuracyByTask,
  answerTasks,
  checkLengths,
  freeTextTokens,
  majority,
  plainAnswers,
  type TaskAnswer,
} from '../../src/evaluation/answer-tasks.ts';
import { rankingRules } from '../../src/evaluation/rank-options.ts';
import type { TaskItem } from '../../src/evaluation/task-items.ts';
import { decodeResponse, encodePrompt } from '../../src/examples/instruction.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { talk } from '../helpers/messages.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { byteModel, trainedByteModel } from './byte-model.ts';
import { taskItem as item } from './sample-item.ts';

const tokenizer = byteTokenizer();
const chain = { kind: 'chain_of_thought', answerPattern: 'is (.+?)\\.?$' } as const;

describe('accuracyByTask', () => {
  it('gives each task the same weight, however many items it has', () => {
    const answer = (task: string, score: number): TaskAnswer => ({
      ...{ item: item('q', 'a', { task }), prediction: '', score, correct: false },
      ...{ scores: undefined, reasoning: '', votes: 1 },
    });
    const { tasks, mean } = accuracyByTask([
      answer('a', 1),
      answer('a', 0.5),
      answer('a', 0),
      answer('a', 0.5),
      answer('b', 1),
    ]);
    expect(Object.fromEntries(tasks)).toEqual({ a: 0.5, b: 1 });
    expect(mean).toBe(0.75);
    expect(accuracyByTask([]).mean).toBe(0);
  });
});

describe('majority', () => {
  it.each([
    [['7', '8', '8'], '8'],
    [['7', '8', '8', '7', '9'], '7'],
    [[null, null, '3'], '3'],
    [[null, '', ''], ''],
    [[null, null], null],
    [[], null],
  ])('of %j is %j', (answers, expected) => expect(majority(answers)).toBe(expected));

  it('is never beaten by another answer, and only met by later ones', () => {
    const votes = fc.array(fc.constantFrom<string | null>('a', 'b', 'c', null), { maxLength: 9 });
    const law = fc.property(votes, (answers) => {
      const count = (answer: string): number => answers.filter((other) => other === answer).length;
      const winner = majority(answers);
      for (const answer of answers) {
        if (answer === null || answer === winner) continue;
        const isLater = answers.indexOf(answer) > answers.indexOf(winner);
        expect(count(winner!)).toBeGreaterThanOrEqual(count(answer) + (isLater ? 0 : 1));
      }
      expect(winner === null).toBe(answers.every((answer) => answer === null));
    });
    fc.assert(law);
  });
});

describe('checkLengths', () => {
  // BOS, the prompt's bytes, the line break
  const prompt = 'x'.repeat(10);
  const fits = (items: readonly TaskItem[], context: number, chainTokens = 1): boolean => {
    try {
      checkLengths(items, tokenizer, { context, chain: chainTokens });
      return true;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return false;
    }
  };

  it.each([
    ['the longest option with its space and EOS', item(prompt, 'no', { options: ['yes', 'no'] }), 12 + 5],
    ['a free text with its space, EOS and one to spare', item(prompt, 'abc'), 12 + 6],
    ['the earlier turns', item('', 'no', { options: ['no'], messages: talk('a', 'b', prompt) }), 12 + 4 + 5],
  ])('leaves room for %s', (_, asked, tokens) => {
    expect(fits([asked], tokens)).toBe(true);
    expect(fits([asked], tokens - 1)).toBe(false);
  });

  it('leaves room for what a chain of thought may take, whatever its answer', () => {
    const asked = item(prompt, 'a long text', { ...chain, options: ['a long option', 'b'] });
    expect(fits([asked], 12 + 7, 7)).toBe(true);
    expect(fits([asked], 12 + 6, 7)).toBe(false);
  });

  it('lets every free text take what the longest of all takes, options and chains aside', () => {
    const items = [
      item('q', 'ab'),
      item('q', 'abcd'),
      item('q', 'long option', { options: ['long option'] }),
      item('q', 'long chain', chain),
    ];
    expect(freeTextTokens(items, tokenizer)).toBe(7);
    expect(freeTextTokens([], tokenizer)).toBe(1);
    expect(fits([item(prompt, 'a'), item('q', 'abcd')], 12 + 7)).toBe(true);
    expect(fits([item(prompt, 'a'), item('q', 'abcd')], 12 + 6)).toBe(false);
  });
});

describe.each(lanesToTest())('answerTasks on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('refuses tasks whose prompts do not fit the model, all at once, before anything is scored', async () => {
    const model = byteModel();
    const { context } = model.dimensions;
    const long = 'x'.repeat(context);
    const items = [
      item('Ada', 'no', { options: ['yes', 'no'], task: 'short' }),
      item(long, 'no', { options: ['yes', 'no'], task: 'a' }),
      item(long, 'no', { options: ['no'], task: 'a' }),
      item(long, 'no', { task: 'b' }),
    ];
    const message = (task: string): string =>
      `${task}: a prompt with its answer does not fit the model's context of ${context} tokens. Use a model with a longer context, or leave the task out.`;
    const progress: number[] = [];
    const asked = answerTasks(model, tokenizer, items, plainAnswers, (done) => progress.push(done));
    await expect(asked).rejects.toThrow(new DataError([message('a'), message('b')]));
    expect(progress).toEqual([]);
    disposeModel(model);
  });

  it('finds what a model has learned, by ranking and in its own words, in the order asked', async () => {
    const rows = [{ prompt: 'Ada?', target: 'baker' }, { prompt: 'Bo?', target: 'miller' }]; // biome-ignore format: rows
    const model = await trainedByteModel(tokenizer, rows);
    const items = [
      item('Ada?', 'baker'),
      item('Bo?', 'miller', { options: ['baker', 'miller'] }),
      item('Bo?', 'miller'),
      item('Ada?', 'baker', { options: ['miller', 'baker'] }),
      item('Ada?', 'miller', { options: ['miller', 'baker'] }),
    ];
    const progress: number[] = [];
    const answers = await answerTasks(model, tokenizer, items, plainAnswers, (done) => progress.push(done));
    expect(answers.map((answer) => answer.item)).toEqual(items);
    expect(answers.map(({ prediction }) => prediction)).toEqual(['baker', 'miller', 'miller', 'baker', 'baker']);
    expect(answers.map(({ correct }) => correct)).toEqual([true, true, true, true, false]);
    expect(answers.map(({ score }) => score)).toEqual([1, 1, 1, 1, 0]);
    expect(answers.map(({ scores }) => scores?.sum.length)).toEqual([undefined, 2, undefined, 2, 2]);
    expect(answers.map(({ reasoning, votes }) => [reasoning, votes])).toEqual(items.map(() => ['', 1]));
    expect(progress.at(-1)).toBe(5);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    disposeModel(model);
  });

  it('judges free text by the metric of its task, and says apart whether it is exactly right', async () => {
    const model = await trainedByteModel(tokenizer, [{ prompt: 'Ada?', target: 'the baker' }]);
    const items = [
      item('Ada?', 'a baker', { metric: 'token_f1' }),
      item('Ada?', 'a baker', { metric: 'rouge_l' }),
      item('Ada?', 'a baker', { metric: 'exact_match' }),
      item('Ada?', 'the baker', { metric: 'chrf' }),
    ];
    const answers = await answerTasks(model, tokenizer, items);
    // SQuAD leaves articles aside; one of two words is the longest common subsequence.
    expect(answers.map(({ score, correct }) => [score, correct])).toEqual([
      [1, false],
      [0.5, false],
      [0, false],
      [1, true],
    ]);
    disposeModel(model);
  });

  it('takes the best option by the rule that is asked for', async () => {
    const model = byteModel();
    const items = Array.from({ length: 20 }, (_, i) => item('q'.repeat(i), 'a', { options: ['a', 'bcdefg', 'hij'] }));
    const chosen = new Set<string>();
    for (const ranking of rankingRules) {
      const answers = await answerTasks(model, tokenizer, items, { ...plainAnswers, ranking });
      for (const { item: asked, prediction, scores } of answers) {
        expect(prediction).toBe(asked.options[scores![ranking].indexOf(Math.max(...scores![ranking]))]);
      }
      chosen.add(answers.map(({ prediction }) => prediction).join(' '));
    }
    expect(chosen.size).toBeGreaterThan(2);
    disposeModel(model);
  });

  it('reads the answer off one greedy chain of thought', async () => {
    const rows = [{ prompt: '3+4?', target: 'It is 1.\nIt is 7.' }, { prompt: 'And?', target: 'Who knows' }]; // biome-ignore format: rows
    const model = await trainedByteModel(tokenizer, rows);
    const items = [
      item('3+4?', 'It is 1.\nIt is 7.', { ...chain, answer: '7' }),
      item('And?', 'It is 9.', { ...chain, answer: '9' }),
      item('3+4?', 'It is 8.', { ...chain, answer: '8', options: ['7', '8'] }),
    ];
    const chains = { samples: 1, temperature: 1, maxNewTokens: 30 };
    const ask = (samples: number): Promise<TaskAnswer[]> =>
      answerTasks(model, tokenizer, items, { ...plainAnswers, chains: { ...chains, samples } });
    expect(await ask(1)).toEqual([
      { item: items[0], prediction: '7', score: 1, correct: true, scores: undefined, reasoning: rows[0]!.target, votes: 1 },
      { item: items[1], prediction: '', score: 0, correct: false, scores: undefined, reasoning: 'Who knows', votes: 0 },
      { item: items[2], prediction: '7', score: 0, correct: false, scores: undefined, reasoning: rows[0]!.target, votes: 1 },
    ]); // biome-ignore format: one line an answer
    expect(await ask(0)).toEqual(await ask(1));
    disposeModel(model);
  });

  it('lets sampled chains vote, as counted by hand over the same samples', async () => {
    const model = byteModel();
    const items = ['one', 'two', 'three', 'four'].map((prompt) =>
      item(prompt, 'x', { ...chain, answerPattern: '([ -~])' }),
    );
    const chains = { samples: 5, temperature: 0.2, maxNewTokens: 3 };
    const options: AnswerOptions = { ...plainAnswers, chains, random: seededRandom(4) };
    const answers = await answerTasks(model, tokenizer, items, options);
    const random = seededRandom(4);
    const prompts = items.map(({ messages }) => encodePrompt(messages, tokenizer));
    const sampling = { temperature: 0.2, topK: 0, topP: 1, maxNewTokens: 3, batchSize: 32 };
    const drawn: string[][] = [];
    while (drawn.length < 5) {
      const responses = await generate(model, prompts, sampling, tokenizer, random);
      drawn.push(responses.map(({ ids }) => decodeResponse(ids, tokenizer)));
    }
    const shares = answers.map(({ prediction, reasoning, votes }, i) => {
      const texts = drawn.map((sample) => sample[i]!);
      const last = texts.map((text) =>
        [...text]
          .filter((letter) => letter >= ' ' && letter <= '~')
          .at(-1)
          ?.trim(),
      );
      const own = last.filter((letter) => letter === prediction).length;
      for (const letter of last) {
        if (letter !== undefined) expect(last.filter((other) => other === letter).length).toBeLessThanOrEqual(own);
      }
      expect(votes).toBe(own / 5);
      if (own > 0) expect(reasoning).toBe(texts[last.indexOf(prediction)]);
      return votes;
    });
    expect(shares.some((share) => share > 0.2 && share < 1)).toBe(true);
    disposeModel(model);
  });

  it('leaves no tensors behind', async () => {
    const model = byteModel();
    await expectNeutralAfter(async () => {
      await answerTasks(model, tokenizer, [
        item('Ada', 'baker', { options: ['baker', 'miller'] }),
        item('Bo', 'miller'),
        item('Cy', 'It is 1.', chain),
      ]);
    });
    disposeModel(model);
  });
});
