import { describe, expect, it, onTestFinished } from 'vitest';
import { loadTasks, rowsOf } from '../../src/data/tasks.ts';
import { rowsJsonl, type SampleFolder, sampleFolder, templateYaml } from './sample-task.ts';

function sample(yaml?: string, rows?: string): SampleFolder {
  const folder = sampleFolder(yaml, rows);
  onTestFinished(() => folder.remove());
  return folder;
}

function message(yaml: string, rows: string, names?: string[]): string {
  const folder = sample(yaml, rows);
  return folder.message(() => loadTasks(folder.seed, folder.templates, names));
}

describe('loadTasks', () => {
  it('joins rows and templates', () => {
    const folder = sample();
    const [task] = loadTasks(folder.seed, folder.templates);
    expect([task!.name, task!.cluster, task!.metric]).toEqual(['trade', 'closed_book_qa', 'accuracy']);
    expect(rowsOf(task!, 'train').map(({ id }) => id)).toEqual(['a', 'b']);
    expect(task!.templates.templates.length).toBe(3);
  });

  it('names every row that does not fit its templates', () => {
    const rows = [
      { id: 'a', split: 'train', name: 'Ada', trade: 'tailor', options: ['baker', 'miller'] },
      { id: 'a', split: 'train', name: 'Bo', options: ['baker', 'miller'] },
      { id: 'c', split: 'test', trade: 'baker', options: ['baker', 'miller'] },
      { name: 'Di', trade: 'baker', options: 'baker' },
      { id: 'e', split: 'test', name: 'Ed', trade: 'baker', options: [] },
    ];
    expect(message(templateYaml, rows.map((row) => JSON.stringify(row)).join('\n'))).toMatchInlineSnapshot(`
      "seed/trade.jsonl:1: answer "tailor" is not among the options; expected one of baker, miller. Mend the row.
      seed/trade.jsonl:2: row without target; expected text in "trade", received nothing. Mend the row or name its split in prompt_only of templates/trade.yaml.
      seed/trade.jsonl:2: id "a" stands twice. Give each row its own.
      seed/trade.jsonl:3: no "name"; expected it, as a column of templates/trade.yaml. Mend the row.
      seed/trade.jsonl:4: no "id"; expected text. Mend the row.
      seed/trade.jsonl:4: no "split"; expected text. Mend the row.
      seed/trade.jsonl:5: field "options": expected a list of two or more options, received []. Mend the row."
    `);
  });

  it('lets rows of prompt-only splits stand without a target', () => {
    const yaml = templateYaml.replace('metric:', 'prompt_only: [ppo]\nmetric:');
    const rows = `${rowsJsonl}\n{"id": "p", "split": "ppo", "name": "Di", "options": ["baker", "miller"]}`;
    expect(message(yaml, rows)).toBe('no error');
    expect(message(templateYaml, rows)).toContain('seed/trade.jsonl:4: row without target; expected text in "trade"');
  });

  it('says which task is not known', () => {
    expect(message(templateYaml, rowsJsonl, ['trade', 'trad'])).toBe(
      'templates: no task "trad"; expected one of trade. Correct the name.',
    );
  });

  it('refuses a template file named for another dataset', () => {
    expect(message(templateYaml.replace('dataset: trade', 'dataset: town'), rowsJsonl)).toBe(
      'templates/trade.yaml: dataset: expected "trade" as in the file\'s name, received "town". Rename one.',
    );
  });

  it('says when there are no templates', () => {
    const folder = sample();
    const expected = 'seed: no template files; expected <dataset>.yaml. Name the folder that holds them.';
    expect(folder.message(() => loadTasks(folder.seed, folder.seed))).toBe(expected);
    expect(folder.message(() => loadTasks(folder.seed, folder.path('none')))).toBe(expected.replace('seed', 'none'));
  });
});
