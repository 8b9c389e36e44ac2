import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { readPairRows } from '../../src/import/pair-rows.ts';
import { readPromptRows } from '../../src/import/prompt-rows.ts';
import { readTrainingRows } from '../../src/import/training-rows.ts';
import { type Message, saidText } from '../../src/message.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
// PLUMBLINE_FUZZ=10000 for a longer run.
const numRuns = Number(process.env.PLUMBLINE_FUZZ ?? 150);
const options = { encoding: 'utf-8', badRows: 1 } as const;

const said = (role: string, content: string): Record<string, unknown> => ({ role, content });
const talk = [
  said('system', 'Be brief.'),
  said('user', 'Two plus two?'),
  said('assistant', 'Four.'),
  said('user', 'Sure?'),
];

/** Rows as people have them. */
const trained = [
  {
    messages: [...talk, { ...said('assistant', 'Yes ✓'), weight: 0 }, said('user', 'Good.'), said('assistant', 'Bye.')],
  },
  {
    conversations: [
      { from: 'human', value: 'Hello' },
      { from: 'gpt', value: 'Hi' },
    ],
    system: 'Be kind.',
  },
  { instruction: 'Add.', input: '2, 2', output: '4', history: [['a', 'b']] },
  { question: 'Who?', answer: 'Ada.', id: 12_345_678_901_234 },
  { text: 'A whole document.\nOf two lines.' },
] as const;
const judged = [
  { prompt: talk, chosen: [said('assistant', 'Yes.')], rejected: [said('assistant', 'No.')], margin: 0.5 },
  { chosen: '\n\nHuman: Hi\n\nAssistant: Hello', rejected: '\n\nHuman: Hi\n\nAssistant: What' },
  { prompt: 'q', responses: ['a', 'b', 'c'], scores: [3, 1, 2] },
  { prompt: 'q', response: 'a', rating: 4 },
] as const;

/** A value of a row that is another one, is gone, or stands in another place. */
function damaged(value: unknown): fc.Arbitrary<unknown> {
  const other = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      '',
      ' ',
      0,
      -1,
      Number.MAX_VALUE,
      true,
      [],
      {},
      '[{"role":"user"}]',
      '<|im_end|>',
      '\ud800',
      '\u0000',
      talk,
    ),
    fc.jsonValue({ maxDepth: 2 }),
  );
  if (Array.isArray(value) && value.length > 0) {
    const list: readonly unknown[] = value;
    return fc.nat({ max: list.length - 1 }).chain((at) =>
      fc.oneof(
        other,
        fc.constant(list.toSpliced(at, 1)),
        fc.constant([...list, list[at]]),
        fc.constant(list.toReversed()),
        damaged(list[at]).map((one) => list.with(at, one)),
      ),
    );
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return other;
    return fc.nat({ max: entries.length - 1 }).chain((at) => {
      const [name, held] = entries[at] as [string, unknown];
      return fc.oneof(
        fc.constant(Object.fromEntries(entries.toSpliced(at, 1))),
        fc.string().map((renamed) => Object.fromEntries(entries.with(at, [renamed, held]))),
        damaged(held).map((one) => ({ ...value, [name]: one })),
      );
    });
  }
  return other;
}

/** A file of such rows: some of them damaged, and perhaps bytes that are not what they were. */
function files(rows: readonly unknown[]): fc.Arbitrary<Buffer> {
  const row = fc.constantFrom(...rows);
  const lines = row.chain((first) => {
    const like = fc.oneof({ weight: 2, arbitrary: fc.constant(first) }, { weight: 3, arbitrary: damaged(first) }, row);
    return fc.array(like, { minLength: 1, maxLength: 6 });
  });
  const changes = fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat({ max: 255 })), {
    maxLength: 2,
  });
  return fc.tuple(lines, changes).map(([values, bytes]) => {
    const file = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    for (const [at, byte] of bytes) file[Math.floor(at * file.length)] = byte;
    return file;
  });
}

/** Reads a file: rows, or null where it is refused in words. Nothing may be written beside it. */
async function read<Rows>(bytes: Buffer, reader: (file: string) => Promise<Rows>): Promise<Rows | null> {
  const folder = path('files');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'rows.jsonl');
  writeFileSync(file, bytes);
  try {
    return await reader(file);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    for (const problem of error.problems) expect(problem).toMatch(/\S{3}/);
    return null;
  } finally {
    expect(readdirSync(folder)).toEqual(['rows.jsonl']);
  }
}

const roles = ['system', 'user', 'assistant', 'tool'];
function expectSaid(messages: readonly Message[], last: readonly string[]): void {
  for (const { role, content } of messages) {
    expect(roles).toContain(role);
    expect(typeof content).toBe('string');
  }
  expect(last).toContain(messages.at(-1)?.role);
}

describe('a damaged file of one’s own gives rows that can be used, or an error for people:', () => {
  test('rows to learn from', async () => {
    let used = 0;
    const check = async (bytes: Buffer): Promise<void> => {
      const found = await read(bytes, (file) => readTrainingRows({ path: file, shape: 'auto', ...options }));
      for (const { content } of found?.rows ?? []) {
        used++;
        if (typeof content === 'string') expect(content.trim()).not.toBe('');
        else expectSaid(content.messages, ['assistant']);
      }
    };
    await fc.assert(fc.asyncProperty(files(trained), check), { numRuns, seed: 20_261_127 });
    expect(used).toBeGreaterThan(numRuns / 2);
  });

  test('preference pairs', async () => {
    let used = 0;
    const check = async (bytes: Buffer): Promise<void> => {
      const found = await read(bytes, (file) => readPairRows(file, { groupBy: null, badRows: 1 }));
      for (const { prompt, chosen, rejected } of found?.rows ?? []) {
        used++;
        expectSaid(prompt.messages, ['user', 'tool']);
        expect(saidText(chosen)).not.toBe(saidText(rejected));
      }
    };
    await fc.assert(fc.asyncProperty(files(judged), check), { numRuns, seed: 20_261_127 });
    expect(used).toBeGreaterThan(numRuns / 2);
  });

  test('prompts', async () => {
    let used = 0;
    const check = async (bytes: Buffer): Promise<void> => {
      const found = await read(bytes, (file) => readPromptRows({ path: file, raw: false, ...options }));
      for (const { content } of found?.rows ?? []) {
        used++;
        expectSaid(content.messages, ['user', 'tool']);
      }
    };
    await fc.assert(fc.asyncProperty(files([...trained, { prompt: 'What?' }, { messages: talk }]), check), {
      numRuns,
      seed: 20_261_127,
    });
    expect(used).toBeGreaterThan(numRuns / 2);
  });
});
