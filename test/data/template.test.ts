import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadTasks } from '../../src/data/tasks.ts';
import { formatOptions, renderTemplate } from '../../src/data/template.ts';
import { loadTemplateFile, placeholders } from '../../src/data/template-file.ts';
import { sampleFolder, templateYaml } from './sample-task.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());
const file = loadTemplateFile(join(folder.templates, 'trade.yaml'));
const [plain, who, other] = file.templates;
const row = (fields: Record<string, unknown>) => ({ where: 'rows.jsonl:7', fields });
const ada = row({ split: 'train', name: 'Ada', trade: 'baker', options: ['baker', 'miller'] });
const brief = (message: string) => message.replaceAll(/[^\s(]*trade\.yaml/g, 'trade.yaml');

describe('renderTemplate', () => {
  it('fills in fields and options, and strips the ends', () => {
    expect(renderTemplate(file, plain!, ada)).toEqual({
      input: "What is Ada's trade?\nOPTIONS:\n- baker\n- miller",
      target: 'baker',
      options: ['baker', 'miller'],
    });
  });

  it('gives options to rank even where the prompt does not show them, but not for inverted templates', () => {
    expect(renderTemplate(file, other!, ada).options).toEqual(['baker', 'miller']);
    expect(renderTemplate(file, who!, ada)).toEqual({ input: 'Name a baker.', target: 'Ada', options: [] });
  });

  it('leaves no placeholder, whatever the fields hold', () => {
    const value = fc.stringMatching(/^[a-z]{1,8}$/);
    fc.assert(
      fc.property(value, value, (name, trade) => {
        for (const template of file.templates) {
          const { input, target } = renderTemplate(file, template, row({ name, trade, options: [trade, 'other'] }));
          expect(`${input}${target}`).not.toMatch(/[{}]/);
        }
      }),
      { seed: 1 },
    );
  });

  it('does not read placeholders out of fields', () => {
    const odd = row({ name: '{trade}', trade: 'baker', options: ['baker', 'miller'] });
    expect(renderTemplate(file, other!, odd).input).toBe('{trade} works as a');
  });

  it('gives no target for splits that are prompts only', () => {
    const chat = { ...file, prompt_only: ['ppo'] };
    expect(renderTemplate(chat, other!, row({ split: 'ppo', name: 'Ada', options: ['a', 'b'] })).target).toBeNull();
  });

  it('names row and template when something does not fit', () => {
    const message = (fields: Record<string, unknown>) =>
      brief(folder.message(() => renderTemplate(file, plain!, row(fields)))).replaceAll('templates/', '');
    const good = ada.fields;
    expect(message({ ...good, name: undefined })).toMatchInlineSnapshot(
      `"rows.jsonl:7: field "name", used by template "plain" (trade.yaml:8:5): expected text, received nothing. Mend the row."`,
    );
    expect(message({ ...good, options: ['baker'] })).toMatchInlineSnapshot(
      `"rows.jsonl:7: field "options": expected a list of two or more options, received ["baker"]. Mend the row."`,
    );
    expect(message({ ...good, trade: 'tailor' })).toMatchInlineSnapshot(
      `"rows.jsonl:7: the target "tailor" of template "plain" (trade.yaml:8:5) is not among the options; expected one of baker, miller. Mend the row."`,
    );
    expect(message({ ...good, trade: ' ' })).toMatchInlineSnapshot(
      `"trade.yaml:8:5: template "plain": the target comes out empty for the row at rows.jsonl:7; expected text. Mend the row or the template."`,
    );
  });
});

it('formats options as FLAN does', () => {
  // google-research/FLAN, flan/preprocessors.py, docstring of format_options
  expect(formatOptions(['a', 'b'])).toBe('OPTIONS:\n- a\n- b');
});

it('finds placeholders', () => {
  expect(placeholders('{a} and {options_}, {a}')).toEqual(['a', 'options_', 'a']);
});

describe('loadTemplateFile', () => {
  const message = (yaml: string) => folder.message(() => loadTemplateFile(folder.write('trade.yaml', yaml)));

  it('reads the fields, filling in what may be left out', () => {
    expect(other!.inverted).toBe(false);
    expect(file.prompt_only).toEqual([]);
    expect(plain!.where).toMatch(/trade\.yaml:8:5$/);
  });

  it('says where the YAML is wrong', () => {
    expect(message('dataset: [a\ncluster: b')).toMatch(/^trade\.yaml:2:\d+: not YAML: .* Mend the file\./);
  });

  it('names unknown, missing and wrong keys with line and column, all at once', () => {
    const yaml = templateYaml
      .replace('metric: accuracy', 'metric: guess')
      .replace('cluster:', 'clustre:')
      .replace('    split: unseen', '    split: later');
    expect(message(yaml)).toMatchInlineSnapshot(`
      "trade.yaml:1:1: cluster: Invalid input: expected string, received undefined. Mend the file.
      trade.yaml:6:9: metric: Invalid option: expected one of "accuracy"|"exact_match"|"gold". Mend the file.
      trade.yaml:21:12: templates.2.split: Invalid option: expected one of "train"|"unseen". Mend the file.
      trade.yaml:2:1: template file: Unrecognized key: "clustre". Mend the file."
    `);
  });

  it('refuses placeholders that are no columns, stray braces, doubled ids and empty patterns, all at once', () => {
    const yaml = templateYaml
      .replace("{name}'s", "{nmae}'s")
      .replace('Name a {trade}', 'Name { trade }')
      .replace('target: "{name}"', 'target: ""')
      .replace('id: other', 'id: plain');
    expect(message(yaml)).toMatchInlineSnapshot(`
      "trade.yaml:11:12: template "plain", input: unknown placeholder {nmae}; expected one of name, trade, options, options_. Correct the name.
      trade.yaml:18:12: template "who", input: a brace that is no placeholder; expected {column} or {options_}. Remove it.
      trade.yaml:19:13: template "who", target: empty; expected a pattern. Write one.
      trade.yaml:20:9: template id "plain" stands twice. Give each its own id."
    `);
  });

  it('refuses an answer or options outside the columns', () => {
    expect(message(templateYaml.replace('columns: [name, trade, options]', 'columns: [name]'))).toContain(
      'trade.yaml:5:18: answer.column: expected one of the columns name, received "trade". Add it to columns.',
    );
  });

  it('refuses {options_} where the task has no options', () => {
    expect(message(templateYaml.replace('options: {column: options}\n', ''))).toContain(
      'template "plain", input: unknown placeholder {options_}; expected one of name, trade, options. Correct the name.',
    );
  });

  it('refuses more than three inverted templates, and none to train on', () => {
    const inverted = [1, 2, 3]
      .map((i) => `  - {id: i${i}, split: train, inverted: true, input: "a", target: "b"}\n`)
      .join('');
    expect(message(templateYaml + inverted)).toContain('4 inverted templates; expected at most 3. Remove some.');
    expect(message(templateYaml.replaceAll('split: train', 'split: unseen'))).toContain('no template to train on');
  });

  it('says when the file is missing', () => {
    expect(folder.message(() => loadTemplateFile(folder.path('no.yaml')))).toBe(
      'no.yaml: the file is missing; expected a template file. Add it or leave the task out.',
    );
  });
});

describe('the templates of this project', () => {
  it('number ten or more a task and render on every row', () => {
    const tasks = loadTasks('data/seed', 'data/templates');
    expect(tasks.length).toBe(readdirSync('data/templates').filter((name) => name.endsWith('.yaml')).length);
    for (const task of tasks) {
      expect(task.templates.templates.length, task.name).toBeGreaterThanOrEqual(10);
      for (const taskRow of task.rows) {
        for (const template of task.templates.templates) renderTemplate(task.templates, template, taskRow);
      }
    }
  });
});
