/** Every template of every dataset, rendered here with a plain replacement of its own. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

interface RawTemplate {
  id: string;
  split: string;
  inverted: boolean;
  input: string;
  target: string;
}
interface RawFile {
  dataset: string;
  cluster: string;
  columns: string[];
  options?: { list?: string[]; column?: string };
  answer: { column: string };
  metric: string;
  prompt_only?: string[];
  templates: RawTemplate[];
}
type Row = Record<string, string | string[]> & { split: string };

const read = (path: string): string => readFileSync(new URL(`../../data/${path}`, import.meta.url), 'utf8');
const names = readdirSync(new URL('../../data/templates', import.meta.url))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -5));
const fileOf = (name: string): RawFile => parse(read(`templates/${name}.yaml`)) as RawFile;
const rowsOf = (name: string): Row[] =>
  read(`seed/${name}.jsonl`)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

describe('the template files', () => {
  it('are 13 tasks in 8 clusters, and the conversation', () => {
    expect(names.length).toBe(14);
    expect(new Set(names.map((name) => fileOf(name).cluster)).size).toBe(9);
  });

  it.each(names)('%s has ten templates, three of them never trained on, and at most three inverted', (name) => {
    const { templates, dataset } = fileOf(name);
    expect(dataset).toBe(name);
    expect(new Set(templates.map((each) => each.id)).size).toBe(templates.length);
    expect(new Set(templates.map((each) => each.input)).size).toBe(templates.length);
    expect(templates.filter((each) => !each.inverted && each.split === 'train').length).toBe(7);
    expect(templates.filter((each) => !each.inverted && each.split === 'unseen').length).toBe(3);
    expect(templates.filter((each) => each.inverted).length).toBeLessThanOrEqual(3);
    expect(templates.filter((each) => each.inverted && each.split !== 'train')).toEqual([]);
  });

  it.each(names)('%s renders every row with nothing left open', (name) => {
    const file = fileOf(name);
    const wrong: string[] = [];
    for (const row of rowsOf(name)) {
      const options =
        file.options?.list ?? (file.options?.column === undefined ? [] : (row[file.options.column] as string[]));
      const fill = (pattern: string): string =>
        pattern
          .replaceAll('{options_}', ['OPTIONS:', ...options.map((option) => `- ${option}`)].join('\n'))
          .replace(/\{(\w+)\}/g, (whole, field: string) =>
            file.columns.includes(field) ? String(row[field] ?? whole) : whole,
          )
          .trim();
      for (const template of file.templates) {
        const isPromptOnly = file.prompt_only?.includes(row.split) ?? false;
        const rendered = [fill(template.input), ...(isPromptOnly ? [] : [fill(template.target)])];
        if (!rendered.every((text) => /^[^{}]+$/.test(text))) wrong.push(`${template.id}, ${row.id}: ${rendered}`);
        if (fill(template.input).split(/\s+/).length > 60) wrong.push(`${template.id}, ${row.id}: over 60 words`);
        if (options.length > 0 && !template.inverted && !options.includes(fill(template.target))) {
          wrong.push(`${template.id}, ${row.id}: the target is no option`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
