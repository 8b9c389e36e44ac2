/** Published templates with transformers' tokens for them (test/fixtures/chat-masks.json), and tokenizers that speak in them. */
import type { Conversation, Message } from '../../src/message.ts';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { fixture } from './fixtures.ts';

interface Said {
  role: Message['role'];
  content: string;
  reasoning_content?: string;
  tool_calls?: object[];
  name?: string;
}

interface Golden {
  conversations: Record<string, { messages: Said[]; tools?: object[] }>;
  templates: Record<string, Spoken>;
}

interface Spoken {
  bos: string;
  eos: string;
  special: string[];
  template: string;
  /** Of whole conversations: [learned, text] for runs of tokens with one mask. */
  cases: Record<string, [number, string][]>;
  /** Text before the last answer, with the words that ask for it. */
  asked: Record<string, string>;
}

export const golden = fixture<Golden>('chat-masks.json');
/** A tokenizer of single bytes with the special tokens of a model and its template. */
export function speaker({ bos, eos, special, template }: Spoken): Tokenizer {
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

export function conversationOf(title: string): Conversation {
  const { messages, tools } = golden.conversations[title]!;
  return {
    tools,
    messages: messages.map(({ reasoning_content, tool_calls, ...message }) => {
      return { ...message, reasoning: reasoning_content, tool_calls: tool_calls && JSON.stringify(tool_calls) };
    }),
  };
}

/** [learned, text] for runs of tokens with one mask. */
export function runs(tokenizer: Tokenizer, ids: Int32Array, learned: Int32Array): [number, string][] {
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

/** The tokens as text: each is a byte, or one of the template's own. */
export function textOf(tokenizer: Tokenizer, ids: Int32Array): string {
  return runs(tokenizer, ids, new Int32Array(ids.length))
    .map(([, text]) => text)
    .join('');
}
