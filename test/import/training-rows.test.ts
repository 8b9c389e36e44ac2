import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { TrainingFiles, TrainingRow } from '../../src/import/training-rows.ts';
import { readTrainingRows } from '../../src/import/training-rows.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const read = (name: string, more: Partial<TrainingFiles> = {}) =>
  readTrainingRows({ path: path(name), shape: 'auto', encoding: 'utf-8', badRows: 0.1, ...more });
const readOf = (rows: readonly unknown[], more: Partial<TrainingFiles> = {}) => {
  writeFileSync(path('a.jsonl'), jsonl(rows));
  return read('a.jsonl', more);
};

const refused = (work: () => unknown) => problemsOf(work, path());

/** "system: …" with "(not learned)" where that is so, for each message. */
const spoken = ({ content }: TrainingRow): string[] =>
  typeof content === 'string'
    ? [content]
    : content.messages.map(
        ({ role, content: text, learned }) => `${role}: ${text}${learned === false ? ' (not learned)' : ''}`,
      );
const of = async (rows: readonly unknown[], more: Partial<TrainingFiles> = {}) =>
  (await readOf(rows, more)).rows.map(spoken);

describe('shapes as they are published', () => {
  test('messages: OpenAI and TRL', async () => {
    // https://huggingface.co/docs/trl/dataset_formats, "Conversational".
    const row = {
      messages: [
        { role: 'user', content: 'Hello, how are you?' },
        { role: 'assistant', content: "I'm doing great. How can I help you today?" },
        { role: 'user', content: "I'd like to show off how chat templating works!" },
        { role: 'assistant', content: 'Go on.' },
      ],
    };
    const { rows, kind, lines } = await readOf([row]);
    expect(kind).toBe('conversation');
    expect(rows.map(spoken)).toEqual([
      [
        'user: Hello, how are you?',
        "assistant: I'm doing great. How can I help you today?",
        "user: I'd like to show off how chat templating works!",
        'assistant: Go on.',
      ],
    ]);
    expect(rows[0]).toMatchObject({ id: 'a-1', split: 'train', where: `${path('a.jsonl')}:1` });
    expect(lines).toEqual([`data  ${path('a.jsonl')}: taken for messages (messages); train 1 rows`]);
  });

  test('ShareGPT: axolotl and LLaMA-Factory', async () => {
    // LLaMA-Factory data/README.md, "Sharegpt Format", without tools.
    const row = {
      conversations: [
        { from: 'human', value: 'user instruction' },
        { from: 'gpt', value: 'model response' },
      ],
      system: 'system prompt (optional)',
      tools: '',
    };
    expect(await of([row])).toEqual([
      ['system: system prompt (optional)', 'user: user instruction', 'assistant: model response'],
    ]);
  });

  test('Alpaca with input, system and history: LLaMA-Factory', async () => {
    // LLaMA-Factory data/README.md, "Alpaca Format": the prompt is instruction\ninput; history is learned too.
    const row = {
      instruction: 'user instruction (required)',
      input: 'user input (optional)',
      output: 'model response (required)',
      system: 'system prompt (optional)',
      history: [
        ['user instruction in the first round', 'model response in the first round'],
        ['user instruction in the second round', 'model response in the second round'],
      ],
    };
    expect(await of([row])).toEqual([
      [
        'system: system prompt (optional)',
        'user: user instruction in the first round',
        'assistant: model response in the first round',
        'user: user instruction in the second round',
        'assistant: model response in the second round',
        'user: user instruction (required)\nuser input (optional)',
        'assistant: model response (required)',
      ],
    ]);
  });

  test('Alpaca: Stanford’s own rows, which carry the whole once more as a text; Dolly’s names', async () => {
    const stanford = { instruction: 'Give three tips.', input: '', output: '1. Eat', text: 'Below is an …' };
    const { rows, lines } = await readOf([stanford]);
    expect(rows.map(spoken)).toEqual([['user: Give three tips.', 'assistant: 1. Eat']]);
    expect(lines[1]).toBe('  fields not used:  text');
    const dolly = { instruction: 'When?', context: 'In 2000 …', response: '2000', category: 'closed_qa' };
    expect(await of([dolly])).toEqual([['user: When?\nIn 2000 …', 'assistant: 2000']]);
    // axolotl's "oasst" spells them in capitals.
    expect(await of([{ INSTRUCTION: 'Why?', RESPONSE: 'So.' }])).toEqual([['user: Why?', 'assistant: So.']]);
  });

  test('self-instruct: each instance is a conversation', async () => {
    const task = {
      id: 'seed_task_1',
      instruction: 'Add the numbers.',
      instances: [
        { input: '2, 2', output: '4' },
        { input: '', output: 'Which?' },
      ],
      is_classification: false,
    };
    const { rows } = await readOf([task]);
    expect(rows.map(spoken)).toEqual([
      ['user: Add the numbers.\n2, 2', 'assistant: 4'],
      ['user: Add the numbers.', 'assistant: Which?'],
    ]);
    expect(rows.map(({ id }) => id)).toEqual(['a-1-1', 'a-1-2']);
  });

  test('prompt and completion: TRL, as texts and as messages of which the prompt is not learned', async () => {
    expect(await of([{ prompt: 'The sky is', completion: ' blue.' }])).toEqual([
      ['user: The sky is', 'assistant: blue.'],
    ]);
    const row = {
      prompt: [
        { role: 'user', content: 'What color is the sky?' },
        { role: 'assistant', content: 'Which?' },
        { role: 'user', content: "Earth's." },
      ],
      completion: [{ role: 'assistant', content: 'It is blue.' }],
    };
    expect(await of([row])).toEqual([
      ['user: What color is the sky?', 'assistant: Which? (not learned)', "user: Earth's.", 'assistant: It is blue.'],
    ]);
  });

  test.each([
    ['GSM8K', { question: 'How many?', answer: '72' }],
    ['OpenOrca', { id: 'a', question: 'How many?', response: '72' }],
    ['MetaMathQA', { type: 'AnsAug', query: 'How many?', original_question: 'How?', response: '72' }],
    ['numbers are texts', { question: 'How many?', answer: 72 }],
    ['pairs of input and output', { input: 'How many?', output: '72' }],
  ])('questions with answers: %s', async (_, row) => {
    expect(await of([row])).toEqual([['user: How many?', 'assistant: 72']]);
  });

  test('plain text', async () => {
    const { kind, rows } = await readOf([{ text: 'The sky is blue.\nIt is.' }]);
    expect([kind, rows.map(spoken)]).toEqual(['text', [['The sky is blue.\nIt is.']]]);
  });

  test('messages as JSON within a CSV, and a gzip with a byte order mark', async () => {
    writeFileSync(
      path('c.csv'),
      'messages\n"[{""from"": ""human"", ""value"": ""q""}, {""from"": ""gpt"", ""value"": ""a""}]"\n',
    );
    expect((await read('c.csv')).rows.map(spoken)).toEqual([['user: q', 'assistant: a']]);
    writeFileSync(path('d.jsonl.gz'), gzipSync(`\ufeff${jsonl([{ question: 'q', answer: 'ä' }])}`));
    expect((await read('d.jsonl.gz')).rows.map(spoken)).toEqual([['user: q', 'assistant: ä']]);
  });
});

