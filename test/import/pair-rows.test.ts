/** Preference pairs in the shapes that people publish them in, and what is said of rows that are none. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PairRow } from '../../src/import/pair-rows.ts';
import { readPairRows } from '../../src/import/pair-rows.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const read = (name: string, more: { groupBy?: string; badRows?: number } = {}) =>
  readPairRows(path(name), { groupBy: null, badRows: 0.1, ...more });
const readOf = (rows: readonly unknown[], more: { groupBy?: string; badRows?: number } = {}) => {
  writeFileSync(path('a.jsonl'), jsonl(rows));
  return read('a.jsonl', more);
};
const refused = (work: () => unknown) => problemsOf(work, path());

/** The conversation and the two answers, the better one first. */
const told = ({ prompt, chosen, rejected }: PairRow): string[] => [
  ...prompt.messages.map(({ role, content }) => `${role}: ${content}`),
  chosen.content,
  rejected.content,
];
const of = async (rows: readonly unknown[]) => (await readOf(rows)).rows.map(told);
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const system = (content: string) => ({ role: 'system', content });

// https://huggingface.co/docs/trl/dataset_formats, "Preference" and "Unpaired preference".
describe('TRL', () => {
  const sky = [['user: The sky is', 'blue.', 'green.']];
  const asked = [['user: What color is the sky?', 'It is blue.', 'It is green.']];
  const color = user('What color is the sky?');
  test.each([
    ['explicit, standard', { prompt: 'The sky is', chosen: ' blue.', rejected: ' green.' }, sky],
    ['implicit, standard', { chosen: 'The sky is blue.', rejected: 'The sky is green.' }, sky],
    [
      'implicit, words that begin alike',
      { chosen: 'The sky is grey.', rejected: 'The sky is green.' },
      [['user: The sky is', 'grey.', 'green.']],
    ],
    [
      'explicit, conversational',
      { prompt: [color], chosen: [assistant('It is blue.')], rejected: [assistant('It is green.')] },
      asked,
    ],
    [
      'implicit, conversational',
      { chosen: [color, assistant('It is blue.')], rejected: [color, assistant('It is green.')] },
      asked,
    ],
    [
      'text beside whole conversations (UltraFeedback)',
      {
        prompt: 'What color is the sky?',
        chosen: [color, assistant('It is blue.')],
        rejected: [color, assistant('It is green.')],
      },
      asked,
    ],
    [
      'text beside answers as messages',
      { prompt: 'What color is the sky?', chosen: [assistant('It is blue.')], rejected: [assistant('It is green.')] },
      asked,
    ],
  ])('%s', async (_, row, expected) => {
    expect(await of([row])).toEqual(expected);
  });

  test('unpaired: every liked completion against every other of its prompt', async () => {
    const rows = [
      { prompt: 'The sky is', completion: ' blue.', label: true },
      { prompt: 'The sea is', completion: ' deep.', label: true },
      { prompt: 'The sky is', completion: ' green.', label: false },
      { prompt: 'The sky is', completion: ' red.', label: false },
    ];
    const { rows: found, lines } = await readOf(rows);
    expect(found.map(told)).toEqual([
      ['user: The sky is', 'blue.', 'green.'],
      ['user: The sky is', 'blue.', 'red.'],
    ]);
    expect(lines).toContain(`  no pair of: prompts with one rated answer 1 (${path('a.jsonl')}:2)`);
  });

  test('the system and earlier turns are kept, as both answers share them', async () => {
    const lead = [system('Be brief.'), user('Name a fruit.'), assistant('Apple.'), user('Another one?')];
    const expected = [
      [
        'system: Be brief.',
        'user: Name a fruit.',
        'assistant: Apple.',
        'user: Another one?',
        'Pear.',
        'I could go on.',
      ],
    ];
    const answers = { chosen: [assistant('Pear.')], rejected: [assistant('I could go on.')] };
    expect(await of([{ chosen: [...lead, ...answers.chosen], rejected: [...lead, ...answers.rejected] }])).toEqual(
      expected,
    );
    expect(await of([{ prompt: lead, ...answers }])).toEqual(expected);
    expect(await of([{ prompt: lead.slice(1), system: 'Be brief.', ...answers }])).toEqual(expected);
  });
});

