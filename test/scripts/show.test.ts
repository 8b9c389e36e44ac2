/** What people see of a table: tokens with what is learned, conversations turn by turn. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { showCommand, showTable } from '../../scripts/show.ts';
import { encodeExample } from '../../src/examples/instruction.ts';
import { writeInstruct } from '../../src/examples/instruction-table.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { int32, int32List, structList, utf8 } from '../../src/tables/columns.ts';
import { conversationColumns, messageRows } from '../../src/tables/message-column.ts';
import { instructRow } from '../helpers/instruct-row.ts';
import { talk } from '../helpers/messages.ts';
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
  expect(text).toMatch(/input_ids\s+<\|bos\|> a ↵ «b <\|eos\|>»\n/);
  expect(text).toMatch(/loss_mask\s+2 of 5 tokens are learned, in 1 part\n/);
  expect(text).not.toContain('row 1');
});

it('colours learned tokens apart from the others', async () => {
  await write();
  const text = showTable(path, { rows: 1, tokenizers: [folder], color: true });
  expect(text).toContain('\u001b[90m<|bos|> a ↵\u001b[39m \u001b[32mb <|eos|>\u001b[39m');
  expect(text).toContain('learned tokens: \u001b[32mlike this\u001b[39m');
});

it('marks every answer of a conversation that is learned', async () => {
  const tokenizer = byteTokenizer();
  await write();
  const messages = talk('a', 'b', 'c', 'd', 'e', 'f').map((message, i) => ({ ...message, learned: i !== 3 }));
  const options = { maxLength: 99, overlong: 'error', where: 'row' } as const;
  const example = encodeExample({ messages }, tokenizer, options);
  await writeInstruct(path, [instructRow(example!.ids, example!.learned)], tokenizer);
  const text = showTable(path, { rows: 1, tokenizers: [folder], color: false });
  expect(text).toContain('<|bos|> a ↵ «· b <|eos|>» c ↵ · d <|eos|> e ↵ «· f <|eos|>»');
  expect(text).toContain('6 of 16 tokens are learned, in 2 parts');
});

it('shows ids where the tokenizer is another one, or none is given, and says so', async () => {
  await write('sha256:other');
  const none = 'tokens as ids, for want of the tokenizer that the table was made with';
  for (const name of [folder, 'no-such-folder']) {
    const text = showTable(path, { rows: 1, tokenizers: [name], color: false });
    expect(text).toMatch(/input_ids\s+1 \d+ \d+ «\d+ 2»\n/);
    expect(text).toContain(`${none} (none of ${name} has it): name its folder with --tokenizer`);
  }
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
  expect(text).toContain('\u001b[90m<|bos|> a\u001b[39m \u001b[32mb <|eos|>\u001b[39m');
  expect(text).toContain('\u001b[90m<|bos|> a\u001b[39m \u001b[32mc <|eos|>\u001b[39m');
});

it('shows conversations turn by turn, with what was thought, calls of tools, and answers that are not learned', async () => {
  const call = { type: 'function', function: { name: 'weather', arguments: { city: 'Oslo' } } };
  const messages = messageRows([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Rain?\nOr not?' },
    { role: 'assistant', content: '', reasoning: 'Ask the tool.', tool_calls: JSON.stringify([call]) },
    { role: 'tool', content: '{"rain": 1}', name: 'weather', tool_call_id: 'c1' },
    { role: 'assistant', content: 'Yes.', learned: false },
  ]);
  const tools = JSON.stringify([{ type: 'function', function: { name: 'weather' } }]);
  const file = join(folder, 'chats.arrow');
  await writeTable(file, { id: utf8('x'), ...conversationColumns }, [{ id: 'a', messages, tools }]);
  const text = showTable(file, { rows: 1, tokenizers: [], color: false });
  expect(text.split('row 0\n')[1]).toBe(`  id        "a"
  messages
    system
      Be brief.
    user
      Rain?
      Or not?
    assistant
      reasoning
        Ask the tool.
      call weather {"city":"Oslo"}
    tool (weather, c1)
      {"rain": 1}
    assistant (weight 0: not learned)
      Yes.
  tools
    weather {"name":"weather"}`);
  expect(text).not.toContain('learned tokens');
  expect(text).toContain('List<Struct<role, content, learned, reasoning, tool_calls, tool_call_id, name>>');
  const colored = showTable(file, { rows: 1, tokenizers: [], color: true });
  expect(colored).toContain('\u001b[35m\u001b[1msystem\u001b[22m\u001b[39m');
  expect(colored).toContain('\u001b[32m\u001b[1massistant\u001b[22m\u001b[39m');
});

it('shows lists of messages in other spellings, what of them is not used, and what is no conversation', async () => {
  const fields = { from: utf8('x'), value: utf8('x'), note: utf8('x') };
  const columns = { conversations: structList('x', fields) };
  const file = join(folder, 'sharegpt.arrow');
  await writeTable(file, columns, [
    { conversations: [{ from: 'human', value: 'Hi', note: 'n' }] },
    { conversations: [{ from: 'alien', value: 'x'.repeat(3000), note: '' }] },
  ]);
  const [, first, second] = showTable(file, { rows: 2, tokenizers: [], color: false }).split(/row \d\n/);
  expect(first).toBe('  conversations\n    user\n      Hi\n    (key "note" of a message, not used)\n\n');
  expect(second).toMatch(/^ {2}conversations\n {6}\[\{"from":"alien","value":"x+… \(1,\d{3} more characters\)\n/);
  expect(second).toContain('(no conversation to learn from: "conversations[0].from": expected one of system, ');
});

it('has options, and wants one file', () => {
  expect(showCommand(['--help'], false)).toMatch(/--rows <n> +Rows to show\. \(default 3\)/);
  expect(() => showCommand([], false)).toThrow('show: expected one Arrow file. Usage: npm run show -- <file.arrow>');
  expect(() => showCommand(['x', '--rows', 'many'], false)).toThrow('--rows: expected a whole number of at least 0');
});
