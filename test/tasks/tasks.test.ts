import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Field, Int64, List, Table, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow';
import { describe, expect, it, onTestFinished } from 'vitest';
import { userSays } from '../../src/message.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { int32, utf8, utf8List } from '../../src/tables/columns.ts';
import { rowsOf } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { renderTemplate } from '../../src/tasks/template.ts';
import { rowsJsonl, type SampleFolder, sampleFolder, templateYaml } from './sample-task.ts';

function sample(yaml?: string, rows?: string): SampleFolder {
  const folder = sampleFolder(yaml, rows);
  onTestFinished(() => folder.remove());
  return folder;
}

function message(yaml: string, rows: string, names?: string[]): string {
  const folder = sample(yaml, rows);
  return folder.message(() => loadTasks(folder.tables, folder.templates, names));
}

const jsonl = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join('\n');
const ada = { id: 'a', split: 'train', name: 'Ada', trade: 'baker', options: ['baker', 'miller'] };
const problemsOf = (...rows: object[]) => message(templateYaml, jsonl(rows)).split('\n');

describe('loadTasks', () => {
  it('joins rows and templates', () => {
    const folder = sample();
    const [task] = loadTasks(folder.tables, folder.templates);
    expect([task!.name, task!.cluster, task!.metric]).toEqual(['trade', 'closed_book_qa', 'accuracy']);
    expect(task!.description).toBe("Somebody's trade.");
    expect(rowsOf(task!, 'train').map(({ id }) => id)).toEqual(['a', 'b']);
    expect(task!.templates.templates.length).toBe(3);
  });

  it('takes numbers and lists of numbers', () => {
    const folder = sample(templateYaml, jsonl([{ ...ada, id: 7, trade: 3, options: [3, 4.5] }]));
    const [task] = loadTasks(folder.tables, folder.templates);
    const row = task!.rows[0]!;
    expect(row.id).toBe('7');
    expect(renderTemplate(task!.templates, task!.templates.templates[0]!, row)).toMatchObject({
      messages: userSays("What is Ada's trade?\nOPTIONS:\n- 3\n- 4.5"),
      ...{ target: '3', options: ['3', '4.5'] },
    });
  });

  it('names every row that does not fit its templates', () => {
    expect(
      problemsOf(
        { ...ada, trade: 'tailor' },
        { ...ada, trade: undefined },
        { ...ada, id: 'c', name: undefined },
        { ...ada, id: undefined, split: undefined, name: true },
        { ...ada, id: 'e', options: [] },
        { ...ada, id: 'f', split: 'tran', name: null },
        { ...ada, id: 'g', trade: ' ' },
      ),
    ).toEqual([
      'seed/trade.jsonl:1: answer "tailor" is not among the options; expected one of baker, miller. Mend the row.',
      'seed/trade.jsonl:2: field "trade": expected text or a number, received nothing. Mend the row.',
      'seed/trade.jsonl:2: id "a" stands twice, first at seed/trade.jsonl:1. Give each row its own.',
      'seed/trade.jsonl:3: field "name": expected text or a number, received nothing. Mend the row.',
      'seed/trade.jsonl:4: id: expected text, received nothing. Give the row one.',
      'seed/trade.jsonl:4: split: expected one of train, validation, test, received nothing. Add it.',
      'seed/trade.jsonl:4: field "name": expected text or a number, received true. Mend the row.',
      'seed/trade.jsonl:5: field "options": expected a list of two or more different options, received []. Mend the row.',
      'seed/trade.jsonl:6: unknown split "tran". Did you mean train? Others must stand under prompt_only in templates/trade.yaml.',
      'seed/trade.jsonl:6: field "name": expected text or a number, received null. Mend the row.',
      'seed/trade.jsonl: 11 problems in all; expected none. Mend these first.',
    ]);
  });

  it('refuses empty answers, half characters, and values without end', () => {
    expect(problemsOf({ ...ada, trade: ' ' })).toEqual([
      'seed/trade.jsonl:1: field "trade": empty; expected text to learn from. Mend the row, or name its split in prompt_only of templates/trade.yaml.',
    ]);
    expect(problemsOf({ ...ada, name: 'Ada \ud83c' })).toEqual([
      'seed/trade.jsonl:1: field "name": half a character (a lone surrogate) in "Ada \\ud83c"; expected whole ones. Mend the row.',
    ]);
    expect(problemsOf({ ...ada, name: '🍎' })).toEqual(['no error']);
    expect(problemsOf({ ...ada, name: ['x'.repeat(99)] })[0]).toBe(
      `seed/trade.jsonl:1: field "name": expected text or a number, received ["${'x'.repeat(55)}…. Mend the row.`,
    );
    const many = Array.from({ length: 12 }, (_, i) => `o${i}`);
    expect(problemsOf({ ...ada, options: many })[0]).toContain(
      'expected one of o0, o1, o2, o3, o4, o5, o6, o7, o8, o9, …. Mend',
    );
  });

  it('tells the first ten problems of a dataset and how many there are', () => {
    const lines = problemsOf(...Array.from({ length: 13 }, (_, i) => ({ ...ada, id: `r${i}`, trade: 'tailor' })));
    expect(lines.length).toBe(11);
    expect(lines[10]).toBe('seed/trade.jsonl: 13 problems in all; expected none. Mend these first.');
  });

  it('wants a wording for every option of every row where a template has choices', () => {
    const worded = templateYaml.replace('id: plain\n', 'id: plain\n    choices: {baker: bakes}\n');
    expect(message(worded, jsonl([ada, { ...ada, id: 'b', options: ['baker', 'miller'] }])).split('\n')).toEqual([
      'seed/trade.jsonl:1: template "plain" (templates/trade.yaml:9:5) has no wording for "miller". Add one.',
      'seed/trade.jsonl:2: template "plain" (templates/trade.yaml:9:5) has no wording for "miller". Add one.',
    ]);
  });

  it('lets rows of prompt-only splits stand without a target', () => {
    const yaml = templateYaml.replace('metric:', 'prompt_only: [ppo]\nmetric:');
    const open = { id: 'p', split: 'ppo', name: 'Di', options: ['baker', 'miller'] };
    expect(message(yaml, `${rowsJsonl}\n${jsonl([open, { ...open, id: 'q', trade: '' }])}`)).toBe('no error');
    expect(message(templateYaml, jsonl([open]))).toContain('seed/trade.jsonl:1: unknown split "ppo".');
  });

  it('says which task is not known', () => {
    expect(message(templateYaml, rowsJsonl, ['trade', 'trad', 'zzzzzz']).split('\n')).toEqual([
      'templates: no task "trad". Did you mean trade?',
      'templates: no task "zzzzzz". Expected one of trade.',
    ]);
  });

  it('refuses a template file named for another dataset', () => {
    expect(message(templateYaml.replace('dataset: trade', 'dataset: town'), rowsJsonl)).toBe(
      'templates/trade.yaml: dataset: expected "trade" as in the file\'s name, received "town". Rename one.',
    );
  });

  it('says when there are no templates or no rows', () => {
    const folder = sample();
    const expected = 'seed: no template files; expected <dataset>.yaml. Name the folder that holds them.';
    expect(folder.message(() => loadTasks(folder.tables, folder.tables))).toBe(expected);
    expect(folder.message(() => loadTasks(folder.tables, folder.path('none')))).toBe(expected.replace('seed', 'none'));
    rmSync(join(folder.tables, 'trade.jsonl'));
    expect(folder.message(() => loadTasks(folder.tables, folder.templates))).toContain(
      'seed/trade.jsonl: the file is missing; expected a JSONL file. Run node --import tsx scripts/build-seed.ts or npm run import.',
    );
  });
});

