import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeImport } from '../../scripts/import.ts';
import type { ImportReport } from '../../src/import/import-report.ts';
import { readMessages } from '../../src/tables/message-column.ts';
import { talk } from '../helpers/messages.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { importRows } from './import-rows.ts';

const path = useTemporaryFolder();
const file = (rows: readonly unknown[]): string => {
  writeFileSync(path('a.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path('a.jsonl');
};
const conversations = (rows: readonly unknown[], config: Record<string, unknown> = {}) =>
  importRows(file(rows), { shape: 'messages', badRows: 'skip', ...config });

const user = (content: unknown, more = {}) => ({ role: 'user', content, ...more });
const assistant = (content: unknown, more = {}) => ({ role: 'assistant', content, ...more });
const system = (content: unknown) => ({ role: 'system', content });

/** What the rows of a table say, without keys that say nothing. */
const saidIn = (rows: readonly Readonly<Record<string, unknown>>[]) =>
  rows.map(({ messages }) => {
    const read = readMessages(messages);
    return 'problem' in read ? read.problem : read.messages;
  });
const exchange = talk('q', 'a');

/** Counts by name, with the first places. */
const counted = (entries: ImportReport['notes']) =>
  Object.fromEntries(
    Object.entries(entries).map(([what, { count, first }]) => [
      what,
      [count, ...first.map((place) => place.replace(`${path('')}`, '').replace(/^\//, ''))],
    ]),
  );

describe('keys of messages', () => {
  test('an answer with weight 0 is not learned; a row with none to learn from is left out', async () => {
    const { rows, report } = await conversations([
      // The two rows of the OpenAI cookbook's issue 387.
      {
        messages: [
          user('Capital of France?'),
          assistant('Lyon.', { weight: 0 }),
          user('Are you sure?'),
          assistant('Sorry: Paris.', { weight: 1 }),
        ],
      },
      { messages: [user('2+2?'), assistant('Five.', { weight: 0 })] },
      { messages: [user('q'), assistant('a', { train: false })] },
      { messages: [user('q'), assistant('a', { loss: false })] },
      { messages: [user('q'), assistant('a', { training: '0' })] },
      { messages: [user('q', { weight: 0 }), assistant('a', { weight: 1.0 })] },
      { messages: [user('q'), assistant('a', { weight: 0.5 })] },
    ]);
    expect(saidIn(rows)).toEqual([
      [
        ...talk('Capital of France?'),
        { ...assistant('Lyon.'), learned: false },
        ...talk('Are you sure?', 'Sorry: Paris.'),
      ],
      exchange,
      exchange,
    ]);
    expect(report.skipped['answers with weight 0']?.count).toBe(4);
    expect(report.skipped['answers with weight 0']?.first[0]).toContain('a.jsonl:2: "messages": every answer');
    expect(counted(report.notes)).toEqual({
      'key "weight" of a message, not used': [1, 'a.jsonl:7: messages[1]'],
    });
  });

  test('whole numbers of 64 bits, as Parquet and Arrow files hold them, are weights too', async () => {
    const { parseMessages } = await import('../../src/import/messages.ts');
    const notes: string[] = [];
    const rules = {
      role: 'role',
      content: 'content',
      accept: [],
      maximumField: 9,
      note: (what: string) => void notes.push(what),
    };
    const made = parseMessages('m', [user('q'), assistant('a', { weight: 0n })], rules);
    expect(made.map(({ learned }) => learned)).toEqual([undefined, false]);
    expect(notes).toEqual([]);
  });

  test('reasoning, calls and results of tools are kept, whatever they are called', async () => {
    const call = (args: unknown) => [{ id: 'c', type: 'function', function: { name: 'weather', arguments: args } }];
    const text = (given: unknown) => JSON.stringify(call(given));
    const called = { id: 'c', type: 'function', function: { name: 'weather', arguments: { city: 'Oslo' } } };
    const tools = [{ type: 'function', function: { name: 'weather' } }];
    const result = { role: 'tool', content: 'sunny', tool_call_id: 'c', name: 'weather' };
    const { rows, report } = await conversations([
      { messages: [user('q'), assistant('a', { reasoning_content: 'Hm.' })] },
      { messages: [user('q'), assistant('a', { thinking: 'Hm.' })] },
      {
        messages: [user('q'), assistant(null, { tool_calls: call('{"city": "Oslo"}') }), result, assistant('a')],
        tools,
      },
      { messages: [user('q'), assistant('a', { function_call: called.function })], tools: JSON.stringify(tools) },
      {
        messages: [
          user('q'),
          { role: 'function_call', content: JSON.stringify(called.function) },
          { role: 'observation', content: '7' },
          assistant('a'),
        ],
      },
    ]);
    const bare = JSON.stringify([{ type: 'function', function: called.function }]);
    expect(saidIn(rows)).toEqual([
      [user('q'), assistant('a', { reasoning: 'Hm.' })],
      [user('q'), assistant('a', { reasoning: 'Hm.' })],
      [user('q'), assistant('', { tool_calls: text({ city: 'Oslo' }) }), result, assistant('a')],
      [user('q'), assistant('a', { tool_calls: bare })],
      [user('q'), assistant('', { tool_calls: bare }), { role: 'tool', content: '7' }, assistant('a')],
    ]);
    expect(rows.map((row) => row.tools)).toEqual([null, null, JSON.stringify(tools), JSON.stringify(tools), null]);
    expect(report.notes).toEqual({});
  });

  test('other keys are counted by name with their lines, and empty ones passed over', async () => {
    const { rows, report, metadata } = await conversations([
      { messages: [user('q', { reasoning_content: 'x' }), assistant('a', { refusal: 'no' })] },
      { messages: [user('q', { name: 'Ann' }), assistant('a', { name: null })] },
      { messages: [user('q', { name: 'Bob', tool_calls: [], refusal: '' }), assistant('a')] },
    ]);
    expect(saidIn(rows)).toEqual([exchange, exchange, exchange]);
    expect(counted(report.notes)).toEqual({
      'key "reasoning_content" of a message, not used': [1, 'a.jsonl:1: messages[0]'],
      'key "refusal" of a message, not used': [1, 'a.jsonl:1: messages[1]'],
      'key "name" of a message, not used': [2, 'a.jsonl:2: messages[0]', 'a.jsonl:3: messages[0]'],
    });
    expect(JSON.parse(metadata.report ?? '')).toEqual(report);
    expect(describeImport(report).join('\n').replaceAll(`${path()}/`, '')).toContain(
      'rows written, but not as they stood:\n  key "reasoning_content" of a message, not used: 1, first at a.jsonl:1: messages[0]\n',
    );
  });

  test.each([
    [
      'tool call',
      [user('q'), assistant(null, { tool_calls: [{ id: 'c' }] })],
      '"messages[1].tool_calls": expected calls',
    ],
    ['tool call', [user('q'), { role: 'function_call', content: 'f(' }], '"messages[1].content": expected JSON'],
    ['tool without a call', [user('q'), { role: 'tool', content: '7' }], 'received user, tool; the rule is'],
    ['empty text', [user('q'), assistant('', { reasoning: 'Hm.' })], '"messages[1]": expected text, received none'],
    ['no answer', [user('q'), assistant('a'), { role: 'tool', content: '7' }], 'the assistant to have the last word'],
    ['unknown role', [{ role: 'critic', content: 'x' }], '"messages[0].role": expected one of system'],
    ['unknown role', [{ role: 'constructor', content: 'x' }], '"messages[0].role": expected one of system'],
    ['unknown role', [{ from: 'human', value: 'x' }], 'set messages.role: from'],
    [
      'content that is not text',
      [user([{ type: 'image_url', image_url: { url: 'x' } }])],
      '"messages[0].content[0]": a part of type "image_url"',
    ],
    [
      'content that is not text',
      [user([{ type: 'text', text: 'a' }, { type: 'input_audio' }])],
      '"messages[0].content[1]": a part of type "input_audio"',
    ],
    ['content that is not text', [user([7])], '"messages[0].content[0]": a part of type'],
    ['wrong type', [user({ text: 'a' })], '"messages[0].content": expected text, received {"text":"a"}'],
  ])('%s: rows that have no place in the table are refused by name', async (reason, messages, problem) => {
    const good = { messages: [user('q'), assistant('a')] };
    const { report } = await conversations([{ messages }, good]);
    expect(Object.keys(report.skipped)).toEqual([reason]);
    expect(report.skipped[reason]?.first[0]).toContain(`a.jsonl:1: ${problem.startsWith('"') ? problem : ''}`);
    expect(report.skipped[reason]?.first[0]).toContain(problem);
  });

  test('lists of text parts are texts: one as it is, several joined and counted', async () => {
    const part = (text: string, more = {}) => ({ type: 'text', text, ...more });
    const { rows, report } = await conversations([
      { messages: [user([part('q')]), assistant([part('a')])] },
      { messages: [user([part('Look: '), part('q', { cache_control: { type: 'ephemeral' } })]), assistant(['a'])] },
    ]);
    expect(saidIn(rows)).toEqual([exchange, talk('Look: q', 'a')]);
    expect(counted(report.notes)).toEqual({
      'key "cache_control" of a content part, not used': [1, 'a.jsonl:2: messages[0].content[1]'],
      'content in several parts, joined': [1, 'a.jsonl:2: messages[0].content'],
    });
  });

  test('a key for every row, as ids are, does not fill the report', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => ({ messages: [user('q', { [`k${i}`]: 1 }), assistant('a')] }));
    const { report } = await conversations(rows);
    expect(Object.keys(report.notes)).toHaveLength(101);
    expect(report.notes.others?.count).toBe(200);
  });
});

describe('system texts', () => {
  const share = (row: object) => ({
    conversations: [
      { from: 'human', value: 'q' },
      { from: 'gpt', value: 'a' },
    ],
    ...row,
  });
  const spelling = { messages: { role: 'from', content: 'value' } };

  test('of a column are kept, by row; where there is none it is empty', async () => {
    const rows = [share({ system: 'Be kind.' }), share({ system: null }), share({ system: '' }), share({})];
    const systems = [[system('Be kind.'), ...exchange], exchange, exchange, exchange];
    for (const source of [undefined, 'system', { from: 'system', default: '' }]) {
      const columns = { messages: 'conversations', ...(source === undefined ? {} : { system: source }) };
      const made = await conversations(rows, { ...spelling, columns });
      expect(saidIn(made.rows)).toEqual(systems);
      expect(made.report.unused).toEqual({});
    }
    const { rows: constant } = await conversations([share({})], {
      ...spelling,
      columns: { messages: 'conversations', system: { constant: 'Be brief.' } },
    });
    expect(saidIn(constant)).toEqual([[system('Be brief.'), ...exchange]]);
  });

  test('of a field with another name are kept where it is mapped, and a misspelt field is named', async () => {
    const rows = [share({ system_prompt: 'Be kind.' }), share({})];
    const mapped = { ...spelling, columns: { messages: 'conversations', system: 'system_prompt' } };
    expect(saidIn((await conversations(rows, mapped)).rows)).toEqual([[system('Be kind.'), ...exchange], exchange]);
    const misspelt = { ...spelling, columns: { messages: 'conversations', system: 'sytem_prompt' } };
    const { report } = await conversations(rows, misspelt);
    expect(report.absent).toEqual(['sytem_prompt']);
    expect(counted(report.unused)).toEqual({ system_prompt: [1, 'a.jsonl:1'] });
    expect(describeImport(report)).toContain('mapped fields that stand in no row: sytem_prompt');
  });

  test('in two places must be the same', async () => {
    const messages = [system('Be kind.'), user('q'), assistant('a')];
    const { rows, report } = await conversations([
      { messages, system: 'Be kind.' },
      { messages, system: 'Be brief.' },
    ]);
    expect(saidIn(rows)).toEqual([messages]);
    expect(report.skipped['two system texts']?.first[0]).toContain('a.jsonl:2: "system": "Be brief.", but the first');
  });

  test('that are empty count as none, and those of a developer are system texts', async () => {
    const { rows, report } = await conversations([
      { messages: [system(''), user('q'), assistant('a')] },
      { messages: [system(null), user('q'), assistant('a')] },
      { messages: [system(' \n'), user('q'), assistant('a')] },
      { messages: [{ role: 'developer', content: 'Be brief.' }, user('q'), assistant('a')] },
    ]);
    expect(saidIn(rows)).toEqual([exchange, exchange, exchange, [system('Be brief.'), ...exchange]]);
    expect(report.notes['empty system text, left out']?.count).toBe(3);
  });
});

describe('odd turns', () => {
  const odd: readonly (readonly [string, readonly object[], readonly object[], string])[] = [
    [
      'same_role',
      [user('x'), user('q'), assistant('a')],
      talk('x\n\nq', 'a'),
      'received user, user, assistant; the rule is',
    ],
    [
      'same_role',
      [user('q'), assistant('a'), assistant('b')],
      talk('q', 'a\n\nb'),
      'received user, assistant, assistant',
    ],
    [
      'same_role',
      [system('s'), system('t'), user('q'), assistant('a')],
      [system('s\n\nt'), ...exchange],
      'received system, system',
    ],
    [
      'assistant_first',
      [assistant('Welcome!'), user('q'), assistant('a')],
      exchange,
      'received assistant, user, assistant',
    ],
    [
      'assistant_first',
      [system('s'), assistant('Hi'), user('q'), assistant('a')],
      [system('s'), ...exchange],
      'received system, assistant',
    ],
    [
      'user_last',
      [user('q'), assistant('a'), user('Bye.')],
      exchange,
      'expected the assistant to have the last word, received user',
    ],
    ['empty_turn', [user(''), user('q'), assistant('a')], exchange, '"messages[0]": expected text, received none'],
  ];

  test.each(
    odd,
  )('%s: %j is refused with the rule and the setting, or mended and counted', async (setting, messages, mended, problem) => {
    const refused = await problemsOf(() => conversations([{ messages }], { badRows: 'fatal' }), path());
    expect(refused).toHaveLength(1);
    expect(refused[0]).toContain('a.jsonl:1: ');
    expect(refused[0]).toContain(problem);
    if (!problem.includes('system, system')) expect(refused[0]).toContain(`messages.accept: [${setting}]`);
    const { rows, report } = await conversations([{ messages }], { messages: { accept: [setting] }, badRows: 'fatal' });
    expect(saidIn(rows)).toEqual([mended]);
    expect(Object.values(report.notes).map(({ count }) => count)).toEqual([1]);
  });

  test('several at once', async () => {
    const messages = [assistant('Hi'), user('x'), assistant(''), user('q'), assistant('a'), user('z'), user('')];
    const accept = ['same_role', 'assistant_first', 'user_last', 'empty_turn'];
    const { rows } = await conversations([{ messages }], { messages: { accept }, badRows: 'fatal' });
    expect(saidIn(rows)).toEqual([talk('x\n\nq', 'a')]);
  });

  test.each([
    ['system text after the first turn', [user('q'), system('It is 10:00.'), assistant('a')]],
    ['no turns', []],
    ['no turns', [system('s')]],
    ['no answer', [user('q')]],
    ['empty text', [user('q'), assistant('  ')]],
  ])('%s cannot be accepted', async (reason, messages) => {
    const { report } = await conversations([{ messages }, { messages: [user('q'), assistant('a')] }]);
    expect(report.skipped[reason]?.count).toBe(1);
  });

  test('a joined answer of which a part has weight 0 is not learned', async () => {
    const messages = [user('q'), assistant('a', { weight: 0 }), assistant('b')];
    const { report } = await conversations([{ messages }, { messages: [user('q'), assistant('a')] }], {
      messages: { accept: ['same_role'] },
    });
    expect(report.skipped['answers with weight 0']?.count).toBe(1);
  });
});

describe('pairs of conversations', () => {
  const pairs = (rows: readonly unknown[], config: Record<string, unknown> = {}) =>
    importRows(file(rows), { shape: 'preference', ...config });

  test('say that turns were written into one prompt, and which keys were not used', async () => {
    const shared = [system('Be brief.'), user('x'), assistant('y'), user('q')];
    const { rows, report } = await pairs([
      { chosen: [...shared, assistant('a', { weight: 0 })], rejected: [...shared, assistant('b', { name: 'B' })] },
    ]);
    expect(rows[0]?.prompt).toBe('Be brief.\n\nUser: x\n\nAssistant: y\n\nUser: q');
    expect(counted(report.notes)).toEqual({
      'key "name" of a message, not used': [1, 'a.jsonl:1: rejected[4]'],
      'turns before the last prompt (or a system text), written into one prompt': [1, 'a.jsonl:1: prompt'],
    });
  });

  test('a prompt beside them that says the same is fine, and another one is named', async () => {
    // As UltraFeedback's binarized files hold them.
    const both = { chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] };
    const { report } = await pairs(
      [
        { prompt: 'q', ...both },
        { prompt: 'p', ...both },
      ],
      { columns: { prompt: 'prompt' } },
    );
    expect(counted(report.notes)).toEqual({
      '"prompt" beside whole conversations that begin otherwise, not used': [1, 'a.jsonl:2: prompt'],
    });
  });

  test("spaces that are cut from a transcript's turns are counted, but for the one behind the colon", async () => {
    const { rows, report } = await pairs([
      { chosen: '\n\nHuman: q\n\nAssistant: a', rejected: '\n\nHuman: q\n\nAssistant: b' },
      { chosen: '\n\nHuman: q \n\nAssistant: a', rejected: '\n\nHuman: q\n\nAssistant: b' },
    ]);
    expect(rows.map(({ prompt, chosen }) => [prompt, chosen])).toEqual([
      ['q', 'a'],
      ['q', 'a'],
    ]);
    expect(counted(report.notes)).toEqual({
      'spaces around a turn of a transcript, cut off': [1, 'a.jsonl:2: chosen[0]'],
    });
  });

  test('answers of a ranked group that tie are counted', async () => {
    const { rows, report } = await importRows(file([{ prompt: 'q', answers: ['a', 'b', 'c'], scores: [2, 1, 1] }]), {
      shape: 'ranked',
    });
    expect(rows).toHaveLength(2);
    expect(Object.values(report.notes).map(({ count }) => count)).toEqual([1]);
  });
});
