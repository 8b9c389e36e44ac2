import { describe, expect, it, onTestFinished } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { checkLengths } from '../../src/evaluation/answer-tasks.ts';
import { seenIn } from '../../src/evaluation/protocol.ts';
import type { QuestionOptions, QuestionSet } from '../../src/evaluation/question-sets.ts';
import { questionSets } from '../../src/evaluation/question-sets.ts';
import { encodePrompt } from '../../src/examples/instruction.ts';
import type { Task } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { rowsJsonl, sampleFolder, templateYaml } from '../tasks/sample-task.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const tokenizer = byteTokenizer();
const freeText = templateYaml
  .replace('options: {column: options}\n', '')
  .replace('columns: [name, trade, options]', 'columns: [name, trade]')
  .replace('metric: accuracy', 'metric: exact_match')
  .replace('      {options_}\n', '');
const freeRows = rowsJsonl.replaceAll(/,"options":\[[^\]]*\]/g, '');

function tasks(yaml?: string, rows?: string): Task[] {
  const folder = sampleFolder(yaml, rows);
  onTestFinished(() => folder.remove());
  return loadTasks(folder.tables, folder.templates);
}

const options: QuestionOptions = {
  ...{ split: 'test', rowsPerTask: 9, templates: 'turns', shots: [0], chains: false, seed: 1 },
  dev: { split: 'train', rowsPerTask: 0 },
  room: { context: 500, chain: 20 },
};
const asked = (set: QuestionSet | undefined): string[] =>
  set!.items.map(({ rowId, template }) => `${rowId} ${template}`);

describe('questionSets', () => {
  it('asks the same rows with trained and again with other templates; where training is unknown, files say which', () => {
    const seen = (template_id: string) => seenIn([{ task: 'trade', cluster: 'closed_book_qa', template_id }]);
    const ask = (about: ReturnType<typeof seen> | undefined) =>
      asked(questionSets(tasks(), about, options, tokenizer)[0]);
    expect(ask(undefined)).toEqual(['c plain', 'c other']);
    expect(ask(seen('plain'))).toEqual(['c plain', 'c other']);
    expect(ask(seen('other'))).toEqual(['c other', 'c plain']);
    // A task that was not trained: its templates in turn.
    expect(ask(seenIn([]))).toEqual(['c plain']);
  });

  it('makes one set for each number of shots, of the same questions, and validation rows where asked', () => {
    const dev = { split: 'train', rowsPerTask: 1 };
    const [none, one, two] = questionSets(tasks(), undefined, { ...options, shots: [0, 1, 2], dev }, tokenizer);
    expect([none, one, two].map((set) => set!.items.map(({ shots }) => shots))).toEqual([[0, 0], [1, 1], [2, 2]]); // biome-ignore format: short
    expect(asked(one)).toEqual(asked(none));
    expect(asked(two)).toEqual(asked(none));
    expect(none!.dev.map(({ template }) => template)).toEqual(['plain', 'other']);
    expect(one!.dev.map(({ shots }) => shots)).toEqual([1, 1]);
    expect(questionSets(tasks(), undefined, options, tokenizer)[0]!.dev).toEqual([]);
  });

  it('puts in front only what leaves room for an answer, at every length of the context', () => {
    for (const [yaml, rows] of [
      [undefined, undefined],
      [freeText, freeRows],
    ] as const) {
      // biome-ignore format: short
      const own = tasks(yaml, rows);
      const ask = (context: number): QuestionSet[] =>
        questionSets(own, undefined, { ...options, shots: [2], room: { context, chain: 1 } }, tokenizer);
      const plain = questionSets(own, undefined, options, tokenizer)[0]!.items;
      const longest = Math.max(...plain.map(({ messages }) => encodePrompt(messages, tokenizer).length));
      const counts = new Set<number>();
      for (let context = longest + 10; context < 5 * longest; context++) {
        const { items } = ask(context)[0]!;
        expect(() => checkLengths(items, tokenizer, { context, chain: 1 })).not.toThrow();
        for (const { shots } of items) counts.add(shots);
      }
      expect([...counts].sort()).toEqual([0, 1, 2]);
    }
  });

  it('refuses questions without room for their answer, before any model is there', () => {
    const small = { ...options, room: { context: 30, chain: 1 } };
    expect(() => questionSets(tasks(), undefined, small, tokenizer)).toThrow(
      new DataError(
        "trade: a prompt with its answer does not fit the model's context of 30 tokens. Use a model with a longer context, or leave the task out.",
      ),
    );
  });

  it('refuses a split without a row that can be asked', () => {
    expect(() => questionSets(tasks(), undefined, { ...options, split: 'validation' }, tokenizer)).toThrow(
      new DataError(
        'split validation: no question can be asked of trade; expected rows with an answer. Change split or data.tasks.',
      ),
    );
  });
});
