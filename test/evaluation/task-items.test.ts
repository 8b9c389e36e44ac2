import { describe, expect, it, onTestFinished } from 'vitest';
import type { ItemChoice } from '../../src/evaluation/task-items.ts';
import { taskItems } from '../../src/evaluation/task-items.ts';
import { type Message, messagesText } from '../../src/message.ts';
import { seededRandom } from '../../src/random.ts';
import type { Task } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { talk } from '../helpers/messages.ts';
import { rowsJsonl, sampleFolder, templateYaml } from '../tasks/sample-task.ts';

function tasks(yaml?: string, rows?: string): Task[] {
  const folder = sampleFolder(yaml, rows);
  onTestFinished(() => folder.remove());
  return loadTasks(folder.tables, folder.templates);
}

/** All direct templates for training on all train rows, as a test changes it. */
function choice(changes: Partial<ItemChoice> = {}): ItemChoice {
  return {
    ...{ split: 'train', rowsPerTask: 9, templates: 'turns', shots: 0, fits: () => true, random: seededRandom(1) },
    uses: (_, { split, kind }) => split === 'train' && kind === 'direct',
    ...changes,
  };
}

const isDirect: ItemChoice['uses'] = (_, { kind }) => kind === 'direct';

/** More rows of the sample task: p0, p1, … in a split. */
const people = (split: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      ...{ id: `${split}${i}`, split, name: `${split}${i}`, trade: 'baker', options: ['baker', 'miller'] },
    }),
  );

const chainYaml = templateYaml
  .replace('columns: [name, trade, options]', 'columns: [name, trade, options, why]')
  .replace('metric: accuracy', () => "rationale: {column: why}\nanswer_pattern: 'So (.+?)\\.?$'\nmetric: accuracy")
  .replace('kind: inverted', 'kind: chain_of_thought')
  .replace('input: "Name a {trade}."', 'input: "Why is {name} what?"')
  .replace('target: "{name}"', 'target: "{why} So {trade}."');
const chainRows = rowsJsonl.replaceAll('"name"', '"why":"Flour.","name"');

describe('taskItems', () => {
  it('renders rows of the split with the templates that are used', () => {
    const items = taskItems(tasks(), choice());
    expect(items.map(({ messages }) => messagesText(messages)).sort()).toEqual([
      "What is Ada's trade?\nOPTIONS:\n- baker\n- miller",
      "What is Bo's trade?\nOPTIONS:\n- baker\n- miller",
    ]);
    expect(items.find(({ rowId }) => rowId === 'a')).toEqual({
      ...{
        task: 'trade',
        cluster: 'closed_book_qa',
        metric: 'accuracy',
        template: 'plain',
        kind: 'direct',
        rowId: 'a',
      },
      ...{ shots: 0, messages: talk("What is Ada's trade?\nOPTIONS:\n- baker\n- miller"), target: 'baker' },
      ...{ answer: 'baker', options: ['baker', 'miller'], answerPattern: expect.any(String) },
    });
  });

  it('takes other templates and another split where asked', () => {
    const items = taskItems(tasks(), choice({ split: 'test', uses: (_, { split }) => split === 'unseen' }));
    expect(items.map(({ messages, template }) => [messagesText(messages), template])).toEqual([
      ['Cy works as a', 'other'],
    ]);
  });

  it('gives each row one template in turn, or all of them', () => {
    const own = tasks(undefined, people('train', 5).join('\n'));
    const asked = (templates: ItemChoice['templates']): string[] =>
      taskItems(own, choice({ templates, uses: isDirect })).map(({ template }) => template);
    expect(asked('turns')).toEqual(['plain', 'other', 'plain', 'other', 'plain']);
    expect(asked('all')).toEqual(Array.from({ length: 5 }, () => ['plain', 'other']).flat());
    const rows = taskItems(own, choice({ templates: 'all', uses: isDirect })).map(({ rowId }) => rowId);
    expect(new Set(rows).size).toBe(5);
    for (const [i, row] of rows.entries()) expect(row).toBe(rows[i - (i % 2)]);
  });

  it('takes no more rows than asked, the same ones with the same seed', () => {
    const own = tasks();
    const one = (seed: number) => taskItems(own, choice({ rowsPerTask: 1, random: seededRandom(seed) }));
    expect(one(1).length).toBe(1);
    expect(one(1)).toEqual(one(1));
    const prompts = new Set(Array.from({ length: 20 }, (_, seed) => one(seed)[0]!.messages[0]!.content));
    expect(prompts.size).toBe(2);
  });

  it('leaves out conversation, prompts without an answer, and tasks without a template that is used', () => {
    const gold = tasks(templateYaml.replace('metric: accuracy', 'metric: gold'));
    expect(taskItems(gold, choice())).toEqual([]);
    const unanswered = `${rowsJsonl}\n${JSON.stringify({ id: 'd', split: 'ppo', name: 'Di', options: ['baker', 'miller'] })}`;
    const prompts = tasks(templateYaml.replace('metric:', 'prompt_only: [ppo]\nmetric:'), unanswered);
    expect(taskItems(prompts, choice({ split: 'ppo' }))).toEqual([]);
    expect(taskItems(tasks(), choice({ uses: () => false }))).toEqual([]);
  });

  it('answers a chain of thought with what it ends in, and everything else with the whole target', () => {
    const own = tasks(chainYaml, chainRows);
    const [chain] = taskItems(own, choice({ split: 'test', uses: (_, { kind }) => kind === 'chain_of_thought' }));
    expect(chain).toMatchObject({ kind: 'chain_of_thought', target: 'Flour. So baker.', answer: 'baker' });
    expect(chain!.answerPattern).toBe('So (.+?)\\.?$');
    const freeText = templateYaml
      .replace('options: {column: options}\n', '')
      .replace('columns: [name, trade, options]', 'columns: [name, trade]')
      .replace('metric: accuracy', 'metric: exact_match')
      .replace('      {options_}\n', '')
      .replace('target: "{trade}"\n  - id: who', 'target: "It is {trade}."\n  - id: who');
    const [plain] = taskItems(
      tasks(freeText, rowsJsonl.replaceAll(/,"options":\[[^\]]*\]/g, '')),
      choice({ rowsPerTask: 1, split: 'test' }),
    );
    expect(plain).toMatchObject({ target: 'It is baker.', answer: 'It is baker.', options: [] });
  });
});

