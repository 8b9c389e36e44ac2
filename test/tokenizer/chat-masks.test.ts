/** Which tokens of a conversation carry loss, against transformers' assistant mask of TRL's training templates. */
import { describe, expect, it } from 'vitest';
import { encodeExample, encodePrompt, encodeTarget } from '../../src/examples/instruction.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { conversationOf, golden, runs, speaker, textOf } from '../helpers/chat-masks.ts';
import { talk } from '../helpers/messages.ts';

const options = { maxLength: 9999, overlong: 'error' as const, where: 'rows.jsonl:3' };

it('is compared for twelve templates and more', () => {
  expect(Object.keys(golden.templates).length).toBeGreaterThanOrEqual(12);
});

/** Whether transformers asks with <think>, and writes the answer without: then a model is asked otherwise than it was trained. */
const isAskedOtherwise = ({ cases, asked }: (typeof golden.templates)[string], title: string): boolean =>
  asked[title]!.endsWith('<think>\n') &&
  !cases[title]!.map(([, text]) => text)
    .join('')
    .startsWith(asked[title]!);

describe.each(Object.entries(golden.templates))('%s', (_, spoken) => {
  const { asked } = spoken;
  const cases = Object.fromEntries(Object.entries(spoken.cases).filter(([title]) => !isAskedOtherwise(spoken, title)));
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
    Object.keys(golden.conversations).filter((title) => !Object.hasOwn(spoken.cases, title)),
  )('refuses by name what the template leaves out or refuses: %s', (title) => {
    expect(() => encodeExample(conversationOf(title), tokenizer(), options)).toThrow(
      /rows\.jsonl:3: chat_template: (leaves out|refuses)|chat_template: refuses a conversation/,
    );
  });

  it.each(Object.keys(spoken.cases))('asks as transformers asks: %s', (title) => {
    const { messages, tools } = conversationOf(title);
    expect(textOf(tokenizer(), encodePrompt(messages.slice(0, -1), tokenizer(), 'row', tools))).toBe(asked[title]);
  });

  it.each(
    Object.keys(spoken.cases).filter((title) => !Object.hasOwn(cases, title)),
  )('refuses an answer that begins otherwise than its question ends, and says what to do: %s', (title) => {
    expect(() => encodeExample(conversationOf(title), tokenizer(), options)).toThrow(
      /^rows\.jsonl:3: chat_template: asks with "<think>\\n", and writes message \d \(assistant\) without it; .*take "<think>\\n" out of it at add_generation_prompt, .*data\.template/,
    );
  });

  it.runIf(Object.hasOwn(cases, 'turns'))('masks an answer that is not to be learned, and no other token', () => {
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

describe('a template that asks with <think>', () => {
  const spoken = golden.templates.nemotron_3_nano!;
  const withoutTag = {
    ...spoken,
    template: spoken.template.replace("'<|im_start|>assistant\\n<think>\\n'", "'<|im_start|>assistant\\n'"),
  };
  // As published, without the marks of TRL's.
  const unmarked = (template: string): string => template.replaceAll(/\{%-? (end)?generation %\}/g, '');

  it.each(
    Object.keys(spoken.cases),
  )('without the tag learns what transformers marks, and asks with its beginning: %s', (title) => {
    const tokenizer = speaker(withoutTag);
    const { ids, learned } = encodeExample(conversationOf(title), tokenizer, options)!;
    expect(runs(tokenizer, ids, learned)).toEqual(spoken.cases[title]);
    const { messages, tools } = conversationOf(title);
    const asked = encodePrompt(messages.slice(0, -1), tokenizer, 'row', tools);
    expect([...ids.subarray(0, asked.length)]).toEqual([...asked]);
    expect(learned[asked.length]).toBe(1);
  });

  it('is learned from where every answer has its reasoning: after the tag that asks', () => {
    const tokenizer = speaker({ ...spoken, template: unmarked(spoken.template) });
    const { ids, learned } = encodeExample(conversationOf('reasoning'), tokenizer, options)!;
    expect(runs(tokenizer, ids, learned)).toEqual([
      [0, spoken.asked.reasoning],
      [1, '30 + 21 = 51\n</think>\n51<|im_end|>'],
    ]);
    expect(() => encodeTarget('51', tokenizer)).toThrow(/asks with "<think>\\n", and writes the answer/);
  });

  it('needs reasoning in the answers that are learned, and in no other', () => {
    const { template } = spoken;
    const said = talk('a', 'b', 'c', 'd').map((message, i) => (i === 3 ? { ...message, reasoning: 'r' } : message));
    for (const one of [template, unmarked(template)]) {
      const tokenizer = speaker({ ...spoken, template: one });
      expect(() => encodeExample({ messages: said }, tokenizer, options)).toThrow(
        /writes message 2 \(assistant\) without it/,
      );
      const last = said.map((message, i) => (i === 1 ? { ...message, learned: false } : message));
      const { ids, learned } = encodeExample({ messages: last }, tokenizer, options)!;
      const taken = runs(tokenizer, ids, learned).filter(([flag]) => flag === 1);
      expect(taken).toHaveLength(1);
      expect(taken[0]![1]).toMatch(/^(<think>\n)?r\n<\/think>\nd<\|im_end\|>\n?$/);
    }
  });
});
