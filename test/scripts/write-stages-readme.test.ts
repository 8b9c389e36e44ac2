import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { stagesReadme } from '../../scripts/write-stages-readme.ts';
import { fits } from '../../src/run/declaration.ts';
import { allStages } from '../../stages/all.ts';

it('stages/README.md explains every metric and file the stages write', () => {
  const text = readFileSync('stages/README.md', 'utf8');
  expect(text).toContain('policy/approx_kl_first');
  expect(text, 'run: npm run schemas').toBe(stagesReadme());
});

it('every kind that a stage takes is made by a stage', () => {
  const made = allStages.flatMap(({ outputs }) => Object.values(outputs).map(({ kind }) => kind));
  const taken = allStages.flatMap(({ parents }) => Object.values(parents).map(({ takes }) => takes));
  expect(taken.filter((takes) => !made.some((kind) => fits(kind, takes)))).toEqual([]);
});
