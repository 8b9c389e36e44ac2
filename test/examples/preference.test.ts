import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { PreferenceRow } from '../../src/examples/pair-table.ts';
import { writePreferences } from '../../src/examples/pair-table.ts';
import type { PreferenceReader } from '../../src/examples/preference.ts';
import { pairIds } from '../../src/examples/preference.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { float32, nullable, utf8 } from '../../src/tables/columns.ts';
import { readPairs } from '../helpers/read-pairs.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'preference-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'preference.arrow');
const tokenizer = byteTokenizer();
const reader = { tokenizer, contextLength: 8 };

function pair(chosen: number[], rejected: number[], promptLength = 3): PreferenceRow {
  return {
    prompt: 'a',
    chosen: 'good',
    rejected: 'bad',
    chosen_ids: Int32Array.from(chosen),
    rejected_ids: Int32Array.from(rejected),
    prompt_length: promptLength,
    margin: 0.5,
    gold_chosen: 1,
    gold_rejected: 0.5,
    flipped: false,
    split: 'train',
    difference: 'manner',
  };
}

async function message(): Promise<string> {
  try {
    await readPairs(path, reader);
  } catch (error) {
    return String(error).replaceAll(`${folder}/`, '');
  }
  return 'no error';
}

describe('loadPairs', () => {
  it('gives back what was written', async () => {
    const rows = [pair([1, 7, 8, 9, 2], [1, 7, 8, 10, 11, 2]), pair([1, 7, 8, 9], [1, 7, 8, 2])];
    await writePreferences(path, rows, tokenizer, { noise: '0.1' });
    const read = await readPairs(path, reader);
    expect(read.pairs).toEqual(rows.map(({ split: _, difference: __, ...row }) => ({ ...row, group: null })));
    expect(read.statistics).toEqual({ pairs: 2, tokens: 19, longest: 6, cut: 0, dropped: 0, reasons: {} });
  });

  it('refuses pairs that teach nothing or do not fit the model, naming each', async () => {
    await writePreferences(
      path,
      [
        pair([1, 7, 8, 9, 2], [1, 7, 8, 9, 2]),
        pair([1, 7, 8, 9, 2], [1, 7, 6, 9, 2]),
        pair([1, 7, 8], [1, 7, 8, 9]),
        pair([1, 7, 8, 9, 9, 9, 9, 9, 2], [1, 7, 8, 400]),
        pair([1, 2], [1, 3], 0),
      ],
      tokenizer,
    );
    expect(await message()).toMatchInlineSnapshot(`
      "DataError: preference.arrow: row 0: chosen and rejected are the same; expected two different responses. Mend or remove the row.
      preference.arrow: row 1: prompt_length: expected the tokens that both sequences begin with, received 3, where they differ. Mend or remove the row.
      preference.arrow: row 2: chosen_ids: no response; expected more than 3 tokens, received 3. Mend or remove the row.
      preference.arrow: row 3: chosen_ids: too long; expected at most 8 tokens (the model's context), received 9. Mend or remove the row, or set sequence.overlong to left or drop.
      preference.arrow: row 3: rejected_ids: expected ids below 259, received 400. Mend or remove the row.
      preference.arrow: row 4: prompt_length: no prompt; expected at least one token before the responses, received 0. Mend or remove the row."
    `);
  });

  it('refuses pairs made with another tokenizer, naming both', async () => {
    await writePreferences(path, [pair([1, 7, 8, 9], [1, 7, 8, 2])], { ...tokenizer, hash: 'sha256:other' });
    expect(await message()).toBe(
      `DataError: preference.arrow: made with another tokenizer; expected ${tokenizer.hash}, received sha256:other. ` +
        'Run node --import tsx stages/preferences.ts or npm run import with this tokenizer, or use the tokenizer it was made with.',
    );
  });

  it('refuses a file without pairs', async () => {
    await writePreferences(path, [], tokenizer);
    expect(await message()).toBe(
      'DataError: preference.arrow: no pairs; expected at least one. Run node --import tsx stages/preferences.ts or npm run import.',
    );
  });
});