test('LLaMA-Factory: ShareGPT and Alpaca preferences', async () => {
  // LLaMA-Factory data/README.md, "Preference Dataset".
  const sharegpt = {
    conversations: [{ from: 'human', value: 'user instruction' }],
    chosen: { from: 'gpt', value: 'chosen answer' },
    rejected: { from: 'gpt', value: 'rejected answer' },
  };
  expect(await of([sharegpt])).toEqual([['user: user instruction', 'chosen answer', 'rejected answer']]);
  const alpaca = { instruction: 'instruction', input: 'input', chosen: 'chosen answer', rejected: 'rejected answer' };
  expect(await of([alpaca])).toEqual([['user: instruction\ninput', 'chosen answer', 'rejected answer']]);
});

test('transcripts as Anthropic’s HH files hold them, whole and beside their prompt', async () => {
  // https://huggingface.co/datasets/Anthropic/hh-rlhf, the form of its rows.
  const prompt = '\n\nHuman: Name a fruit.\n\nAssistant: Apple.\n\nHuman: Another one?\n\nAssistant:';
  const expected = [['user: Name a fruit.', 'assistant: Apple.', 'user: Another one?', 'Pear.', 'No.']];
  expect(await of([{ chosen: `${prompt} Pear.`, rejected: `${prompt} No.` }])).toEqual(expected);
  expect(await of([{ prompt, chosen: ' Pear.', rejected: ' No.' }])).toEqual(expected);
});

describe('ranked groups', () => {
  const pairs = [
    ['user: q', 'best', 'middle'],
    ['user: q', 'best', 'worst'],
    ['user: q', 'middle', 'worst'],
  ];
  test.each([
    ['the best first', { prompt: 'q', ranked_responses: ['best', 'middle', 'worst'] }, [0, 0, 0]],
    ['with scores', { prompt: 'q', responses: ['worst', 'best', 'middle'], scores: [1, 4, 2] }, [2, 3, 1]],
    ['with ranks', { prompt: 'q', answers: ['middle', 'best', 'worst'], ranks: [2, 1, 3] }, [0, 0, 0]],
    // https://huggingface.co/datasets/openbmb/UltraFeedback: `instruction`, `completions` with `response` and `overall_score`.
    [
      'UltraFeedback',
      {
        instruction: 'q',
        completions: [
          { response: 'best', overall_score: 8.5 },
          { response: 'worst', overall_score: 3 },
          { response: 'middle', overall_score: 7 },
        ],
      },
      [1.5, 5.5, 4],
    ],
    // https://huggingface.co/datasets/berkeley-nest/Nectar: `prompt`, `answers` with `answer` and `rank`, 1 the best.
    [
      'Nectar',
      {
        prompt: '\n\nHuman: q\n\nAssistant: ',
        answers: [
          { answer: 'best', rank: 1 },
          { answer: 'middle', rank: 2 },
          { answer: 'worst', rank: 3 },
        ],
      },
      [0, 0, 0],
    ],
  ])('%s', async (_, row, margins) => {
    const { rows } = await readOf([row]);
    expect(rows.map(told)).toEqual(pairs);
    expect(rows.map(({ margin }) => margin)).toEqual(margins);
  });

  test('answers that tie or are the same make no pair, and a group of such is counted', async () => {
    const { rows, lines } = await readOf([
      { prompt: 'q', responses: ['a', 'b', 'c', 'b'], scores: [2, 1, 2, 3] },
      { prompt: 'r', responses: ['a', 'b'], scores: [1, 1] },
    ]);
    expect(rows.map(told)).toEqual([
      ['user: q', 'b', 'a'],
      ['user: q', 'b', 'c'],
      ['user: q', 'a', 'b'],
      ['user: q', 'c', 'b'],
    ]);
    expect(lines[1]).toBe(`  no pair of: groups whose answers all tie or are the same 1 (${path('a.jsonl')}:2)`);
  });

  test('answers of which nothing says which is better are refused', async () => {
    expect(await refused(() => readOf([{ prompt: 'q', responses: ['a', 'b'] }]))).toEqual([
      'a.jsonl: its 1 rows give no pair: no scores 1; expected one at least.',
      '  a.jsonl:1: "responses": nothing says which answer is better; expected scores, ranks, or the name ranked_responses where the best is first',
    ]);
  });
});

