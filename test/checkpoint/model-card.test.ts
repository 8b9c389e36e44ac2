/** The card beside a checkpoint: what it tells, and tables that no value breaks. */
import { expect, it } from 'vitest';
import { modelCard } from '../../src/checkpoint/model-card.ts';
import { tinyDimensions } from '../model/tiny-model.ts';

it('tells what was done, with which data and choices, and what came out', () => {
  const facts = {
    made: 'Instruction tuning',
    base: 'data/base',
    data: { rows: 'data/seed' },
    decisions: { 'loss on': 'targets', optimizer: { learningRate: 0.01 } },
    results: { accuracy: 0.5 },
  };
  const card = modelCard(tinyDimensions.llama, 'tokens', 'float32', facts);
  expect(card).toMatch(/^---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: \[plumbline\]\n---\n/);
  expect(card).toContain('# Instruction tuning\n\nMade by plumbline from `data/base`: llama, ');
  expect(card).toContain(
    '## Decisions\n\n| | |\n|---|---|\n| loss on | targets |\n| optimizer | {"learningRate":0.01} |\n',
  );
  expect(card.endsWith('## Results\n\n| | |\n|---|---|\n| accuracy | 0.5 |\n')).toBe(true);
});

it('keeps every value in its cell', () => {
  const data = { 'a|b': 'c|d', lines: 'one\ntwo\r\n three', back: 'C:\\data\\|' };
  const card = modelCard(tinyDimensions.llama, 'score', 'float32', {
    made: 'x',
    base: 'y',
    data,
    decisions: {},
    results: {},
  });
  const rows = card.split('\n').filter((line) => line.startsWith('| '));
  expect(rows).toEqual(['| | |', '| a\\|b | c\\|d |', '| lines | one two three |', '| back | C:\\\\data\\\\\\| |']);
});
