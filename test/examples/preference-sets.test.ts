/** Training and held-out pairs against each other, and which response counts as the better one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { betterResponse, describePairs, readPreferenceSets } from '../../src/examples/preference-sets.ts';
import { seededRandom } from '../../src/random.ts';
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
    const sets = await read();
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
    const sets = await from('test');
    expect(sets.train.pairs.map(({ prompt }) => prompt)).toEqual(['a', 'd']);
    expect(sets.heldOut.pairs.map(({ prompt }) => prompt)).toEqual(['c']);
    await expect(from('tset')).rejects.toThrow(
      `${pairs}: no pairs of split "tset"; expected one of test, train, validation. Correct the split.`,
    );
  });

  it('refuses prompts that are held out and trained on, naming five of them', async () => {
    await writeTable(pairs, columns, rows('p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'other', 'x'.repeat(80)));
    await writeTable(heldOut, columns, rows('x'.repeat(80), 'p1', 'p1', 'p2', 'p3', 'p4', 'p5', 'new'));
    await expect(read()).rejects.toThrow(
      `${heldOut}: 6 of its prompts are also in ${pairs}; expected prompts that were never trained on. ` +
        `Move all pairs of a prompt into one of the two. They are: "${'x'.repeat(57)}…", "p1", "p2", "p3", "p4", ….`,
    );
  });

  it('refuses margins that are all 0 where they are to be used', async () => {
    await writeTable(pairs, columns, rows('a'));
    await writeTable(heldOut, columns, rows('c'));
    await expect(read(true)).rejects.toThrow(
      `${pairs}: margin is 0 or missing in every pair and loss.useMargin is true; expected margins to ask for. ` +
        'Set loss.useMargin to false, or add a margin column.',
    );
    await writeTable(pairs, { ...columns, margin: float32('Margin.') }, [{ ...rows('a')[0]!, margin: 0.5 }]);
    expect((await read(true)).train.pairs[0]!.margin).toBe(0.5);
  });

  it('refuses held-out pairs of which gold prefers neither response', async () => {
    await writeTable(pairs, columns, rows('a'));
    const tied = rows('c').map((row) => ({ ...row, gold_chosen: 0.5, gold_rejected: 0.5 }));
    await writeTable(heldOut, { ...columns, ...gold }, tied);
    await expect(read()).rejects.toThrow(
      `${heldOut}: gold_chosen equals gold_rejected in every pair, so no response is the better one; expected pairs to ` +
        'measure accuracy on. Remove the gold columns to measure agreement with the labels.',
    );
  });
});

describe('files whose rows are recognized', () => {
  const own = join(folder, 'own.jsonl');
  const write = (path: string, found: readonly unknown[]): void =>
    writeFileSync(path, found.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const judged = (prompt: string, split?: string) => ({
    prompt,
    chosen: 'yes',
    rejected: 'no',
    ...(split && { split }),
  });

  it('are tokenized as the same pairs of a table, whole conversations among them', async () => {
    const user = (content: string) => ({ role: 'user', content });
    const assistant = (content: string) => ({ role: 'assistant', content });
    const lead = [{ role: 'system', content: 'S' }, user('a'), assistant('b'), user('c')];
    write(own, [judged('a'), { chosen: [...lead, assistant('yes')], rejected: [...lead, assistant('no')] }]);
    await writeTable(pairs, columns, rows('a'));
    await writeTable(heldOut, columns, rows('h'));
    const [table, file] = [
      await read(),
      await readPreferenceSets({ pairs: own, heldOut, splits, useMargin: false }, reader),
    ];
    const [plain, talk] = file.train.pairs;
    expect(plain).toMatchObject(table.train.pairs[0]!);
    // BOS; the system's text before the first question; an earlier answer with its EOS. Bytes are tokens.
    const bytes = (text: string): number[] => [...reader.tokenizer.encode(text)];
    const { eosId } = reader.tokenizer;
    const start = [1, ...bytes('S\n\na\n'), ...bytes(' b'), eosId, ...bytes('c\n')];
    expect([...talk!.chosen_ids]).toEqual([...start, ...bytes(' yes'), eosId]);
    expect([...talk!.rejected_ids]).toEqual([...start, ...bytes(' no'), eosId]);
    expect(talk).toMatchObject({ prompt_length: start.length, prompt: 'S\n\na\n b\nc', gold_chosen: null });
    expect(file.notes).toEqual([`pairs  ${own}: taken for pairs (chosen, rejected, prompt); 2 pairs of 2 rows`]);
  });

  it('are held out by prompt, and said', async () => {
    write(
      own,
      ['a', 'a', 'b', 'c', 'd', 'd'].map((prompt, i) => ({ ...judged(prompt), chosen: `yes ${i}` })),
    );
    const share = { of: 0.3, random: seededRandom(1, 'held-out pairs') };
    const sets = await readPreferenceSets({ pairs: own, heldOut: null, splits, useMargin: false, share }, reader);
    const prompts = (found: 'train' | 'heldOut') => new Set(sets[found].pairs.map(({ prompt }) => prompt));
    expect(sets.train.pairs.length + sets.heldOut.pairs.length).toBe(6);
    expect([...prompts('train')].filter((prompt) => prompts('heldOut').has(prompt))).toEqual([]);
    expect(sets.notes.at(-1)).toBe('2 of 6 pairs are held out, by run.seed (evaluation.share)');
  });

  it('are held out by their split, validation or test, and said', async () => {
    for (const split of ['test', 'validation']) {
      write(own, [judged('a'), judged('b', split), ...(split === 'validation' ? [judged('c', 'test')] : [])]);
      const sets = await readPreferenceSets({ pairs: own, heldOut: null, splits, useMargin: false }, reader);
      expect([sets.train, sets.heldOut].map((set) => set.pairs.map(({ prompt }) => prompt))).toEqual([['a'], ['b']]);
      expect(sets.notes.at(-1)).toBe(`${own}: split ${split} is held out, and split train trained`);
    }
    const named = { pairs: own, heldOut: null, splits: { pairs: 'train', heldOut: 'tset' }, useMargin: false };
    await expect(readPreferenceSets(named, reader)).rejects.toThrow(
      `${own}: no pairs of split "tset"; expected one of test, train, validation. Correct the split.`,
    );
  });

  it('are found in Arrow files that are no tables of pairs, and missing ones are named', async () => {
    const arrow = join(folder, 'ratings.arrow');
    const rating = (response: string, score: number) => ({ prompt: 'q', response, score });
    await writeTable(arrow, { prompt: utf8('.'), response: utf8('.'), score: float32('.') }, [
      rating('a', 1),
      rating('b', 2),
    ]);
    const { train } = await readPreferenceSets({ pairs: arrow, heldOut: null, splits, useMargin: true }, reader);
    expect(train.pairs.map(({ chosen, rejected, margin }) => [chosen, rejected, margin])).toEqual([['b', 'a', 1]]);
    const csv = join(folder, 'ratings.csv');
    writeFileSync(csv, 'prompt,response,score\nr,c,2\nr,d,1\n');
    const both = { pairs: join(folder, 'ratings.*'), heldOut: null, splits, useMargin: true };
    const matched = await readPreferenceSets(both, reader);
    expect(matched.train.pairs.map(({ prompt, chosen }) => [prompt, chosen])).toEqual([
      ['q', 'b'],
      ['r', 'c'],
    ]);
    expect(matched.inputs).toEqual({ pairs: [arrow, csv], heldOut: [] });
    expect(matched.notes[0]).toBe(
      `pairs  ${both.pairs}: taken for ratings (prompt, response, score) in ${arrow}, ${csv}; 2 pairs of 4 rows`,
    );
    await expect(readPreferenceSets({ ...both, pairs: join(folder, 'no-*.jsonl') }, reader)).rejects.toThrow(
      /no-\*\.jsonl: matches no file; expected at least one/,
    );
    const none = { pairs: join(folder, 'none.jsonl'), heldOut: null, splits, useMargin: false };
    await expect(readPreferenceSets(none, reader)).rejects.toThrow(
      `${none.pairs}: there is no such file or folder; expected preference pairs. Correct the path.`,
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