describe('what is said and refused', () => {
  test('splits by names of files; rows mended, left out, and fields not used are counted', async () => {
    const good = Array.from({ length: 18 }, (_, i) => ({ question: `q${i}`, answer: 'a', source: 'x' }));
    writeFileSync(path('train.jsonl'), jsonl([...good, { question: 'q', answer: '', source: 'x' }]));
    writeFileSync(path('dev.jsonl'), jsonl([{ question: ' q ', answer: 'a' }]));
    const { lines, rows } = await read('');
    expect(rows.map(({ split }) => split).filter((split) => split === 'validation')).toHaveLength(1);
    const [taken, ...rest] = lines.map((line) => line.replaceAll(path(''), ''));
    expect(taken).toContain('taken for prompt_completion (question, answer)');
    expect(taken).toContain('validation 1, train 18 rows');
    expect(rest.join('\n')).toMatch(/left out 1 of 20 rows: {2}empty text 1 \(\/?train.jsonl:19\)/);
    expect(rest.join('\n')).toMatch(/not as they stood: {2}white space around a text, cut off 1 \(\/?dev.jsonl:1\)/);
    expect(rest.join('\n')).toContain('fields not used:  source (18 rows)');
  });

  test('more unusable rows than allowed are an error with reasons and places, and so are all', async () => {
    const rows = [{ question: 'q', answer: 'a' }, { question: 'q', answer: '' }, { question: 'q' }];
    const problems = await refused(() => readOf(rows));
    expect(problems[0]).toBe(
      `a.jsonl: 2 of 3 rows cannot be used, more than data.badRows 0.1 allows: empty text 1, missing field 1.`,
    );
    expect(problems[1]).toContain('a.jsonl:2: "answer": expected text, received none');
    expect((await readOf(rows, { badRows: 0.7 })).rows).toHaveLength(1);
    const none = await refused(() => readOf([{ question: 'q', answer: '' }], { badRows: 1 }));
    expect(none[0]).toContain('1 of 1 rows cannot be used, and none is left: empty text 1.');
  });

  test('rows that are nothing known: fields found, shapes known', async () => {
    const problems = await refused(() => readOf([{ id: 1, title: 'x', body: 'y' }]));
    expect(problems[0]).toContain('nothing to learn from was recognized in the fields id, title, body (first row: ');
    expect(problems.join('\n')).toContain('prompt|question|query|problem|input and completion|response|answer');
    expect((await refused(() => readOf([{ chosen: 'a', rejected: 'b' }])))[0]).toContain('npm run reward');
    expect((await refused(() => readOf([{ prompt: 'only' }])))[0]).toContain('in the fields prompt');
  });

  test('rows that could be two things ask for data.shape, which settles it', async () => {
    const messages = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'm' },
    ];
    const row = { problem: 'q', solution: 's', messages };
    expect((await refused(() => readOf([row])))[0]).toContain(
      'its rows can be taken for messages (messages) or prompt_completion (problem, solution). Say which: data.shape=messages',
    );
    expect(await of([row], { shape: 'messages' })).toEqual([['user: q', 'assistant: m']]);
    const answers = { question: 'q', response: 'r', answer: 'a' };
    expect((await refused(() => readOf([answers])))[0]).toContain('response and answer could each be the completion');
    expect(await of([answers], { shape: 'prompt_completion' })).toEqual([['user: q', 'assistant: r']]);
  });

  test('texts and conversations in one folder, empty files, other encodings', async () => {
    writeFileSync(path('one.jsonl'), jsonl([{ text: 't' }]));
    writeFileSync(path('two.jsonl'), jsonl([{ question: 'q', answer: 'a' }]));
    expect((await refused(() => read('')))[0]).toMatch(/one.jsonl holds texts and .*two.jsonl conversations/);
    writeFileSync(path('empty.jsonl'), '\n');
    expect(await refused(() => read('empty.jsonl'))).toEqual([`empty.jsonl: holds no rows; expected at least one.`]);
    writeFileSync(path('latin.csv'), Buffer.from('question,answer\nq,caf\xe9\n', 'latin1'));
    expect((await refused(() => read('latin.csv'))).join('\n')).toContain('not UTF-8');
    expect((await read('latin.csv', { encoding: 'windows-1252' })).rows.map(spoken)).toEqual([
      ['user: q', 'assistant: café'],
    ]);
    writeFileSync(path('wide.csv'), Buffer.from('\ufeffquestion,answer\nq,é\n', 'utf16le'));
    expect((await read('wide.csv')).rows.map(spoken)).toEqual([['user: q', 'assistant: é']]);
  });

  test('odd turns are mended and counted; those that change the sense make a row unusable', async () => {
    const turns = (...roles: string[]) => ({
      messages: roles.map((role, i) => ({ role, content: `${role} ${i}` })),
    });
    const { rows, lines } = await readOf([
      turns('user', 'assistant', 'user'),
      turns('assistant', 'user', 'assistant'),
      turns('user', 'user', 'assistant'),
    ]);
    expect(rows.map(spoken)).toEqual([
      ['user: user 0', 'assistant: assistant 1'],
      ['user: user 1', 'assistant: assistant 2'],
      ['user: user 0\n\nuser 1', 'assistant: assistant 2'],
    ]);
    expect(lines[1]).toContain('turn of the user after the last answer, left out 1');
    const silent = {
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a', weight: 0 },
      ],
    };
    expect((await refused(() => readOf([silent])))[0]).toContain('no answer 1');
  });
});
