/** Training and held-out pairs against each other, and which response counts as the better one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { betterResponse, describePairs, readPreferenceSets } from '../../src/examples/preference-sets.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { float32, utf8 } from '../../src/tables/columns.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'preference-sets-'));
afterAll(() => rmSync(folder, { recursive: true }));
const reader = { tokenizer: byteTokenizer(), contextLength: 200 };
const [pairs, heldOut] = [join(folder, 'train.arrow'), join(folder, 'held-out.arrow')];

const columns = { prompt: utf8('Prompt.'), chosen: utf8('Chosen.'), rejected: utf8('Rejected.') };
const gold = { gold_chosen: float32('Gold.'), gold_rejected: float32('Gold.') };
const rows = (...prompts: string[]) => prompts.map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' }));
const splits = { pairs: null, heldOut: null };
const read = (useMargin = false) => readPreferenceSets({ pairs, heldOut, splits, useMargin }, reader);

describe('readPreferenceSets', () => {
  it('reads both and counts', async () => {
    await writeTable(pairs, columns, rows('a', 'b'));
    await writeTable(heldOut, columns, rows('c'));
    const sets = read();
    expect([sets.train.pairs.length, sets.heldOut.pairs.length]).toEqual([2, 1]);
    // BOS, a, line break, space, yes, EOS = 8 tokens; no = 7.
    expect(describePairs(sets.train)).toBe('2 pairs, 30 tokens, longest 8; 0 prompts cut, 0 pairs dropped');
  });

  it('takes both from one file by its split column', async () => {
    const split = ['train', 'validation', 'test', 'train'];
    const mixed = rows('a', 'b', 'c', 'd').map((row, i) => ({ ...row, split: split[i]! }));
    await writeTable(pairs, { ...columns, split: utf8('Split.') }, mixed);
    const from = (heldOutSplit: string) => {
      const one = { pairs, heldOut: pairs, splits: { pairs: 'train', heldOut: heldOutSplit }, useMargin: false };
      return readPreferenceSets(one, reader);
    };
    const sets = from('test');
    expect(sets.train.pairs.map(({ prompt }) => prompt)).toEqual(['a', 'd']);
    expect(sets.heldOut.pairs.map(({ prompt }) => prompt)).toEqual(['c']);
    expect(() => from('tset')).toThrow(
      `${pairs}: no pairs of split "tset"; expected one of test, train, validation. Correct the split.`,
    );
  });

  it('refuses prompts that are held out and trained on, naming five of them', async () => {
    await writeTable(pairs, columns, rows('p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'other', 'x'.repeat(80)));
    await writeTable(heldOut, columns, rows('x'.repeat(80), 'p1', 'p1', 'p2', 'p3', 'p4', 'p5', 'new'));
    expect(() => read()).toThrow(
      `${heldOut}: 6 of its prompts are also in ${pairs}; expected prompts that were never trained on. ` +
        `Move all pairs of a prompt into one of the two. They are: "${'x'.repeat(57)}…", "p1", "p2", "p3", "p4", ….`,
    );
  });

  it('refuses margins that are all 0 where they are to be used', async () => {
    await writeTable(pairs, columns, rows('a'));
    await writeTable(heldOut, columns, rows('c'));
    expect(() => read(true)).toThrow(
      `${pairs}: margin is 0 or missing in every pair and loss.useMargin is true; expected margins to ask for. ` +
        'Set loss.useMargin to false, or add a margin column.',
    );
    await writeTable(pairs, { ...columns, margin: float32('Margin.') }, [{ ...rows('a')[0]!, margin: 0.5 }]);
    expect(read(true).train.pairs[0]!.margin).toBe(0.5);
  });

  it('refuses held-out pairs of which gold prefers neither response', async () => {
    await writeTable(pairs, columns, rows('a'));
    const tied = rows('c').map((row) => ({ ...row, gold_chosen: 0.5, gold_rejected: 0.5 }));
    await writeTable(heldOut, { ...columns, ...gold }, tied);
    expect(() => read()).toThrow(
      `${heldOut}: gold_chosen equals gold_rejected in every pair, so no response is the better one; expected pairs to ` +
        'measure accuracy on. Remove the gold columns to measure agreement with the labels.',
    );
  });
});

describe('betterResponse', () => {
  it.each([
    [1, 0, 'chosen'],
    [0, 1, 'rejected'],
    [0.5, 0.5, null],
    [null, 0.5, 'chosen'],
    [null, null, 'chosen'],
  ])('of gold %s and %s is %s', (gold_chosen, gold_rejected, better) => {
    expect(betterResponse({ gold_chosen, gold_rejected })).toBe(better);
  });
});
