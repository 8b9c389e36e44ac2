/** Every template of every dataset, rendered here with a plain replacement of its own. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadTokenizer } from '../../../../src/tokenizer/tokenizer.ts';

interface RawTurn {
  input: string;
  target: string;
}
interface RawTemplate extends Partial<RawTurn> {
  id: string;
  split: string;
  kind?: string;
  turns?: RawTurn[];
  choices?: Record<string, string>;
}
interface RawFile {
  dataset: string;
  cluster: string;
  columns: string[];
  options?: { list?: string[]; column?: string };
  answer: { column: string };
  rationale?: { column: string };
  metric: string;
  prompt_only?: string[];
  templates: RawTemplate[];
}
type Row = Record<string, string | string[]> & { id: string; split: string };

const data = (path: string): URL => new URL(`../../../../data/${path}`, import.meta.url);
const read = (path: string): string => readFileSync(data(path), 'utf8');
const names = readdirSync(data('templates'))
  .filter((name) => name.endsWith('.yaml') && name !== 'clusters.yaml')
  .map((name) => name.slice(0, -5));
const fileOf = (name: string): RawFile => parse(read(`templates/${name}.yaml`)) as RawFile;
const rowsOf = (name: string): Row[] =>
  read(`seed/${name}.jsonl`)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const tokenizer = loadTokenizer(data('base').pathname);
const kindOf = (template: RawTemplate): string => template.kind ?? 'direct';
const turnsOf = (template: RawTemplate): RawTurn[] =>
  template.turns ?? [{ input: template.input ?? '', target: template.target ?? '' }];

/** What a row becomes: its turns, and the options in the template's wording. */
function render(file: RawFile, template: RawTemplate, row: Row): { turns: RawTurn[]; options: string[] } {
  const worded = (answer: string): string => template.choices?.[answer] ?? answer;
  const { list, column } = file.options ?? {};
  const options = (list ?? (column === undefined ? [] : (row[column] as string[]))).map(worded);
  const block = ['OPTIONS:', ...options.map((option) => `- ${option}`)].join('\n');
  const fill = (pattern: string): string =>
    pattern
      .split(/(\{\w+\})/)
      .map((part) => {
        const field = /^\{(\w+)\}$/.exec(part)?.[1];
        if (field === undefined) return part;
        if (field === 'options_') return block;
        const value = file.columns.includes(field) ? String(row[field] ?? part) : part;
        return field === file.answer.column ? worded(value) : value;
      })
      .join('')
      .trim();
  const isPromptOnly = file.prompt_only?.includes(row.split) ?? false;
  const turns = turnsOf(template).map(({ input, target }) => ({
    input: fill(input),
    target: isPromptOnly ? 'none' : fill(target),
  }));
  return { turns, options };
}

describe('the template files', () => {
  it('are 26 tasks and the conversations in 15 clusters', () => {
    expect(names.length).toBe(27);
    expect(new Set(names.map((name) => fileOf(name).cluster)).size).toBe(15);
  });

  it('belong to clusters that clusters.yaml describes, and leave none of them empty', () => {
    const clusters = parse(read('templates/clusters.yaml')) as Record<string, { related?: string[] }>;
    expect(Object.keys(clusters).sort()).toEqual([...new Set(names.map((name) => fileOf(name).cluster))].sort());
    for (const { related = [] } of Object.values(clusters)) {
      expect(related.filter((other) => !(other in clusters))).toEqual([]);
    }
  });

  it.each(names)('%s has ten direct templates, three of them never trained on, and at most three inverted', (name) => {
    const { templates, dataset } = fileOf(name);
    const of = (kind: string, split: string): number =>
      templates.filter((each) => kindOf(each) === kind && each.split === split).length;
    expect(dataset).toBe(name);
    expect(new Set(templates.map((each) => each.id)).size).toBe(templates.length);
    expect(new Set(templates.map((each) => turnsOf(each)[0]?.input)).size).toBe(templates.length);
    expect([of('direct', 'train'), of('direct', 'unseen')]).toEqual([7, 3]);
    expect(of('inverted', 'train')).toBeLessThanOrEqual(3);
    expect(of('inverted', 'unseen')).toBe(0);
  });

  it('show reasons wherever rows have them, and turns in two datasets', () => {
    const having = (kind: string): string[] =>
      names.filter((name) => fileOf(name).templates.some((each) => kindOf(each) === kind));
    const withReasons = names.filter((name) => rowsOf(name).every((row) => row.why !== undefined));
    expect(having('chain_of_thought')).toEqual(withReasons);
    expect(withReasons).toEqual([
      'cheaper',
      'count_things',
      'note_entailment',
      'note_inference',
      'shop_talk',
      'total_price',
    ]);
    expect(having('dialogue')).toEqual(['shop_talk', 'talk_note']);
  });

  it.each(names)('%s renders every row with nothing left open, in at most 90 tokens', (name) => {
    const file = fileOf(name);
    const wrong: string[] = [];
    for (const row of rowsOf(name)) {
      for (const template of file.templates) {
        const { turns, options } = render(file, template, row);
        const complain = (problem: string): unknown => wrong.push(`${template.id}, ${row.id}: ${problem}`);
        const texts = turns.flatMap(({ input, target }) => [input, target]);
        if (!texts.every((text) => /^[^{}]+$/.test(text))) complain(texts.join(' | '));
        // BOS, prompt and line break, blank and answer, EOS of each turn; stages cut at 160.
        const tokens = turns.reduce(
          (sum, { input, target }) => sum + tokenizer.encode(`${input}\n ${target}`).length + 2,
          1,
        );
        if (tokens > 90) complain(`${tokens} tokens`);
        if (options.length > 0 && kindOf(template) === 'direct' && !options.includes(texts.at(-1) ?? '')) {
          complain('the target is no option');
        }
        if (kindOf(template) === 'chain_of_thought') {
          const reasons = String(row[file.rationale?.column ?? '']);
          const answer = String(row[file.answer.column]);
          if (texts.at(-1) !== `${reasons} The answer is ${answer}.`) complain(texts.at(-1) ?? '');
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
