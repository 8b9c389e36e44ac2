import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { clusterFile } from '../../src/tasks/clusters.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { renderTemplate } from '../../src/tasks/template.ts';
import { loadTemplateFile } from '../../src/tasks/template-file.ts';
import { placeholders } from '../../src/tasks/template-patterns.ts';
import { sampleFolder, templateYaml } from './sample-task.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());
const load = (yaml: string) => loadTemplateFile(folder.write('trade.yaml', yaml));
const message = (yaml: string) => folder.message(() => load(yaml));
/** The sample with one more template, on line 24. */
const added = (template: string, yaml = templateYaml) => message(`${yaml}  - ${template}\n`);

it('finds placeholders', () => {
  expect(placeholders('{a} and {options_}, {a}')).toEqual(['a', 'options_', 'a']);
});

describe('loadTemplateFile', () => {
  it('fills in what may be left out', () => {
    const { templates, ...file } = load(templateYaml);
    expect(file).toMatchObject({ dataset: 'trade', description: "Somebody's trade.", prompt_only: [] });
    expect(file.few_shot).toEqual({ input: '{input}', target: '{target}', between: '\n ', separator: '\n\n' });
    expect(templates.map(({ id, kind }) => [id, kind])).toEqual([
      ['plain', 'direct'],
      ['who', 'inverted'],
      ['other', 'direct'],
    ]);
    expect(templates[0]!.where).toMatch(/trade\.yaml:9:5$/);
    expect(templates[2]!.turns).toEqual([{ input: '{name} works as a', target: '{trade}' }]);
  });

  it('says where the YAML is wrong', () => {
    expect(message('dataset: [a\ncluster: b')).toMatch(/^trade\.yaml:2:\d+ is not valid YAML: /);
    expect(message('dataset: a\ndataset: b')).toBe(
      'trade.yaml:2:1 this key stands twice in its section. Keep one of them.',
    );
  });

  it('names unknown, missing and wrong keys with line and column in words, all at once', () => {
    const yaml = templateYaml
      .replace('metric: accuracy', 'metric: acuracy')
      .replace('cluster:', 'clustre:')
      .replace('    split: unseen', '    split: tran\n    inptu: a');
    const lines = message(yaml).split('\n');
    expect(lines).toContain(
      'trade.yaml:7:9 metric: expected one of "accuracy", "exact_match", "token_f1", "rouge_l", "chrf", "gold", received "acuracy". Did you mean accuracy?',
    );
    expect(lines).toContain('trade.yaml:2:1 clustre: unknown key. Did you mean cluster?');
    expect(lines).toContain(
      'trade.yaml:21:12 templates.2.split: expected one of "train", "unseen", received "tran". Did you mean train?',
    );
    expect(lines).toContain('trade.yaml:22:5 templates.2.inptu: unknown key. Did you mean templates.2.input?');
    expect(lines.some((line) => line.startsWith('trade.yaml:1:1 cluster: is missing; expected'))).toBe(true);
    expect(lines.length).toBe(5);
  });

  it('says when the file is missing', () => {
    expect(folder.message(() => loadTemplateFile(folder.path('no.yaml')))).toBe(
      'no.yaml: the file is missing; expected a template file. Add it or leave it out.',
    );
  });

  it('names everything that is wrong with the patterns at once', () => {
    const yaml = templateYaml
      .replace("{name}'s", "{nmae}'s")
      .replace('Name a {trade}', 'Name { trade }')
      .replace('target: "{name}"', 'target: ""')
      .replace('id: other', 'id: plain');
    expect(message(yaml).split('\n')).toEqual([
      'trade.yaml:11:12 template "plain", input: unknown placeholder {nmae}. Did you mean name?',
      'trade.yaml:9:5 template "plain": the input uses no field that it needs; expected {name}. Add it.',
      'trade.yaml:18:12 template "who", input: a brace that is no placeholder; expected {column} or {options_}. Remove it.',
      'trade.yaml:19:13 template "who", target: empty; expected a pattern. Write one.',
      'trade.yaml:15:5 template "who": the input uses no field that it needs; expected {trade}. Add it.',
      'trade.yaml:15:5 template "who": the target uses no field that it needs; expected {name}. Add it.',
      'trade.yaml:20:9 template id "plain" stands twice. Give each its own id.',
    ]);
  });

  it('refuses columns that do not exist, stand twice or cannot be placeholders', () => {
    expect(
      message(templateYaml.replace('[name, trade, options]', '[name, trde, name, "a b"]')).split('\n').slice(0, 4),
    ).toEqual([
      'trade.yaml:6:18 answer.column: unknown column "trade". Did you mean trde?',
      'trade.yaml:5:19 options.column: unknown column "options". Expected one of name, trde, name, a b.',
      'trade.yaml:4:10 columns: "name" stands twice. Remove one.',
      'trade.yaml:4:10 columns: "a b" cannot be a placeholder; expected letters, digits and _ (options_ is taken). Rename it.',
    ]);
    const listed = templateYaml.replace('{column: options}', '{list: [a, b, a]}');
    expect(message(listed)).toContain('trade.yaml:5:17 options.list: "a" stands twice. Remove one.');
    expect(message(templateYaml.replace('{column: trade}', '{column: trade}\nrationale: {column: why}'))).toContain(
      'trade.yaml:7:21 rationale.column: unknown column "why".',
    );
  });

  it('refuses an answer pattern that is no pattern or has no group', () => {
    const withPattern = (pattern: string) =>
      message(templateYaml.replace('metric:', `answer_pattern: '${pattern}'\nmetric:`));
    expect(withPattern('is (.+')).toMatch(
      /^trade\.yaml:7:17 answer_pattern: not a regular expression \(.*\)\. Correct it\.$/,
    );
    expect(withPattern('is .+')).toBe(
      'trade.yaml:7:17 answer_pattern: has no group; expected (…) around the answer. Add the parentheses.',
    );
    expect(withPattern('is (.+)')).toBe('no error');
  });

  it('refuses few-shot patterns without their placeholder, or with text after the answer', () => {
    const shots = (few: string) => message(templateYaml.replace('metric:', `few_shot: ${few}\nmetric:`)).split('\n');
    expect(shots('{input: "Q: {question}", target: "A: {target}."}')).toEqual([
      'trade.yaml:7:19 few_shot.input: expected one {input} and no other braces, received "Q: {question}". Correct it.',
      'trade.yaml:7:44 few_shot.target: expected text that ends in its one {target}, received "A: {target}.". Correct it.',
    ]);
    expect(shots('{input: "Q: {input}", target: "A: {target}"}')).toEqual(['no error']);
  });

  it('refuses templates that use nothing of the row, give the answer away or leave it out', () => {
    expect(added('{id: a, split: train, input: "What?", target: "{trade}"}')).toBe(
      'trade.yaml:24:5 template "a": the input uses no field that it needs; expected {name}. Add it.',
    );
    expect(added('{id: a, split: train, input: "{name}?", target: "It is so."}')).toBe(
      'trade.yaml:24:5 template "a": the target uses no field that it needs; expected {trade}. Add it.',
    );
    expect(added('{id: a, split: train, input: "{name} {trade}?", target: "{trade}"}')).toBe(
      'trade.yaml:24:5 template "a": the input gives {trade} away. Remove it.',
    );
    expect(added('{id: a, split: train, kind: inverted, input: "{name}", target: "{trade}"}').split('\n')).toEqual([
      'trade.yaml:24:5 template "a": the input uses no field that it needs; expected {trade}. Add it.',
      'trade.yaml:24:5 template "a": the target uses no field that it needs; expected {name}. Add it.',
    ]);
  });

  it('wants the options block once, on a line of its own, and only where there are options', () => {
    const inline =
      'template "a", input: {options_} is a block of lines; expected it once, on a line of its own. Move it.';
    expect(added('{id: a, split: train, input: "{name}: {options_}", target: "{trade}"}')).toContain(inline);
    expect(added('{id: a, split: train, input: "{name}\\n{options_}\\n{options_}", target: "{trade}"}')).toContain(
      inline,
    );
    expect(added('{id: a, split: train, input: "{options_}\\n{name}", target: "{trade}"}')).toBe('no error');
    expect(message(templateYaml.replace('options: {column: options}\n', ''))).toContain(
      'template "plain", input: unknown placeholder {options_}. Did you mean options?',
    );
  });

  it('refuses shapes that do not fit the kind', () => {
    const turn = '{input: "{name}", target: "{trade}"}';
    expect(added('{id: a, split: train, kind: dialogue, input: "{name}?", target: "{trade}"}').split('\n')).toEqual([
      'trade.yaml:24:5 template "a": a dialogue without turns; expected two or more. Add turns.',
      'trade.yaml:24:5 template "a": a dialogue has turns in place of input and target. Move them into turns.',
    ]);
    expect(added(`{id: a, split: train, turns: [${turn}, ${turn}]}`).split('\n')).toEqual([
      'trade.yaml:24:34 template "a": turns are for kind: dialogue. Change the kind or remove them.',
      'trade.yaml:24:5 template "a": input is missing; expected a pattern. Add it.',
      'trade.yaml:24:5 template "a": target is missing; expected a pattern. Add it.',
    ]);
    expect(added(`{id: a, split: train, kind: dialogue, turns: [${turn}]}`)).toContain(
      'templates.3.turns: expected a list of at least 2 items, received',
    );
    expect(added('{id: a, split: unseen, kind: inverted, input: "A {trade}", target: "{name}"}')).toBe(
      'trade.yaml:24:20 template "a": inverted templates are for training; expected split: train. Change split or kind.',
    );
  });

  it('wants reasons for a chain of thought, and both reasons and answer in its target', () => {
    const thought = '{id: a, split: train, kind: chain_of_thought, input: "Think: {name}", target: "{trade}"}';
    expect(added(thought)).toBe(
      'trade.yaml:24:5 template "a": a chain of thought needs "rationale: {column: …}" in the file; it is missing. Add it.',
    );
    const reasoned = templateYaml
      .replace('trade, options]', 'trade, options, why]')
      .replace('metric:', 'rationale: {column: why}\nmetric:');
    expect(added(thought, reasoned)).toBe(
      'trade.yaml:25:5 template "a": the target uses no field that it needs; expected {why}. Add it.',
    );
    expect(added('{id: a, split: train, input: "{why} Who?", target: "{trade}"}', reasoned)).toBe(
      'trade.yaml:25:5 template "a": the input uses no field that it needs; expected {name}. Add it.',
    );
  });

  it('wants one wording for every option', () => {
    const listed = templateYaml.replace('{column: options}', '{list: [baker, miller]}');
    const choices = (words: string, yaml = listed) =>
      added(`{id: a, split: train, choices: ${words}, input: "{name}?", target: "{trade}"}`, yaml).split('\n');
    expect(choices('{baker: bakes, milelr: mills}')).toEqual([
      'trade.yaml:24:36 template "a", choices: no wording for "miller". Add one.',
      'trade.yaml:24:36 template "a", choices: unknown option "milelr". Did you mean miller?',
    ]);
    expect(choices('{baker: works, miller: works}')).toEqual([
      'trade.yaml:24:36 template "a", choices: "works" stands for two options; expected one each. Change one.',
    ]);
    expect(choices('{baker: " bakes", miller: mills}')).toEqual([
      'trade.yaml:24:36 template "a", choices: " bakes" has space at its ends. Remove it.',
    ]);
    const free = templateYaml.replace('options: {column: options}\n', '').replace('\n      {options_}', '');
    expect(choices('{baker: bakes, miller: mills}', free)).toEqual([
      'trade.yaml:22:36 template "a", choices: the dataset has no options to word anew. Remove them.',
    ]);
  });

  it('refuses doubled texts, more than three inverted templates, and none to train on', () => {
    expect(added('{id: a, split: train, input: "{name} works as a ", target: "{trade}"}')).toBe(
      'trade.yaml:24:5 template "a": the same input as "other". Word it differently.',
    );
    const inverted = [1, 2, 3].map(
      (i) => `  - {id: i${i}, split: train, kind: inverted, input: "${i} {trade}", target: "{name}"}\n`,
    );
    expect(message(templateYaml + inverted.join(''))).toBe(
      'trade.yaml:9:3 templates: 4 are inverted; expected at most 3. Remove some.',
    );
    expect(message(templateYaml.replaceAll('split: train', 'split: unseen'))).toContain(
      'trade.yaml:9:3 templates: none to train on; expected one with "split: train". Add one.',
    );
  });
});

describe('the templates of this project', () => {
  const shipped = ['data/templates', 'data/public/templates'].flatMap((path) =>
    readdirSync(path)
      .filter((name) => name !== clusterFile)
      .map((name) => join(path, name)),
  );

  it.each(shipped)('%s has ten direct ones, three of them unseen', (path) => {
    const direct = loadTemplateFile(path).templates.filter(({ kind }) => kind === 'direct');
    expect(direct.filter(({ split }) => split === 'train').length).toBeGreaterThanOrEqual(7);
    expect(direct.filter(({ split }) => split === 'unseen').length).toBeGreaterThanOrEqual(3);
  });

  const names = readdirSync('data/templates').filter((name) => name !== clusterFile);
  it.each(names)('%s renders every row', (name) => {
    const [task] = loadTasks('data/seed', 'data/templates', [basename(name, '.yaml')]);
    for (const row of task!.rows) {
      for (const template of task!.templates.templates) renderTemplate(task!.templates, template, row);
    }
  });
});