describe('taskItems with solved examples', () => {
  const rows = [...people('train', 6), ...people('test', 4)].join('\n');
  const two = { split: 'test', shots: 2, uses: isDirect };
  const names = (messages: readonly Message[]): string[] => messagesText(messages).match(/(train|test)\d/g) ?? [];

  it('draws different train rows, and asks for the row itself last', () => {
    for (const { messages, rowId, shots } of taskItems(tasks(undefined, rows), choice(two))) {
      expect(shots).toBe(2);
      const [first, second, asked] = names(messages);
      expect(asked).toBe(rowId);
      expect(first).toMatch(/^train/);
      expect(second).toMatch(/^train/);
      expect(first).not.toBe(second);
    }
  });

  it('never shows the answer of the row itself, even where train rows are asked', () => {
    const own = tasks(undefined, people('train', 3).join('\n'));
    const items = taskItems(own, choice({ shots: 3 }));
    expect(items.map(({ shots }) => shots)).toEqual([2, 2, 2]);
    for (const { messages } of items) expect(new Set(names(messages)).size).toBe(3);
  });

  it('drops examples that do not fit, and says how many are left', () => {
    const long = taskItems(tasks(undefined, rows), choice(two))[0]!.messages[0]!.content.length;
    const asked = taskItems(
      tasks(undefined, rows),
      choice({ ...two, fits: ({ messages }) => messagesText(messages).length < long - 20 }),
    );
    expect(asked.map(({ shots, messages }) => [shots, names(messages).length])).toContainEqual([1, 2]);
    const none = taskItems(tasks(undefined, rows), choice({ ...two, fits: () => false }));
    expect(none).toEqual(taskItems(tasks(undefined, rows), choice({ ...two, shots: 0 })));
  });

  it('asks the same rows with the same templates of every task, however many examples stand in front', () => {
    const both = [...tasks(undefined, rows), ...tasks(undefined, rows)].map((task, i) => ({
      ...task,
      name: `task${i}`,
    }));
    const asked = (shots: number): string[] =>
      taskItems(both, choice({ ...two, rowsPerTask: 3, shots })).map(({ task, rowId, template }) =>
        [task, rowId, template].join(),
      );
    expect(asked(2)).toEqual(asked(0));
    expect(asked(3)).toEqual(asked(0));
  });

  it('shows the same examples to every template of a row', () => {
    for (const templates of [0, 2, 4, 6]) {
      const items = taskItems(tasks(undefined, rows), choice({ ...two, templates: 'all' }));
      expect(names(items[templates]!.messages)).toEqual(names(items[templates + 1]!.messages));
    }
  });

  it('puts none in front of a dialogue', () => {
    const dialogue = templateYaml
      .replace('kind: inverted', 'kind: dialogue')
      .replace(
        '    input: "Name a {trade}."\n    target: "{name}"',
        '    turns:\n      - {input: "Who?", target: "{name}"}\n      - {input: "And {name}?", target: "{trade}"}',
      );
    const own = tasks(dialogue, rows);
    const items = taskItems(own, choice({ ...two, uses: (_, { kind }) => kind === 'dialogue' }));
    expect(items).toHaveLength(4);
    for (const { shots, messages, rowId } of items) {
      expect([shots, messages]).toEqual([0, talk('Who?', rowId, `And ${rowId}?`)]);
    }
  });
});
