import { describe, expect, it, onTestFinished } from 'vitest';
import type { Task } from '../../src/data/tasks.ts';
import { loadTasks } from '../../src/data/tasks.ts';
import { taskItems } from '../../src/evaluation/task-items.ts';
import { seededRandom } from '../../src/random.ts';
import { sampleFolder, templateYaml } from '../data/sample-task.ts';

function tasks(yaml?: string): Task[] {
  const folder = sampleFolder(yaml);
  onTestFinished(() => folder.remove());
  return loadTasks(folder.seed, folder.templates);
}
const choice = { split: 'train', rowsPerTask: 9, templates: 'train' as const };

describe('taskItems', () => {
  it('renders rows of the split with templates of the kind, inverted ones left out', () => {
    const items = taskItems(tasks(), { ...choice, random: seededRandom(1) });
    expect(items.map(({ prompt }) => prompt).sort()).toEqual([
      "What is Ada's trade?\nOPTIONS:\n- baker\n- miller",
      "What is Bo's trade?\nOPTIONS:\n- baker\n- miller",
    ]);
    const ada = items.find(({ prompt }) => prompt.includes('Ada'));
    expect(ada).toMatchObject({
      ...{ task: 'trade', cluster: 'closed_book_qa', metric: 'accuracy', template: 'plain', templates: 'train' },
      ...{ target: 'baker', options: ['baker', 'miller'] },
    });
  });

  it('takes unseen templates and another split where asked', () => {
    const items = taskItems(tasks(), { ...choice, split: 'test', templates: 'unseen', random: seededRandom(1) });
    expect(items.map(({ prompt, templates }) => [prompt, templates])).toEqual([['Cy works as a', 'unseen']]);
  });

  it('takes no more rows than asked, the same ones with the same seed', () => {
    const one = (seed: number) => taskItems(tasks(), { ...choice, rowsPerTask: 1, random: seededRandom(seed) });
    expect(one(1).length).toBe(1);
    expect(one(1)).toEqual(one(1));
    const prompts = new Set(Array.from({ length: 20 }, (_, seed) => one(seed)[0]!.prompt));
    expect(prompts.size).toBe(2);
  });

  it('leaves out conversation, and tasks without a template of the kind', () => {
    const gold = tasks(templateYaml.replace('metric: accuracy', 'metric: gold'));
    expect(taskItems(gold, { ...choice, random: seededRandom(1) })).toEqual([]);
    const seen = tasks(templateYaml.replace('split: unseen', 'split: train'));
    expect(taskItems(seen, { ...choice, templates: 'unseen', random: seededRandom(1) })).toEqual([]);
  });
});