test('ratings, of several rows and files a prompt, apart by split', async () => {
  mkdirSync(path('rated'));
  const row = (prompt: string, response: string, rating: number | string) => ({ prompt, response, rating });
  writeFileSync(path('rated/train.jsonl'), jsonl([row('q', 'a', 3), row('q', 'b', '5'), row('r', 'c', 1)]));
  writeFileSync(path('rated/validation.csv'), 'prompt,response,rating\nq,d,2\nq,e,1\n');
  const { rows, lines } = await read('rated');
  expect(rows.map((pair) => [pair.split, ...told(pair), pair.margin])).toEqual([
    ['train', 'user: q', 'b', 'a', 2],
    ['validation', 'user: q', 'd', 'e', 1],
  ]);
  const files = ['train.jsonl', 'validation.csv'].map((name) => path('rated', name)).join(', ');
  expect(lines[0]).toBe(
    `pairs  ${path('rated')}: taken for ratings (prompt, response, rating) in ${files}; 2 pairs of 5 rows`,
  );
});

describe('tools', () => {
  const tools = [{ type: 'function', function: { name: 'weather' } }];
  const call = { name: 'weather', arguments: { city: 'Oslo' } };
  const called = [{ type: 'function', function: call }];
  const asked = [user('Weather?'), { ...assistant(''), tool_calls: [call] }, { role: 'tool', content: 'sunny' }];

  test('calls and results stay in the conversation, with what may be called', async () => {
    const first = { prompt: 'q', chosen: 'a', rejected: 'b' };
    const rows = [
      { prompt: asked, tools, chosen: 'Sunny.', rejected: 'Rain.' },
      {
        chosen: [...asked, assistant('Sunny.')],
        rejected: [...asked, assistant('Rain.')],
        tools: JSON.stringify(tools),
      },
      { prompt: asked, tools, responses: [assistant('Rain.'), assistant('Sunny.')], scores: [0, 1] },
      { prompt: asked, tools, response: 'Sunny.', rating: 1 },
      { prompt: asked, tools, response: 'Rain.', rating: 0 },
    ];
    const expected = {
      prompt: {
        messages: [user('Weather?'), { ...assistant(''), tool_calls: JSON.stringify(called) }, asked[2]],
        tools,
      },
      chosen: assistant('Sunny.'),
      rejected: assistant('Rain.'),
    };
    const shapes = [[first, rows[0]], rows.slice(1, 2), rows.slice(2, 3), rows.slice(3)];
    for (const given of shapes) {
      const { rows: found, lines } = await readOf(given);
      const { prompt, chosen, rejected } = found.at(-1) as PairRow;
      expect({ prompt, chosen, rejected }).toEqual(expected);
      expect(lines.join('\n')).not.toContain('not used');
    }
  });

  test('an answer may be a call, in pairs and in groups', async () => {
    const calls = { ...assistant(''), tool_calls: [call] };
    const pair = { prompt: 'Weather?', chosen: [calls], rejected: [assistant('No idea.')], tools };
    const group = {
      prompt: 'Weather?',
      responses: [assistant('No idea.'), { ...calls, score: 2 }],
      scores: [1, 2],
      tools,
    };
    for (const row of [pair, group]) {
      const { rows } = await readOf([row]);
      expect(rows.map(({ chosen, rejected }) => [chosen, rejected])).toEqual([
        [{ ...assistant(''), tool_calls: JSON.stringify(called) }, assistant('No idea.')],
      ]);
    }
  });
});

test('a field to group by, and where each pair is from', async () => {
  const rows = ['tea', 'rain'].map((topic, i) => ({ prompt: 'q', chosen: `a${i}`, rejected: 'b', topic }));
  const { rows: found, lines } = await readOf(rows, { groupBy: 'topic' });
  expect(found.map(({ group, where }) => [group, where])).toEqual([
    ['tea', `${path('a.jsonl')}:1`],
    ['rain', `${path('a.jsonl')}:2`],
  ]);
  expect(lines).toEqual([`pairs  ${path('a.jsonl')}: taken for pairs (chosen, rejected, prompt); 2 pairs of 2 rows`]);
  expect((await readOf(rows)).lines[1]).toBe('  fields not used: topic (2 rows)');
});

