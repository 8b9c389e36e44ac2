/** Which tokens of a conversation carry loss, against transformers' assistant mask of TRL's training templates. */
import { describe, expect, it } from 'vitest';
import { encodeExample, encodePrompt } from '../../src/examples/instruction.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { conversationOf, golden, runs, speaker } from '../helpers/chat-masks.ts';
import { talk } from '../helpers/messages.ts';

const options = { maxLength: 9999, overlong: 'error' as const, where: 'rows.jsonl:3' };

it('is compared for twelve templates and more', () => {
  expect(Object.keys(golden.templates).length).toBeGreaterThanOrEqual(12);
});

describe.each(Object.entries(golden.templates))('%s', (_, spoken) => {
  const { cases } = spoken;
  let made: Tokenizer | undefined;
  const tokenizer = (): Tokenizer => {
    made ??= speaker(spoken);
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
