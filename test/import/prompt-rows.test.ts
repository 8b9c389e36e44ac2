/** Rows of files as prompts: what they are taken for, and what of them is asked. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readPromptRows } from '../../src/import/prompt-rows.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();

/** Reads rows from a JSONL file. */
function read(rows: readonly unknown[], raw = false, badRows = 0) {
  writeFileSync(path('my.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return readPromptRows({ path: path('my.jsonl'), encoding: 'utf-8', badRows, raw });
}
const problems = (rows: readonly unknown[], raw = false, badRows = 0) =>
  problemsOf(() => read(rows, raw, badRows), path());
/** "system: a | user: b". */
const spoken = ({ rows }: Awaited<ReturnType<typeof read>>): string[] =>
  rows.map(({ content }) => content.messages.map(({ role, content: text }) => `${role}: ${text}`).join(' | '));
const linesOf = ({ lines }: Awaited<ReturnType<typeof read>>): string[] =>
  lines.map((line) => line.replaceAll(`${path('')}/`, ''));

const talk = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
  { role: 'user', content: 'Bye' },
];
const whole = 'system: Be brief. | user: Hi | assistant: Hello | user: Bye';

describe('prompts', () => {
  // The forms of TRL (prompt-only: standard and conversational), OpenAI, ShareGPT, Alpaca, LLaMA-Factory and our own tables.
  it.each([
    ['TRL, standard', { prompt: 'Why?' }, 'prompt texts (prompt)', 'user: Why?'],
    ['TRL, conversational', { prompt: talk }, 'conversations (prompt)', whole],
    ['OpenAI', { messages: talk }, 'conversations (messages)', whole],
    ['messages in a text', { messages: JSON.stringify(talk) }, 'conversations (messages)', whole],
    [
      'ShareGPT',
      { system: 'Be brief.', conversations: [{ from: 'human', value: 'Hi' }] },
      'conversations (conversations)',
      'system: Be brief. | user: Hi',
    ],
    ['Alpaca', { instruction: 'Add.', input: '2, 2', output: '4' }, 'prompt texts (instruction)', 'user: Add.\n2, 2'],
    ['questions', { question: 'Why?', answer: 'So.' }, 'prompt texts (question)', 'user: Why?'],
    ['texts', { text: 'Why?' }, 'prompt texts (text)', 'user: Why?'],
    ['pairs', { prompt: 'Why?', chosen: 'a', rejected: 'b', messages: talk }, 'prompt texts (prompt)', 'user: Why?'],
    [
      'earlier pairs',
      { instruction: 'Bye', history: [['Hi', 'Hello']] },
      'prompt texts (instruction)',
      'user: Hi | assistant: Hello | user: Bye',
    ],
    ['earlier texts', { prompt: 'Bye', history: ['Hi', 'Hello'], system: 'Be brief.' }, 'prompt texts (prompt)', whole],
  ])('are read from %s', async (_, row, name, expected) => {
    const found = await read([row]);
    expect(spoken(found)).toEqual([expected]);
    expect(linesOf(found)[0]).toBe(`prompts  my.jsonl: taken for ${name}; train 1 rows`);
  });

  it('leave the last answer of a conversation out, and say how often', async () => {
    const ended = [...talk, { role: 'assistant', content: 'So long' }];
    const found = await read([{ messages: talk }, { messages: ended }, { messages: ended.slice(1) }]);
    expect(spoken(found)).toEqual([whole, whole, whole.slice('system: Be brief. | '.length)]);
    expect(linesOf(found)).toContain(
      '  not as they stood:  ends with an answer: it is left out, and what stands before it is the prompt 2 (my.jsonl:2, my.jsonl:3)',
    );
  });

  it('come from files of other kinds, several at once, and keep splits of any name', async () => {
    mkdirSync(path('folder'));
    writeFileSync(path('folder', 'a.csv'), 'question,split\n"Why, then?",train\nHow?,valid\n');
    writeFileSync(path('folder', 'b.json'), JSON.stringify([{ prompt: 'When?', split: 'ppo' }]));
    const found = await readPromptRows({ path: path('folder'), encoding: 'utf-8', badRows: 0, raw: false });
    expect(found.rows.map(({ split, content }) => [split, content.messages[0]?.content])).toEqual([
      ['train', 'Why, then?'],
      ['validation', 'How?'],
      ['ppo', 'When?'],
    ]);
    expect(found.lines[0]).toContain('taken for prompt texts (question) in ');
    expect(found.lines[0]).toContain('prompt texts (prompt) in ');
  });

  it('that are gone on with stay as they stand, and are no conversations', async () => {
    const found = await read([{ prompt: ' Once upon\n', system: 'x' }], true);
    expect(spoken(found)).toEqual(['user:  Once upon\n']);
    expect(await problems([{ prompt: 'a' }, { prompt: talk }], true)).toEqual([
      'my.jsonl: 1 of 2 rows cannot be used, more than prompts.badRows 0 allows: wrong type 1.',
      expect.stringContaining('my.jsonl:2: "prompt": expected text, as prompts.raw goes on with it, received'),
      'Mend the rows, or raise prompts.badRows.',
    ]);
  });

  it('that cannot be used are counted by reason, up to a share of the rows', async () => {
    const rows = [
      ...Array.from({ length: 18 }, (_, i) => ({ prompt: `Why ${i}?` })),
      { prompt: ' ' },
      { prompt: [{ role: 'assistant', content: 'Hello' }] },
    ];
    const found = await read(rows, false, 0.1);
    expect(found.rows).toHaveLength(18);
    expect(linesOf(found)[1]).toBe('  left out 2 of 20 rows:  empty text 1 (my.jsonl:19); no turns 1 (my.jsonl:20)');
    expect((await problems(rows, false, 0.05))[0]).toBe(
      'my.jsonl: 2 of 20 rows cannot be used, more than prompts.badRows 0.05 allows: empty text 1, no turns 1.',
    );
  });

  it('keep calls and results of tools, and what may be called', async () => {
    const tool_calls = [{ type: 'function', function: { name: 'f', arguments: {} } }];
    const asked = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: '', tool_calls },
      { role: 'tool', content: 'b' },
    ];
    const tools = [{ name: 'f' }];
    const { rows, lines } = await read([
      { messages: asked, tools },
      { messages: [...asked, { role: 'assistant', content: 'c' }], tools: JSON.stringify(tools) },
      { messages: asked.slice(0, 2), tools: [] },
    ]);
    const called = [asked[0], { ...asked[1], tool_calls: JSON.stringify(tool_calls) }, asked[2]];
    expect(rows.map(({ content }) => content)).toEqual([
      { messages: called, tools },
      { messages: called, tools },
      { messages: called.slice(0, 1) },
    ]);
    expect(lines.join('\n')).not.toContain('not used');
    expect((await problems([{ messages: asked, tools: '{}' }]))[0]).toContain('none is left: wrong type 1.');
  });

  it('are not taken from fields that are something else', async () => {
    expect(await problems([{ chosen: 'a', rejected: 'b' }])).toEqual([
      'my.jsonl: no prompts were recognized in the fields chosen, rejected (first row: {"chosen":"a","rejected":"b"}).',
      'A prompt is',
      expect.stringContaining('  a text: prompt, question, '),
      expect.stringContaining('  or a list of {role|from, content|value}: prompt, messages, '),
    ]);
    expect(await problems([])).toEqual(['my.jsonl: holds no rows; expected at least one.']);
  });
});
