import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { showTable } from '../../scripts/show.ts';
import { writeInstruct } from '../../src/examples/instruction-table.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { int32, int32List } from '../../src/tables/columns.ts';
import { instructRow } from '../helpers/instruct-row.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'show-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'instruct.arrow');

async function write(hash?: string): Promise<void> {
  const tokenizer = byteTokenizer();
  for (const [name, text] of Object.entries(tokenizer.files)) await atomicWrite(join(folder, name), text);
  const row = instructRow(Int32Array.of(1, ...tokenizer.encode('a\nb'), 2), Int32Array.of(0, 0, 0, 1, 1));
  await writeInstruct(path, [row, row], { ...tokenizer, ...(hash !== undefined && { hash }) });
}

it('shows columns with descriptions, and rows with their tokens spelt out', async () => {
  await write();
  const text = showTable(path, { rows: 1, tokenizers: [folder], color: false });
  expect(text).toContain('2 rows, 14 columns');
  expect(text).toMatch(
    /loss_mask\s+List<Int32>\s+1 on the tokens that are learned: responses and their EOS; 0 on BOS and prompts\./,
  );
  expect(text).toMatch(/tokenizer: sha256:[0-9a-f]{64}/);
  expect(text).toMatch(/input_ids\s+<\|bos\|> a ↵ b <\|eos\|>\n/);
  expect(text).toMatch(/loss_mask\s+0 0 0 1 1\n/);
  expect(text).not.toContain('row 1');
});

it('colours learned tokens apart from the others', async () => {
  await write();
  const text = showTable(path, { rows: 1, tokenizers: [folder], color: true });
  expect(text).toContain('\u001b[32mb\u001b[39m \u001b[32m<|eos|>\u001b[39m');
  expect(text).toContain('\u001b[90m<|bos|>\u001b[39m \u001b[90ma\u001b[39m');
});

it('shows ids where the tokenizer is another one, or none is given', async () => {
  await write('sha256:other');
  expect(showTable(path, { rows: 1, tokenizers: [folder], color: false })).toMatch(/input_ids\s+1 \d+ \d+ \d+ 2\n/);
  expect(showTable(path, { rows: 1, tokenizers: ['no-such-folder'], color: false })).toMatch(
    /input_ids\s+1 \d+ \d+ \d+ 2\n/,
  );
});

it('says the figures of a tokenized table in words', async () => {
  await write();
  expect(showTable(path, { rows: 0, tokenizers: [], color: false })).toContain(
    'statistics: 2 examples, 10 tokens (40 % learned), longest 5',
  );
});

it('colours the responses of preference pairs apart from their prompt', async () => {
  const tokenizer = byteTokenizer();
  const pairs = join(folder, 'pairs.arrow');
  const columns = { chosen_ids: int32List('x'), rejected_ids: int32List('x'), prompt_length: int32('x') };
  const ids = (text: string): Int32Array => Int32Array.of(1, ...tokenizer.encode(text), 2);
  await write();
  await writeTable(pairs, columns, [{ chosen_ids: ids('ab'), rejected_ids: ids('ac'), prompt_length: 2 }]);
  const text = showTable(pairs, { rows: 1, tokenizers: ['none', folder], color: true });
  expect(text).toContain('\u001b[90ma\u001b[39m \u001b[32mb\u001b[39m \u001b[32m<|eos|>\u001b[39m');
  expect(text).toContain('\u001b[90ma\u001b[39m \u001b[32mc\u001b[39m \u001b[32m<|eos|>\u001b[39m');
});

it('refuses a number of rows that is none', () => {
  expect(() => showTable(path, { rows: Number('many'), tokenizers: [], color: false })).toThrow(
    '--rows: expected a whole number of at least 0, received NaN. Correct it.',
  );
});
