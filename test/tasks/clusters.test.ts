import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { loadClusters } from '../../src/tasks/clusters.ts';

const folder = mkdtempSync(join(tmpdir(), 'clusters-'));
afterAll(() => rmSync(folder, { recursive: true }));
const load = (yaml: string) => {
  writeFileSync(join(folder, 'clusters.yaml'), yaml);
  return loadClusters(folder);
};
const problems = (yaml: string): string[] => {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof DataError) return error.problems.map((problem) => problem.replace(`${folder}/`, ''));
    throw error;
  }
  return [];
};

describe('loadClusters', () => {
  it('is empty where there is no file', () => {
    expect(loadClusters(join(folder, 'none'))).toEqual(new Map());
  });

  it('makes relations hold both ways', () => {
    const clusters = load(`
reading: {description: A note and a question., related: [commonsense]}
commonsense: {description: What everybody knows.}
both: {description: The two of them., related: [reading, commonsense]}
alone: {description: Nothing like the others.}
`);
    expect([...clusters].map(([name, { related }]) => [name, related])).toEqual([
      ['reading', ['both', 'commonsense']],
      ['commonsense', ['both', 'reading']],
      ['both', ['commonsense', 'reading']],
      ['alone', []],
    ]);
    expect(clusters.get('alone')?.description).toBe('Nothing like the others.');
  });

  it('names unknown keys and missing descriptions with their place, all at once', () => {
    expect(problems('reading:\n  descripton: A note.\nother: 3\n')).toEqual([
      'clusters.yaml:1:1 reading.description: is missing; expected a string. What the tasks of the cluster have in common, in a sentence.',
      'clusters.yaml:2:3 reading.descripton: unknown key. Did you mean reading.description?',
      'clusters.yaml:3:8 other: expected a section with keys, received 3.',
    ]);
  });

  it('refuses relations to clusters that do not exist, or to itself', () => {
    expect(problems('reading: {description: A note., related: [raeding, reading]}')).toEqual([
      'clusters.yaml:1:43 reading.related: unknown cluster "raeding". Did you mean reading?',
      'clusters.yaml:1:52 reading.related: a cluster is always held out with itself. Remove it.',
    ]);
  });

  it('says where the YAML is wrong', () => {
    expect(problems('a: [')).toEqual([expect.stringMatching(/^clusters\.yaml:1:\d+ is not valid YAML: /)]);
  });
});