describe('clusters.yaml beside the templates', () => {
  const load = (clusters: string): string => {
    const folder = sample();
    writeFileSync(join(folder.templates, 'clusters.yaml'), clusters);
    return folder.message(() => loadTasks(folder.tables, folder.templates));
  };

  it('is no dataset, and must have the cluster of every dataset', () => {
    expect(load('closed_book_qa: {description: Known by heart.}')).toBe('no error');
    expect(load('closed_bok_qa: {description: Known by heart.}')).toBe(
      'templates/trade.yaml: cluster "closed_book_qa" is not in clusters.yaml. Did you mean closed_bok_qa?',
    );
  });

  it('has its own problems told with those of the tasks', () => {
    expect(load('closed_book_qa: {descripton: Known by heart.}')).toContain('unknown key. Did you mean');
  });
});

describe('rows in Arrow, as the importer writes them', () => {
  const columns = {
    ...{ id: utf8('Name.'), split: utf8('Split.'), name: utf8('Who.'), trade: utf8('What.') },
    ...{ options: utf8List('Choices.'), age: int32('Years.') },
  };
  const table = async (rows: Parameters<typeof writeTable<typeof columns>>[2]) => {
    const folder = sample(templateYaml.replace('trade, options]', 'trade, options, age]'));
    await writeTable(join(folder.tables, 'trade.arrow'), columns, rows);
    return folder;
  };
  const row = { ...ada, age: 30 };

  it('are read with their texts, numbers and lists', async () => {
    const folder = await table([row, { ...row, id: 'b', split: 'test', trade: 'miller' }]);
    rmSync(join(folder.tables, 'trade.jsonl'));
    const [task] = loadTasks(folder.tables, folder.templates);
    expect(task!.rows.map(({ fields }) => fields)).toEqual([row, { ...row, id: 'b', split: 'test', trade: 'miller' }]);
    expect(task!.path).toMatch(/trade\.arrow$/);
  });

  it('may come from other writers: whole numbers of 64 bits, words by number, and gaps', () => {
    const folder = sample(templateYaml.replace('trade, options]', 'trade, options, age]'));
    rmSync(join(folder.tables, 'trade.jsonl'));
    const table = new Table({
      id: vectorFromArray(['a', 'b']),
      split: vectorFromArray(['train', 'test']),
      name: vectorFromArray(['Ada', null], new Utf8()),
      trade: vectorFromArray(['baker', 'miller']),
      options: vectorFromArray(
        [
          ['baker', 'miller'],
          ['baker', 'miller'],
        ],
        new List(new Field('item', new Utf8())),
      ),
      age: vectorFromArray([30n, 31n], new Int64()),
    });
    writeFileSync(join(folder.tables, 'trade.arrow'), tableToIPC(table, 'file'));
    expect(folder.message(() => loadTasks(folder.tables, folder.templates))).toBe(
      'seed/trade.arrow: row 1: field "name": expected text or a number, received nothing. Mend the row.',
    );
    writeFileSync(join(folder.tables, 'trade.arrow'), tableToIPC(table.slice(0, 1), 'file'));
    expect(loadTasks(folder.tables, folder.templates)[0]!.rows[0]!.fields).toEqual(row);
  });

  it('are named by number where something is wrong', async () => {
    const folder = await table([row, { ...row, trade: 'tailor' }]);
    rmSync(join(folder.tables, 'trade.jsonl'));
    expect(folder.message(() => loadTasks(folder.tables, folder.templates)).split('\n')).toEqual([
      'seed/trade.arrow: row 1: answer "tailor" is not among the options; expected one of baker, miller. Mend the row.',
      'seed/trade.arrow: row 1: id "a" stands twice, first at seed/trade.arrow: row 0. Give each row its own.',
    ]);
  });

  it('must not be empty, nor stand beside a JSONL file', async () => {
    const folder = await table([]);
    expect(folder.message(() => loadTasks(folder.tables, folder.templates))).toBe(
      'seed/trade.jsonl: trade.arrow stands beside it; expected one of them. Remove the older one.',
    );
    rmSync(join(folder.tables, 'trade.jsonl'));
    expect(folder.message(() => loadTasks(folder.tables, folder.templates))).toBe(
      'seed/trade.arrow: the file has no rows; expected at least one. Run node --import tsx scripts/build-seed.ts or npm run import.',
    );
  });
});
