/** Which tokens of a conversation carry loss, against transformers' assistant mask of TRL's training templates. */
import { describe, expect, it } from 'vitest';
import { encodeExample, encodePrompt } from '../../src/examples/instruction.ts';
import type { Conversation, Message } from '../../src/message.ts';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture } from '../helpers/fixtures.ts';
import { talk } from '../helpers/messages.ts';
import { byteTokenizer } from './tiny-tokenizer.ts';

interface Said {
  role: Message['role'];
  content: string;
  reasoning_content?: string;
  tool_calls?: object[];
  name?: string;
}

interface Golden {
  conversations: Record<string, { messages: Said[]; tools?: object[] }>;
  templates: Record<
    string,
    { bos: string; eos: string; special: string[]; template: string; cases: Record<string, [number, string][]> }
  >;
}

const golden = fixture<Golden>('chat-masks.json');
const options = { maxLength: 9999, overlong: 'error' as const, where: 'rows.jsonl:3' };

/** A tokenizer of single bytes with the special tokens of a model and its template. */
function speaker(bos: string, eos: string, special: readonly string[], template: string): Tokenizer {
  const { files } = byteTokenizer();
  const json = JSON.parse(files['tokenizer.json']);
  for (const [i, content] of [...new Set([bos, eos, ...special])].entries()) {
    json.added_tokens.push({ id: 259 + i, content, special: true, lstrip: false, rstrip: false, normalized: false });
  }
  const config = {
    ...JSON.parse(files['tokenizer_config.json']),
    bos_token: bos,
    eos_token: eos,
    chat_template: template,
  };
  const texts = { 'tokenizer.json': JSON.stringify(json), 'tokenizer_config.json': JSON.stringify(config) };
  return createTokenizer(texts, 'tiny');
}

function conversationOf(title: string): Conversation {
  const { messages, tools } = golden.conversations[title]!;
  return {
    tools,
    messages: messages.map(({ reasoning_content, tool_calls, ...message }) => {
      return { ...message, reasoning: reasoning_content, tool_calls: tool_calls && JSON.stringify(tool_calls) };
    }),
  };
}

/** [learned, text] for runs of tokens with one mask. */
function runs(tokenizer: Tokenizer, ids: Int32Array, learned: Int32Array): [number, string][] {
  const found: [number, Buffer[]][] = [];
  ids.forEach((id, i) => {
    const flag = learned[i] as number;
    if (found.at(-1)?.[0] !== flag) found.push([flag, []]);
    const token = tokenizer.token(id);
    const bytes = id >= 259 ? Buffer.from(token) : Buffer.from([byteOf.get(token) as number]);
    found.at(-1)![1].push(bytes);
  });
  return found.map(([flag, bytes]) => [flag, Buffer.concat(bytes).toString()]);
}

// GPT-2's spelling of bytes: printable ones as they are, the others from U+0100 on.
const byteOf = new Map<string, number>();
for (let byte = 0, shifted = 0x100; byte < 256; byte++) {
  const isPlain = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  byteOf.set(String.fromCodePoint(isPlain ? byte : shifted++), byte);
}

it('is compared for twelve templates and more', () => {
  expect(Object.keys(golden.templates).length).toBeGreaterThanOrEqual(12);
});

describe.each(Object.entries(golden.templates))('%s', (_, { bos, eos, special, template, cases }) => {
  let made: Tokenizer | undefined;
  const tokenizer = (): Tokenizer => {
    made ??= speaker(bos, eos, special, template);
    return made;
  };

  it.each(Object.keys(cases))('takes loss on the tokens that transformers marks: %s', (title) => {
    const { ids, learned } = encodeExample(conversationOf(title), tokenizer(), options)!;
    const expected = cases[title]!;
    // An example ends with the last answer.
    expect(runs(tokenizer(), ids, learned)).toEqual(expected.at(-1)?.[0] === 0 ? expected.slice(0, -1) : expected);
  });

  it.each(
    Object.keys(golden.conversations).filter((title) => !Object.hasOwn(cases, title)),
  )('refuses by name what the template leaves out or refuses: %s', (title) => {
    expect(() => encodeExample(conversationOf(title), tokenizer(), options)).toThrow(
      /rows\.jsonl:3: chat_template: (leaves out|refuses)|chat_template: refuses a conversation/,
    );
  });

  it('masks an answer that is not to be learned, and no other token', () => {
    const messages = talk('a', 'b', 'c', 'd');
    const whole = encodeExample({ messages }, tokenizer(), options)!;
    const weighed = messages.map((message) => (message.content === 'b' ? { ...message, learned: false } : message));
    const { ids, learned } = encodeExample({ messages: weighed }, tokenizer(), options)!;
    expect([...ids]).toEqual([...whole.ids]);
    const [first, second] = runs(tokenizer(), whole.ids, whole.learned).filter(([flag]) => flag === 1);
    expect(first![1]).toContain('b');
    expect(runs(tokenizer(), ids, learned).filter(([flag]) => flag === 1)).toEqual([second]);
    expect(encodePrompt(messages.slice(0, -1), tokenizer()).length).toBeGreaterThan(4);
  });
});