describe('pairs of texts', () => {
  const columns = { prompt: utf8('Prompt.'), chosen: utf8('Chosen.'), rejected: utf8('Rejected.') };
  const texts = async (rows: { prompt: string; chosen: string; rejected: string }[]): Promise<void> =>
    writeTable(path, columns, rows);
  // One token a byte, so that a text's tokens do not depend on where it is cut.
  const bytes = (text: string): number[] => [...tokenizer.encode(text)];
  const read = (contextLength: number, overlong: PreferenceReader['overlong'] = 'error') =>
    readPairs(path, { tokenizer, contextLength, overlong });

  it('become BOS, prompt, line break, space, response, EOS', async () => {
    await texts([{ prompt: 'ab', chosen: 'c', rejected: 'de' }]);
    const [first] = (await read(9)).pairs;
    expect([...first!.chosen_ids]).toEqual([1, ...bytes('ab\n c'), 2]);
    expect([...first!.rejected_ids]).toEqual([1, ...bytes('ab\n de'), 2]);
    expect(first).toMatchObject({ prompt_length: 4, margin: 0, gold_chosen: null, gold_rejected: null, flipped: null });
  });

  it('keep whichever of margin, gold and group there is', async () => {
    const more = { margin: nullable(float32('Margin.')), topic: utf8('Topic.'), gold_chosen: float32('Gold.') };
    const row = { prompt: 'a', chosen: 'b', rejected: 'c', gold_chosen: 0.5 };
    const rows = [
      { ...row, margin: 0.25, topic: 'tea' },
      { ...row, margin: null, topic: 'rain' },
    ];
    await writeTable(path, { ...columns, ...more }, rows);
    const { pairs } = await readPairs(path, { tokenizer, contextLength: 9 }, 'topic');
    expect(pairs.map(({ margin, group, gold_chosen }) => [margin, group, gold_chosen])).toEqual([
      [0.25, 'tea', 0.5],
      [0, 'rain', 0.5],
    ]);
  });

  it('that are too long are refused, dropped, or lose the beginning of the prompt and nothing else', async () => {
    await texts([
      { prompt: 'abcd', chosen: 'e', rejected: 'fg' },
      { prompt: 'a', chosen: 'b', rejected: 'c' },
      { prompt: 'a', chosen: 'b', rejected: 'cdefgh' },
    ]);
    await expect(read(8)).rejects.toThrow(
      "preference.arrow: row 0: rejected_ids: too long; expected at most 8 tokens (the model's context), received 10. " +
        'Mend or remove the row, or set sequence.overlong to left or drop.',
    );
    const dropped = await read(8, 'drop');
    expect(dropped.pairs.map(({ chosen }) => chosen)).toEqual(['b']);
    expect(dropped.statistics).toMatchObject({ pairs: 1, cut: 0, dropped: 2, reasons: { 'too long': { count: 2 } } });
    const left = await read(8, 'left');
    expect(left.pairs.map(({ chosen_ids, rejected_ids }) => [[...chosen_ids], [...rejected_ids]])).toEqual([
      [
        [1, ...bytes('cd\n e'), 2],
        [1, ...bytes('cd\n fg'), 2],
      ],
      [
        [1, ...bytes('a\n b'), 2],
        [1, ...bytes('a\n c'), 2],
      ],
    ]);
    expect(left.pairs[0]!.prompt_length).toBe(4);
    expect(left.statistics).toEqual({
      pairs: 2,
      tokens: 27,
      longest: 8,
      cut: 1,
      dropped: 1,
      reasons: { 'the response alone is too long': { count: 1, first: ['row 2'] } },
    });
    await expect(read(4, 'left')).rejects.toThrow(
      "all 3 pairs are too long; expected some of at most 4 tokens (the model's context). Use a model with a longer context.",
    );
  });

  it('without a response are refused by row', async () => {
    await texts([{ prompt: 'a', chosen: 'b', rejected: '' }]);
    await expect(read(9)).rejects.toThrow(
      'row 0: rejected_ids: no response; expected more than 3 tokens, received 3. Mend or remove the row.',
    );
  });

  it('without the column to group by are refused', async () => {
    await texts([{ prompt: 'a', chosen: 'b', rejected: 'c' }]);
    await expect(readPairs(path, { tokenizer, contextLength: 9 }, 'topic')).rejects.toThrow(
      'column "topic" is missing; expected utf8, found the columns prompt, chosen, rejected. Run node --import tsx stages/preferences.ts or npm run import.',
    );
  });
});

describe('pairIds', () => {
  it('learns both sequences after the prompt they share', () => {
    const pair = { chosen_ids: Int32Array.of(1, 5, 6, 7), rejected_ids: Int32Array.of(1, 5, 8), prompt_length: 2 };
    const { chosen, rejected } = pairIds(pair);
    expect([chosen.ids, chosen.learned, rejected.ids, rejected.learned].map((values) => [...values])).toEqual(
      [[1, 5, 6, 7], [0, 0, 1, 1], [1, 5, 8], [0, 0, 1]], // biome-ignore format: rows
    );
  });
});