describe('rows that are no pair', () => {
  const good = Array.from({ length: 9 }, (_, i) => ({ prompt: `q${i}`, chosen: 'a', rejected: 'b' }));

  test('are left out and counted by reason, with their places', async () => {
    const { rows, lines } = await readOf([
      ...good,
      { prompt: 'q', chosen: 'a', rejected: 'a' },
      { prompt: 'q', chosen: 'a', rejected: '' },
    ]);
    expect(rows).toHaveLength(9);
    expect(lines).toEqual([
      `pairs  ${path('a.jsonl')}: taken for pairs (chosen, rejected, prompt); 9 pairs of 11 rows`,
      `  left out: same answers 1 (${path('a.jsonl')}:10)`,
      `  left out: missing field 1 (${path('a.jsonl')}:11)`,
    ]);
  });

  test.each([
    ['prompts differ', { chosen: [user('q'), assistant('a')], rejected: [user('r'), assistant('b')] }],
    ['no answer', { chosen: [user('q')], rejected: [user('q')] }],
    ['prompt differs', { prompt: 'other', chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] }],
    ['no prompt', { chosen: 'blue', rejected: 'green' }],
    ['no question', { prompt: [user('q'), assistant('a')], chosen: [assistant('b')], rejected: [assistant('c')] }],
    ['tool without a call', { prompt: [{ role: 'tool', content: 'x' }], chosen: 'a', rejected: 'b' }],
    ['wrong type', { prompt: 'q', chosen: 'a', rejected: 'b', tools: [1] }],
    ['not a number', { prompt: 'q', response: 'a', rating: 'good' }],
    ['wrong type', { prompt: 'q', responses: ['a', 'b'], scores: [1] }],
    ['one answer', { prompt: 'q', responses: ['a'], scores: [1] }],
  ])('%s', async (reason, row) => {
    const problems = await refused(() => readOf([row]));
    expect(problems[0]).toBe(`a.jsonl: its 1 rows give no pair: ${reason} 1; expected one at least.`);
    expect(problems[1]).toMatch(/^ {2}a\.jsonl:1: \S/);
  });

  test('more than allowed are an error: rows of two shapes', async () => {
    const rows = [...good, { prompt: 'q', response: 'a', rating: 1 }, { prompt: 'q', response: 'b', rating: 2 }];
    const problems = await refused(() => readOf(rows));
    expect(problems[0]).toBe('a.jsonl: 2 of 11 rows cannot be used, more than badRows 0.1 allows: missing field 2.');
    expect(problems[1]).toBe('  a.jsonl:10: "chosen": expected chosen, received none');
    expect(problems.at(-1)).toBe('Mend the rows, or raise badRows.');
    expect((await readOf(rows, { badRows: 0.2 })).rows).toHaveLength(9);
  });

  test('ties alone, no rows, and nothing known are errors', async () => {
    expect(await refused(() => readOf([{ prompt: 'q', responses: ['a', 'b'], scores: [1, 1] }]))).toEqual([
      'a.jsonl: its 1 rows give no pair; expected one at least.',
      '  groups whose answers all tie or are the same: 1, first at a.jsonl:1',
    ]);
    expect(await refused(() => readOf([]))).toEqual(['a.jsonl: holds no rows; expected at least one.']);
    const problems = await refused(() => readOf([{ question: 'q', answer: 'a' }]));
    expect(problems[0]).toBe(
      'a.jsonl: no judged answers are recognized in the fields question, answer (first row: {"question":"q","answer":"a"}).',
    );
    expect(problems.join('\n')).toContain('prompt and ranked_responses: a list, the best first');
  });

  test('a prompt with more answers than can be compared is refused', async () => {
    const rows = Array.from({ length: 65 }, (_, i) => ({ prompt: 'Say something.', response: `a${i}`, score: i }));
    expect(await refused(() => readOf(rows))).toEqual([
      'a.jsonl:1: its prompt has 65 answers; expected at most 64, which make 2,016 pairs. Keep fewer of them, or draw pairs: npm run rating-pairs.',
    ]);
  });
});
