/** Tasks of conversations: rows in files and in memory, what is wrong with them, and their place in a mixture. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderMixture } from '../../src/examples/render-mixture.ts';
import { seededRandom } from '../../src/random.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import { conversationColumns, messageRows } from '../../src/tables/message-column.ts';
import { conversationTask } from '../../src/tasks/conversations.ts';
import { holdOutRows } from '../../src/tasks/hold-out-share.ts';
import { drawMixture, planMixture } from '../../src/tasks/mixture.ts';
import { loadTasks } from '../../src/tasks/tasks.ts';
import { talk } from '../helpers/messages.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();
const system = { role: 'system', content: 'Be brief.' } as const;
const weighed = { role: 'assistant', content: 'Lyon.', learned: false } as const;
const tools = [{ type: 'function', function: { name: 'weather' } }];
const chats = [
  [system, ...talk('a', 'b', 'c', 'd')],
  [...talk('Capital?'), weighed, ...talk('Sure?', 'Paris.')],
];

function write(name: string, rows: readonly object[]): void {
  mkdirSync(path('rows'), { recursive: true });
  mkdirSync(path('templates'), { recursive: true });
  writeFileSync(path('rows', name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
const load = (...names: string[]) => loadTasks(path('rows'), path('templates'), names);

it('are the same from Arrow, from JSONL and from rows in memory', async () => {
  const rows = chats.map((messages, i) => ({ id: `r${i}`, split: 'train', messages: messageRows(messages) }));
  write(
    'lines.jsonl',
    chats.map((messages, i) => ({ id: `r${i}`, split: 'train', messages, tools: JSON.stringify(tools) })),
  );
  const columns = { id: utf8('.'), split: utf8('.'), ...conversationColumns };
  await writeTable(
    path('rows', 'table.arrow'),
    columns,
    rows.map((row) => ({ ...row, tools: JSON.stringify(tools) })),
  );
  const [lines, table] = load('table', 'lines');
  const known = chats.map((messages, i) => ({ where: '', id: `r${i}`, split: 'train', messages, tools }));
  const made = conversationTask('made', path('x'), known);
  for (const task of [lines!, table!, made]) {
    expect(task.rows.map(({ id, split, fields }) => [id, split, fields.messages, fields.tools])).toEqual(
      chats.map((messages, i) => [`r${i}`, 'train', messages, tools]),
    );
    expect(task).toMatchObject({ cluster: task.name, metric: 'gold' });
  }
});

it('are read from JSONL as the importer writes it, with null for what is missing', () => {
  write('nulls.jsonl', [{ id: 'a', split: 'train', messages: messageRows(chats[0]!), tools: null }]);
  expect(load('nulls')[0]!.rows[0]!.fields).toEqual({ messages: chats[0] });
});

it('are refused with the row and what is expected', async () => {
  const row = (messages: unknown, more: object = {}) => ({
    id: JSON.stringify(messages),
    split: 'train',
    messages,
    ...more,
  });
  write('bad.jsonl', [
    row([{ role: 'user', content: 'Hi' }]),
    row([{ role: 'robot', content: 'Hi' }]),
    row([{ role: 'user', content: 7 }]),
    row([{ role: 'assistant', content: 'x', weight: 0 }]),
    row([]),
    row('hi'),
    row(talk('a', 'b'), { tools: '{}' }),
    { id: 'z', split: 'nope', prompt: 'x' },
  ]);
  const all = await problemsOf(async () => load('bad'), path());
  expect(all.map((line) => line.replace('rows/bad.jsonl:', ''))).toEqual([
    `1: messages: the last is of the user; expected the assistant's, to learn from. Mend or remove the row.`,
    '2: messages: message 1: role: expected system, user, assistant, tool, received "robot". Mend or remove the row, or run npm run import with shape: messages.',
    '3: messages: message 1: content: expected text, received 7. Mend or remove the row, or run npm run import with shape: messages.',
    '4: messages: message 1: key "weight"; expected role, content, learned, reasoning, tool_calls, tool_call_id, name. npm run import reads other spellings. Mend or remove the row, or run npm run import with shape: messages.',
    '5: messages: expected a message or more, received none. Mend or remove the row, or run npm run import with shape: messages.',
    '6: messages: expected a list of messages, received "hi". Mend or remove the row, or run npm run import with shape: messages.',
    '7: tools: expected JSON text of a list of objects. Mend the row.',
    '8: unknown split "nope". Expected one of train, validation, test.',
    '8: messages: expected a list of messages, received nothing. Without templates a data set is one of conversations: add <dataset>.yaml, or import it with shape: messages.',
  ]);
});

it('beside a template file are refused, as templates render no messages', async () => {
  const yaml = `dataset: chat
cluster: talk
description: Conversations.
columns: [prompt, response]
answer: {column: response}
metric: exact_match
templates:
  - {id: plain, split: train, input: "{prompt}", target: "{response}"}
`;
  write('chat.jsonl', [{ id: 'a', split: 'train', messages: talk('a', 'b') }]);
  writeFileSync(path('templates', 'chat.yaml'), yaml);
  expect(await problemsOf(async () => load('chat'), path())).toEqual([
    'rows/chat.jsonl:1: a conversation ("messages"), which no template of templates/chat.yaml renders. Conversations need none: remove that file and name chat in data.tasks, or take "messages" out of the rows.',
  ]);
});

it('mix with templates, without solved examples, and are held out by seed', () => {
  const yaml = `dataset: sums
cluster: sums
description: Sums.
columns: [sum, result]
answer: {column: result}
metric: exact_match
templates:
  - {id: plain, split: train, input: "{sum}?", target: "{result}"}
`;
  write(
    'sums.jsonl',
    ['1', '2', '3'].map((sum) => ({ id: sum, split: 'train', sum, result: sum })),
  );
  write(
    'chat.jsonl',
    chats.map((messages, i) => ({ id: `r${i}`, split: 'train', messages })),
  );
  writeFileSync(path('templates', 'sums.yaml'), yaml);
  const tasks = load('sums', 'chat');
  const { held } = holdOutRows(tasks, 0.5, (name) => seededRandom(1, name));
  expect([...held.keys()].sort()).toEqual(['chat', 'sums']);
  const part = { share: 1, kinds: ['direct', 'conversation'], shots: [1] } as const;
  const options = {
    rule: 'weights',
    weights: { sums: 1, chat: 1 },
    maximumRate: null,
    examples: 8,
    rowCap: null,
  } as const;
  const plan = planMixture(tasks, { ...options, templateChoice: 'round_robin', parts: { all: part } });
  const items = drawMixture(plan, 'round_robin', seededRandom(1));
  const tokenizer = byteTokenizer();
  const fit = { maxLength: 99, overlong: 'error', learn: 'all' } as const;
  const rows = [...renderMixture(plan, [], items, tokenizer, fit).rows()].filter((row) => 'input_ids' in row);
  const chat = rows.find(({ row_id }) => row_id === 'r0')!;
  expect(rows.map(({ task, shots }) => [task, shots]).sort()).toEqual([
    ...Array(4).fill(['chat', 0]),
    ...Array(4).fill(['sums', 1]),
  ]);
  expect(chat).toMatchObject({ kind: 'conversation', prompt: 'Be brief.\n\na\n b\nc', target: 'd' });
  const [bos, eos] = [tokenizer.bosId!, tokenizer.eosId];
  const bytes = (text: string) => [...tokenizer.encode(text)];
  expect([...chat.input_ids]).toEqual([bos, ...bytes('Be brief.\n\na\n b'), eos, ...bytes('c\n d'), eos]);
});
