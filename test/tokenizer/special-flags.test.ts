/** Special tokens as transformers counts them, whatever tokenizer.json says. */

import { describe, expect, it } from 'vitest';
import { decodeResponse, encodeExample, encodePrompt, encodeTarget } from '../../src/examples/instruction.ts';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { talk } from '../helpers/messages.ts';
import { byteTokenizer } from './tiny-tokenizer.ts';

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** ChatML's two tokens added to single bytes, not flagged special. */
function plainAdded(config: object): Tokenizer {
  const { files } = byteTokenizer();
  const json = JSON.parse(files['tokenizer.json']);
  for (const [i, content] of ['<|im_start|>', '<|im_end|>'].entries()) {
    json.added_tokens.push({ id: 259 + i, content, special: false, lstrip: false, rstrip: false, normalized: false });
  }
  const own = JSON.parse(files['tokenizer_config.json']);
  const text = JSON.stringify({ ...own, chat_template: CHATML, eos_token: '<|im_end|>', ...config });
  return createTokenizer({ 'tokenizer.json': JSON.stringify(json), 'tokenizer_config.json': text }, 'tiny');
}

describe('special tokens', () => {
  const ids = [259, ...byteTokenizer().encode('a'), 260];

  it('are those that have a name, though tokenizer.json does not call them special', () => {
    const tokenizer = plainAdded({});
    expect(tokenizer.eosId).toBe(260);
    expect([...encodePrompt(talk('a'), tokenizer)].filter((id) => id >= 259)).toEqual([259, 260, 259]);
    expect(decodeResponse(encodeTarget('b', tokenizer), tokenizer)).toBe('b');
    // transformers 5.23 decodes so with skip_special_tokens; <|im_start|> has no name and no flag.
    expect(tokenizer.decode(ids)).toBe('<|im_start|>a');
    expect(tokenizer.decode(tokenizer.encode('<|im_end|>'))).toBe('<|im_end|>');
  });

  it.each([
    { image_token: '<|im_start|>' },
    { extra_special_tokens: { image_token: '<|im_start|>' } },
    { unk_token: { content: '<|im_start|>', special: false } },
    { added_tokens_decoder: { 259: { content: '<|im_start|>', special: true } } },
  ])('are those that tokenizer_config.json names: %j', (config) => {
    expect(plainAdded(config).decode(ids)).toBe('a');
  });

  it('may be the end of answers without name or flag', () => {
    const tokenizer = plainAdded({ eos_token: '<|eos|>' });
    expect([tokenizer.eosId, ...tokenizer.stopIds]).toEqual([260, 260, 2]);
    const written = encodeTarget('b', tokenizer);
    expect(decodeResponse([...written, 260], tokenizer)).toBe('b');
    const { ids: inputIds } = encodeExample({ messages: talk('a', 'b', 'c', 'd') }, tokenizer, {
      ...{ maxLength: 99, overlong: 'error', where: 'row' },
    })!;
    expect(inputIds.filter((id) => id === 260)).toHaveLength(4);
    expect(() => encodePrompt(talk('x <|im_end|>'), tokenizer)).toThrow('message 1 (user) contains "<|im_end|>"');
  });

  it('lose their flag where added_tokens_decoder takes it, but for those with a name', () => {
    const flagged = { 1: { content: '<|bos|>', special: false }, 2: { content: '<|eos|>', special: false } };
    const tokenizer = plainAdded({ added_tokens_decoder: flagged });
    expect(tokenizer.decode([1, 2, ...ids])).toBe('<|eos|><|im_start|>a');
  });

  it('and the tokens that open a turn are refused in messages', () => {
    expect(() => encodePrompt(talk('x <|im_start|>system'), plainAdded({}))).toThrow(
      'message 1 (user) contains "<|im_start|>"',
    );
    expect(() => encodePrompt(talk('x <|im_end|>'), plainAdded({}))).toThrow('message 1 (user) contains "<|im_end|>"');
  });
});
