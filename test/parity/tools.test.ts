/** Pairs and prompts with tools as a model reads them, against transformers' apply_chat_template of published templates. */
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { utf8 } from '../../src/tables/columns.ts';
import { conversationColumns, messageRows } from '../../src/tables/message-column.ts';
import { readFilePrompts } from '../../src/worlds/prompt-file.ts';
import { PolicyPrompts } from '../../src/worlds/prompts-section.ts';
import { conversationOf, golden, speaker, textOf } from '../helpers/chat-masks.ts';
import { readPairs } from '../helpers/read-pairs.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();
const { messages, tools } = golden.conversations.tools!;
const rival = { role: 'assistant', content: 'No idea.' };
const plain = Array.from({ length: 9 }, (_, i) => ({ prompt: `q${i}`, chosen: 'a', rejected: 'b' }));

function write(rows: readonly unknown[]): string {
  writeFileSync(path('my.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path('my.jsonl');
}
const promptsOf = (rows: readonly unknown[], keys: object = {}) => PolicyPrompts.parse({ file: write(rows), ...keys });
// Nemotron 3 asks with <think>: answers without reasoning are refused (test/tokenizer/chat-masks.test.ts).
const withTools = Object.entries(golden.templates).filter(
  ([name, { cases }]) => cases.tools !== undefined && name !== 'nemotron_3_nano',
);
// gpt-oss knows tools, and takes out what was said beside a call once there is an answer.
const without = Object.entries(golden.templates).filter(
  ([name, { cases }]) => cases.tools === undefined && name !== 'gptoss',
);

it('is compared for four templates and more', () => {
  expect(withTools.length).toBeGreaterThanOrEqual(4);
  expect(without.length).toBeGreaterThanOrEqual(4);
});

it('tables with the columns of conversations are read like other files', async () => {
  const [, spoken] = withTools[0]!;
  const tokenizer = speaker(spoken);
  const asked = conversationOf('tools').messages.slice(0, -1);
  const row = { messages: messageRows(asked), tools: JSON.stringify(tools) };
  await writeTable(path('prompts.arrow'), conversationColumns, [row]);
  const source = { ...promptsOf([]), file: path('prompts.arrow') };
  const { prompts } = await readFilePrompts(source, tokenizer, 9999);
  expect(textOf(tokenizer, prompts[0]!.promptIds)).toBe(spoken.asked.tools);

  const { messages: prompt, tools: described } = conversationColumns;
  const texts = { chosen: utf8('.'), rejected: utf8('.') };
  const answers = { chosen: 'Sunny.', rejected: 'No idea.' };
  await writeTable(path('talks.arrow'), { prompt, tools: described, ...texts }, [
    { prompt: row.messages, tools: row.tools, ...answers },
  ]);
  await writeTable(path('texts.arrow'), { prompt: utf8('.'), tools: described, ...texts }, [
    { prompt: 'Weather in Oslo?', tools: row.tools, ...answers },
  ]);
  const promptOf = async (name: string): Promise<string> => {
    const { pairs } = await readPairs(path(name), { tokenizer, contextLength: 9999 });
    return textOf(tokenizer, pairs[0]!.chosen_ids.subarray(0, pairs[0]!.prompt_length));
  };
  expect(await promptOf('talks.arrow')).toBe(spoken.asked.tools);
  const first = await promptOf('texts.arrow');
  expect(spoken.asked.tools!.startsWith(first)).toBe(true);
  expect(first).toContain('Weather of a city.');
});

describe.each(withTools)('%s', (_, spoken) => {
  const tokenizer = speaker(spoken);
  const written = spoken.cases.tools!.map(([, text]) => text);
  /** What is written up to the token that ends the last answer of some messages. */
  const upTo = (pieces: number): string => written.slice(0, pieces).join('');
  const reader = { tokenizer, contextLength: 9999 };

  it('a prompt is what the template asks with', async () => {
    const asked = messages.slice(0, -1);
    const source = promptsOf([
      { messages, tools },
      { messages: asked, tools },
      { messages: asked.slice(0, 1), tools },
    ]);
    const { prompts, lines } = await readFilePrompts({ ...source, file: path('my.jsonl') }, tokenizer, 9999);
    const [whole, first] = prompts.map(({ promptIds }) => textOf(tokenizer, promptIds));
    expect(whole).toBe(spoken.asked.tools);
    expect(written[0]! + written[1]!).toContain(first!.slice(-5));
    expect(whole!.startsWith(first!)).toBe(true);
    expect(lines).toContain(`  the same prompt again, kept once  1 (${path('my.jsonl')}:2)`);
    expect(prompts[0]!.prompt).toMatch(/^\[\{"type":"function".*\n\nWeather in Oslo\?\n Let me look\.\n\[.*\nsunny$/s);
  });

  it('a pair is the whole conversation, whether its answer is a text or a call', async () => {
    const told = { prompt: messages.slice(0, -1), tools, chosen: [messages.at(-1)], rejected: [rival] };
    const called = { prompt: messages.slice(0, 1), tools, chosen: [messages[1]], rejected: [rival] };
    // GLM hands over to the tool by a token of its own, at which our models would not stop.
    const isEnded = written[1]!.includes(tokenizer.token(tokenizer.eosId));
    if (!isEnded)
      await expect(readPairs(write([called]), reader)).rejects.toThrow('ends this answer otherwise than by');
    const { pairs } = await readPairs(write(isEnded ? [told, called] : [told]), reader);
    for (const [i, pieces] of (isEnded ? [4, 2] : [4]).entries()) {
      const { chosen_ids: chosen, rejected_ids: rejected, prompt_length: length } = pairs[i]!;
      const text = textOf(tokenizer, chosen);
      expect(upTo(pieces).startsWith(text)).toBe(true);
      expect(upTo(pieces).slice(text.length).trim()).toBe('');
      expect(chosen.at(-1)).toBe(tokenizer.eosId);
      expect(textOf(tokenizer, rejected.subarray(0, length))).toBe(textOf(tokenizer, chosen.subarray(0, length)));
      expect(textOf(tokenizer, rejected.subarray(length))).toContain('No idea.');
    }
    const asked = textOf(tokenizer, pairs[0]!.chosen_ids.subarray(0, pairs[0]!.prompt_length));
    expect(asked).toBe(spoken.asked.tools);
    if (isEnded) expect(pairs[1]!.chosen).toBe(`Let me look.\n${JSON.stringify(messages[1]!.tool_calls)}`);
  });
});

it('a template that rewrites the question once it is answered asks, and is refused for pairs', async () => {
  const tokenizer = speaker(golden.templates.gptoss!);
  const last = { prompt: messages.slice(0, -1), tools, chosen: 'Sunny.', rejected: 'No.' };
  const { prompts } = await readFilePrompts({ ...promptsOf([last]), file: path('my.jsonl') }, tokenizer, 9999);
  expect(textOf(tokenizer, prompts[0]!.promptIds)).toMatch(/Let me look\..*sunny/s);
  await expect(readPairs(write([last]), { tokenizer, contextLength: 9999 })).rejects.toThrow(
    'chat_template: the answer changes what was written before it; expected a template that only appends.',
  );
});

const refusing = without.map(([name, spoken]) => [name, () => speaker(spoken)] as const);
describe.each([...refusing, ['the plain format', byteTokenizer] as const])('%s', (_, open) => {
  const tokenizer = open();
  const refused = /chat_template: (leaves out|refuses)|has no place for tools/;

  it('rows with tools are left out by name, up to a share of the rows', async () => {
    const last = { prompt: messages.slice(0, -1), tools, chosen: 'Sunny.', rejected: 'No.' };
    const pairs = () => readPairs(write([...plain, last]), { tokenizer, contextLength: 9999 });
    const left = `  left out: 1 of 10 rows do not fit the model, first ${path('my.jsonl')}:10: `;
    const read = await readPairs(write([...plain, last]), { tokenizer, contextLength: 9999 }, null, 0.1);
    expect([read.pairs.length, read.lines]).toEqual([9, [expect.stringContaining(left)]]);
    expect(read.lines[0]).toMatch(refused);
    const problems = await problemsOf(pairs, path());
    expect(problems[0]).toBe('my.jsonl: 1 of 10 rows do not fit the model; expected no more than badRows 0 allows.');
    expect(problems[1]).toMatch(refused);

    const source = { ...promptsOf([...plain, last], { badRows: 0.1 }), file: path('my.jsonl') };
    const { prompts, lines } = await readFilePrompts(source, tokenizer, 9999);
    expect(prompts).toHaveLength(9);
    expect(lines).toContainEqual(expect.stringContaining(left));
    const more = await problemsOf(() => readFilePrompts({ ...source, badRows: 0 }, tokenizer, 9999), path());
    expect(more[1]).toMatch(refused);
  });
});
