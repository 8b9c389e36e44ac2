import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type PreferenceRow, readPreferences, writePreferences } from '../../src/data/preference.ts';
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
  };
}

function message(): string {
  try {
    readPreferences(path, reader, 'npx tsx scripts/preferences.ts');
  } catch (error) {
    return String(error).replaceAll(`${folder}/`, '');
  }
  return 'no error';
}

describe('readPreferences', () => {
  it('gives back what was written', async () => {
    const rows = [pair([1, 7, 8, 9, 2], [1, 7, 8, 10, 11, 2]), pair([1, 7, 8, 9], [1, 7, 8, 2])];
    await writePreferences(path, rows, tokenizer, { noise: '0.1' });
    expect(readPreferences(path, reader, '')).toEqual(rows);
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
    expect(message()).toMatchInlineSnapshot(`
      "DataError: preference.arrow: row 0: chosen and rejected are the same; expected two different responses. Mend or remove the row.
      preference.arrow: row 1: prompt_length: expected the tokens that both sequences begin with, received 3, where they differ. Mend or remove the row.
      preference.arrow: row 2: chosen_ids: no response; expected more than 3 tokens, received 3. Mend or remove the row.
      preference.arrow: row 3: chosen_ids: too long; expected at most 8 tokens (the model's context), received 9. Mend or remove the row.
      preference.arrow: row 3: rejected_ids: expected ids below 259, received 400. Mend or remove the row.
      preference.arrow: row 4: prompt_length: expected the tokens that both sequences begin with, received 0, where they differ. Mend or remove the row."
    `);
  });

  it('refuses pairs made with another tokenizer, naming both', async () => {
    await writePreferences(path, [pair([1, 7, 8, 9], [1, 7, 8, 2])], { ...tokenizer, hash: 'sha256:other' });
    expect(message()).toBe(
      `DataError: preference.arrow: made with another tokenizer; expected ${tokenizer.hash}, received sha256:other. ` +
        'Run npx tsx scripts/preferences.ts with this tokenizer, or use the tokenizer it was made with.',
    );
  });

  it('refuses a file without pairs', async () => {
    await writePreferences(path, [], tokenizer);
    expect(message()).toBe(
      'DataError: preference.arrow: no pairs; expected at least one. Run npx tsx scripts/preferences.ts.',
    );
  });
});
