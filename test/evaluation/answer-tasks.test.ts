import { beforeAll, describe, expect, it } from 'vitest';
import { encodePrompt } from '../../src/data/instruction.ts';
import { DataError } from '../../src/errors.ts';
import { accuracyByTask, answerTasks } from '../../src/evaluation/answer-tasks.ts';
import type { TaskItem } from '../../src/evaluation/task-items.ts';
import { disposeModel } from '../../src/model/model.ts';
import { responseBatch } from '../../src/steps/response-batch.ts';
import { responseLogProbs } from '../../src/steps/score-responses.ts';
import { tolerance } from '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { byteModel, trainedByteModel } from './byte-model.ts';

const tokenizer = byteTokenizer();
const item = (prompt: string, target: string, options: string[] = [], task = 'trade'): TaskItem => ({
  ...{ task, cluster: 'qa', metric: options.length > 0 ? 'accuracy' : 'exact_match', template: 'plain' },
  ...{ templates: 'train', prompt, target, options },
});

describe('accuracyByTask', () => {
  it('gives each task the same weight, however many items it has', () => {
    const answer = (task: string, correct: boolean) => ({
      ...{ item: item('q', 'a', [], task), prediction: '', correct, optionLogProbs: [] },
    });
    const { tasks, mean } = accuracyByTask([
      answer('a', true),
      answer('a', true),
      answer('a', false),
      answer('a', false),
      answer('b', true),
    ]);
    expect(Object.fromEntries(tasks)).toEqual({ a: 0.5, b: 1 });
    expect(mean).toBe(0.75);
    expect(accuracyByTask([]).mean).toBe(0);
  });
});

describe.each(lanesToTest())('answerTasks on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('ranks options by the sum of log p over " option" and EOS, and takes the highest', () => {
    const model = byteModel();
    const items = [item('Ada', 'baker', ['baker', 'miller', 'x']), item('Who is Bo?', 'no', ['yes', 'no'])];
    const answers = answerTasks(model, tokenizer, items);
    items.forEach(({ prompt, options, target }, i) => {
      const sums = options.map((option) => {
        const responseIds = Int32Array.of(...tokenizer.encode(` ${option}`), tokenizer.eosId);
        const alone = responseBatch([{ promptIds: encodePrompt(prompt, tokenizer), responseIds }], tokenizer.padId);
        return responseLogProbs(model, alone, 1).reduce((sum, x) => sum + x, 0);
      });
      expect(answers[i]!.optionLogProbs).toBeAllclose(sums, tolerance.forward);
      expect(answers[i]!.prediction).toBe(options[sums.indexOf(Math.max(...sums))]);
      expect(answers[i]!.correct).toBe(answers[i]!.prediction === target);
    });
    disposeModel(model);
  });

  it('refuses tasks whose prompts do not fit the model, all at once, before anything is scored', () => {
    const model = byteModel();
    const { context } = model.dimensions;
    const long = 'x'.repeat(context);
    const items = [
      item('Ada', 'no', ['yes', 'no'], 'short'),
      item(long, 'no', ['yes', 'no'], 'a'),
      item(long, 'no', ['no'], 'b'),
    ];
    const message = (task: string): string =>
      `${task}: a prompt with its options does not fit the model's context of ${context} tokens. Use a model with a longer context, or leave the task out.`;
    expect(() => answerTasks(model, tokenizer, items)).toThrow(new DataError([message('a'), message('b')]));
    disposeModel(model);
  });

  it('finds what a model has learned, by ranking and in its own words, in the order asked', () => {
    const rows = [{ prompt: 'Ada?', target: 'baker' }, { prompt: 'Bo?', target: 'miller' }]; // biome-ignore format: rows
    const model = trainedByteModel(tokenizer, rows);
    const items = [
      item('Ada?', 'baker'),
      item('Bo?', 'miller', ['baker', 'miller']),
      item('Bo?', 'miller'),
      item('Ada?', 'baker', ['miller', 'baker']),
      item('Ada?', 'miller', ['miller', 'baker']),
    ];
    const progress: number[] = [];
    const answers = answerTasks(model, tokenizer, items, (done) => progress.push(done));
    expect(answers.map((answer) => answer.item)).toEqual(items);
    expect(answers.map(({ prediction }) => prediction)).toEqual(['baker', 'miller', 'miller', 'baker', 'baker']);
    expect(answers.map(({ correct }) => correct)).toEqual([true, true, true, true, false]);
    expect(answers[0]!.optionLogProbs).toEqual([]);
    expect(progress.at(-1)).toBe(5);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    disposeModel(model);
  });

  it('does not depend on which items stand beside each other', () => {
    const model = byteModel();
    const items = Array.from({ length: 40 }, (_, i) =>
      item('q'.repeat(1 + (i % 7)), 'a', ['a', 'b'.repeat(1 + (i % 3))]),
    );
    const together = answerTasks(model, tokenizer, items);
    const reversed = answerTasks(model, tokenizer, [...items].reverse()).reverse();
    const sums = (answers: typeof together): number[] => answers.flatMap(({ optionLogProbs }) => optionLogProbs);
    expect(sums(reversed)).toBeAllclose(sums(together), tolerance.forward);
    disposeModel(model);
  });

  it('leaves no tensors behind', () => {
    const model = byteModel();
    expectNeutral(() => {
      answerTasks(model, tokenizer, [item('Ada', 'baker', ['baker', 'miller']), item('Bo', 'miller')]);
    });
    disposeModel(model);
  });
});
