import { describe, expect, it, onTestFinished } from 'vitest';
import type { InstructRow } from '../../src/examples/instruction-table.ts';
import { type Fit, renderMixture } from '../../src/examples/render-mixture.ts';
import type { MixtureItem, MixtureShare } from '../../src/tasks/mixture.ts';
import type { Task } from '../../src/tasks/task.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { sampleFolder, templateYaml } from '../tasks/sample-task.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const tokenizer = byteTokenizer();

function task(): Task {
  const folder = sampleFolder(templateYaml.replace("What is {name}'s trade?\n      {options_}", '{name} is a'));
  onTestFinished(() => folder.remove());
  return loadTasks(folder.tables, folder.templates)[0]!;
}

const shareOf = (from: Task): MixtureShare => ({
  part: 'few',
  task: from,
  rows: from.rows.filter(({ split }) => split === 'train'),
  templates: from.templates.templates,
  shots: [1],
  rate: 0.5,
  examples: 2,
});

/** The item of a row by id, asked with the template "plain" behind other rows. */
function item(from: Task, id: string, ...shots: string[]): MixtureItem {
  const row = (name: string) => from.rows.find((each) => each.id === name)!;
  return { part: 'few', task: from, row: row(id), template: from.templates.templates[0]!, shots: shots.map(row) };
}

function render(from: Task, items: MixtureItem[], fit: Fit) {
  const rendering = renderMixture([shareOf(from)], [{ task: from, reason: 'dataset' }], items, tokenizer, fit);
  const rows = [...rendering.rows()].map((row): InstructRow | string => ('droppedFrom' in row ? row.droppedFrom : row));
  return { rows, table: rendering.table() };
}

// One byte is one token. "Ada is a" 8, line break, " baker" 6, BOS and EOS: 17. With Bo's example in front,
// "Bo is a\n miller\n\n" has 17 more: 34.
describe('a rendered mixture', () => {
  it('has rows with what was asked, and counts that add up', () => {
    const { rows, table } = render(task(), [item(task(), 'a'), item(task(), 'a', 'b')], {
      maxLength: 40,
      overlong: 'error',
      learn: 'all',
    });
    expect(
      rows.map((row) => [
        (row as InstructRow).prompt,
        (row as InstructRow).target,
        (row as InstructRow).shots,
        (row as InstructRow).input_ids.length,
      ]),
    ).toEqual([
      ['Ada is a', 'baker', 0, 17],
      ['Bo is a\n miller\n\nAda is a', 'baker', 1, 34],
    ]);
    expect(rows.map((row) => (row as InstructRow).loss_mask.reduce((sum, flag) => sum + flag, 0))).toEqual([7, 7]);
    expect(table[0]).toMatchObject({
      part: 'few',
      task: 'trade',
      trained: true,
      held_out: '',
      rows: 2,
      declared_rate: 0.5,
    });
    expect(table[0]).toMatchObject({ examples: 2, realised_rate: 1, tokens: 51, trainable_tokens: 14, lost_shots: 0 });
    expect(table[1]).toMatchObject({
      part: '',
      task: 'trade',
      trained: false,
      held_out: 'dataset',
      rows: 2,
      examples: 0,
    });
  });

  it('counts solved examples that did not fit', () => {
    const { rows, table } = render(task(), [item(task(), 'a', 'b')], {
      maxLength: 33,
      overlong: 'error',
      learn: 'all',
    });
    expect(rows.map((row) => [(row as InstructRow).prompt, (row as InstructRow).shots])).toEqual([['Ada is a', 0]]);
    expect(table[0]).toMatchObject({ examples: 1, lost_shots: 1, truncated: 0, dropped: 0 });
  });

  it('counts what is dropped and what is cut', () => {
    const items = [item(task(), 'a'), item(task(), 'b')]; // 17 tokens both
    const dropped = render(task(), items, { maxLength: 16, overlong: 'drop', learn: 'all' });
    expect(dropped.rows).toEqual(items.map(({ row }) => row.where));
    expect(dropped.table[0]).toMatchObject({ examples: 0, realised_rate: 0, dropped: 2 });
    const cut = render(task(), items, { maxLength: 16, overlong: 'left', learn: 'all' });
    expect(cut.rows.map((row) => (row as InstructRow).cut_tokens)).toEqual([1, 1]);
    expect(cut.table[0]).toMatchObject({ examples: 2, truncated: 2, tokens: 32 });
  });

  it('names every row that is too long, once, and not only the first', () => {
    const from = task();
    const act = () =>
      render(
        from,
        ['a', 'b', 'a'].map((id) => item(from, id)),
        { maxLength: 16, overlong: 'error', learn: 'all' },
      );
    expect(act).toThrow(
      /^\S+trade\.jsonl:1: the example is too long; expected at most 16 tokens.+\n\S+trade\.jsonl:2: the example is too long; [^\n]+$/,
    );
  });

  it('names twenty problems and counts the rest', () => {
    const from = task();
    const items = Array.from({ length: 23 }, (_, i) => {
      const made = item(from, 'a');
      return { ...made, row: { ...made.row, where: `rows.jsonl:${i + 1}` } };
    });
    const act = () => render(from, items, { maxLength: 16, overlong: 'error', learn: 'all' });
    expect(act).toThrow(/rows\.jsonl:20: [^\n]+\n… and 3 more problems\.$/);
  });
});
