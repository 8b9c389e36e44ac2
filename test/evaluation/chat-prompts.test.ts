/** Prompts of a task with a judge of another world, and what is refused about them. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { taskPrompts } from '../../src/evaluation/chat-prompts.ts';
import type { Judge } from '../../src/evaluation/judge.ts';
import { encodePrompt } from '../../src/examples/instruction.ts';
import type { Task } from '../../src/tasks/task.ts';
import type { TaskRow } from '../../src/tasks/task-rows.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { talk } from '../helpers/messages.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const tokenizer = byteTokenizer();

const yaml = `dataset: sums
cluster: arithmetic
description: Sums.
columns: [prompt, response]
answer: {column: response}
prompt_only: [ask]
metric: gold
templates:
  - {id: plain, split: train, input: "{prompt}", target: "{response}"}
  - {id: back, split: train, kind: inverted, input: "{response}", target: "{prompt}"}
  - {id: named, split: train, input: "Ada asks: {prompt}", target: "{response}"}
  - {id: other, split: unseen, input: "Unseen: {prompt}", target: "{response}"}
`;
const row = (id: string, split = 'ask') => ({
  ...{ id, split, prompt: `How is ${id}?`, response: split === 'ask' ? '' : '4', sum: id.length },
});

function sums(rows: object[] = [row('a'), row('b'), row('c')], templates = yaml): Task {
  mkdirSync(inFolder('seed'), { recursive: true });
  mkdirSync(inFolder('templates'), { recursive: true });
  writeFileSync(inFolder('templates', 'sums.yaml'), templates);
  writeFileSync(inFolder('seed', 'sums.jsonl'), rows.map((each) => JSON.stringify(each)).join('\n'));
  return loadTasks(inFolder('seed'), inFolder('templates'), ['sums'])[0]!;
}

/** Right is the number that the row holds beside its text. */
function sumJudge({ fields, where }: TaskRow): Judge {
  const { sum } = fields;
  if (typeof sum !== 'number') throw new DataError(`${where}: no sum.`);
  return {
    parts: { right: 'Names the sum.' },
    score: (answer) => ({ total: Number(answer === String(sum)), parts: { right: Number(answer === String(sum)) } }),
  };
}
const problems = (task: Task, limit = 99, split = 'ask'): Promise<string[]> =>
  problemsOf(() => taskPrompts(task, split, sumJudge, tokenizer, limit), inFolder());

describe('taskPrompts', () => {
  it('renders rows of the split with the trained templates in turn, and gives each the judge of its row', () => {
    const prompts = taskPrompts(
      sums([row('a'), row('x', 'train'), row('bb'), row('c')]),
      'ask',
      sumJudge,
      tokenizer,
      99,
    );
    expect(prompts.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['a', 'How is a?'],
      ['bb', 'Ada asks: How is bb?'],
      ['c', 'How is c?'],
    ]);
    expect(prompts[1]!.promptIds).toEqual(encodePrompt(talk('Ada asks: How is bb?'), tokenizer));
    expect(prompts.map(({ judge }) => judge.score('1').total)).toEqual([1, 0, 1]);
    expect(prompts.map(({ judge }) => judge.score('2').total)).toEqual([0, 1, 0]);
  });

  it('names every prompt that is too long, and takes one of exactly the limit', async () => {
    // BOS, nine bytes, line break; with "Ada asks: " ten more.
    expect(await problems(sums(), 10)).toEqual(
      [11, 21, 11].map(
        (length, i) =>
          `seed/sums.jsonl:${i + 1}: the prompt has ${length} tokens and the context leaves 10 beside the response. ` +
          'Lower sampling.maxNewTokens or use a model with a longer context.',
      ),
    );
    expect(await problems(sums(), 21)).toEqual([]);
  });

  it('says no more than ten times that prompts are too long', async () => {
    const told = await problems(sums(Array.from({ length: 30 }, (_, i) => row(`r${i}`))), 1);
    expect(told).toHaveLength(11);
    expect(told.at(-1)).toBe('seed/sums.jsonl: 30 problems in all; expected none. Mend these first.');
  });

  it('refuses a split without rows, and templates that all turn the question round', async () => {
    expect(await problems(sums(), 99, 'test')).toEqual(['seed/sums.jsonl: no rows of split "test"; expected prompts.']);
    const inverted = yaml.replaceAll(/^.*(plain|named), split: train.*\n/gm, '');
    expect(await problems(sums(undefined, inverted))).toEqual(['templates/sums.yaml: no template to train on.']);
  });

  it('refuses what the judge cannot read', async () => {
    expect(await problems(sums([{ ...row('a'), sum: 'two' }]))).toEqual(['seed/sums.jsonl:1: no sum.']);
  });
});
