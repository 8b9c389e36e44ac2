import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeExample, encodePrompt, encodeRaw } from '../../src/examples/instruction.ts';
import type { Message } from '../../src/message.ts';
import { talk } from '../helpers/messages.ts';
import { byteTokenizer, trainedTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const bytes = byteTokenizer();
const id = (character: string): number => bytes.encode(character)[0]!;
const options = { maxLength: 64, overlong: 'error' as const, where: 'rows.jsonl:3' };

describe('encodeRaw', () => {
  it('goes on with a text after BOS where the tokenizer begins prompts with it', () => {
    expect([...encodeRaw('a', bytes)]).toEqual([bytes.bosId, ...bytes.encode('a')]);
    expect([...encodeRaw('a', { ...bytes, bosId: null })]).toEqual([...bytes.encode('a')]);
  });
});

describe('encodeExample', () => {
  it('puts BOS, prompt and line break before target and EOS, and learns the latter', () => {
    const example = encodeExample({ messages: talk('a', 'b') }, bytes, options);
    expect([...example!.ids]).toEqual([1, id('a'), id('\n'), id(' '), id('b'), 2]);
    expect([...example!.learned]).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it('learns exactly target and EOS, whatever the texts', () => {
    const merged = trainedTokenizer(['one\ntwo', 'one\n\ntwo', 'a\n a\n a'], 280);
    const text = fc.string({ unit: fc.constantFrom('a', ' ', '\n', 'one', 'é', '😀'), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (prompt, target) => {
        fc.pre(target !== '');
        const { ids: inputIds, learned: lossMask } = encodeExample({ messages: talk(prompt, target) }, merged, {
          ...options,
          maxLength: 999,
        })!;
        const learned = inputIds.filter((_, i) => lossMask[i] === 1);
        const given = inputIds.filter((_, i) => lossMask[i] === 0);
        expect(learned.at(-1)).toBe(merged.eosId);
        expect(merged.decode(learned)).toBe(` ${target}`);
        expect(given).toEqual(encodePrompt(talk(prompt), merged));
        expect(merged.decode(given)).toBe(`${prompt}\n`);
      }),
      { seed: 1 },
    );
  });

  it('has the same ids at the boundary as generation sees, even where a token could span it', () => {
    const merged = trainedTokenizer(['x\n\n\ny', 'x\n\n\ny'], 270); // "\n\n" is one token here
    expect(merged.encode('x\n\n\ny').length).toBeLessThan(merged.encode('x\n').length + merged.encode('\n\ny').length);
    const { ids: inputIds } = encodeExample({ messages: talk('x', '\n\ny') }, merged, options)!;
    const promptIds = encodePrompt(talk('x'), merged);
    expect([...inputIds.subarray(0, promptIds.length)]).toEqual([...promptIds]);
  });

  it('needs no BOS', () => {
    const { ids: inputIds } = encodeExample({ messages: talk('a', 'b') }, { ...bytes, bosId: null }, options)!;
    expect([...inputIds]).toEqual([id('a'), id('\n'), id(' '), id('b'), 2]);
  });

  it('writes earlier turns of a dialogue in the same way, each with EOS, and learns all responses', () => {
    const { ids: inputIds, learned: lossMask } = encodeExample({ messages: talk('a', 'b', 'c', 'd') }, bytes, options)!;
    expect([...inputIds]).toEqual([1, ...bytes.encode('a\n b'), 2, ...bytes.encode('c\n d'), 2]);
    expect([...lossMask]).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1]);
    expect([...inputIds.subarray(0, 8)]).toEqual([...encodePrompt(talk('a', 'b', 'c'), bytes)]);
  });

  it('leaves out whole turns first, then cuts the last prompt, and never BOS, the system, the last target or EOS', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é'), minLength: 1, maxLength: 9 });
    const turns = fc.array(fc.tuple(text, text), { maxLength: 3 });
    const system = fc.option(text, { nil: undefined });
    fc.assert(
      fc.property(
        turns,
        system,
        text,
        text,
        fc.integer({ min: 4, max: 60 }),
        (earlier, said, prompt, target, maxLength) => {
          const of = (skipped: number): Message[] => [
            ...(said === undefined ? [] : [{ role: 'system', content: said } as const]),
            ...talk(...earlier.slice(skipped).flat(), prompt, target),
          ];
          const encode = (skipped: number) =>
            encodeExample({ messages: of(skipped) }, bytes, { ...options, maxLength: 999 })!;
          const whole = encode(0);
          const last = bytes.encode(` ${target}`).length + 1;
          fc.pre(whole.ids.length > maxLength && last + 1 <= maxLength);
          const cut = encodeExample({ messages: of(0) }, bytes, { ...options, maxLength, overlong: 'left' })!;
          const fitting = earlier.map((_, i) => encode(i + 1)).find(({ ids }) => ids.length <= maxLength);
          const shortest = encode(earlier.length);
          const rest = shortest.ids.length - maxLength + 1;
          expect([...cut.ids]).toEqual(fitting ? [...fitting.ids] : [1, ...shortest.ids.subarray(rest)]);
          expect([...cut.learned]).toEqual(fitting ? [...fitting.learned] : [0, ...shortest.learned.subarray(rest)]);
          expect([...cut.learned.subarray(-last)]).toEqual(Array(last).fill(1));
          expect(cut).toMatchObject({ cutTokens: whole.ids.length - cut.ids.length, endsInEos: true });
        },
      ),
      { seed: 3 },
    );
  });

  it('takes no loss on answers that are not to be learned, and on nothing that is given', () => {
    const said: Message[] = [{ role: 'system', content: 's' }, ...talk('a', 'b', 'c', 'd')];
    const weighed = said.map((message) => (message.content === 'b' ? { ...message, learned: false } : message));
    const { ids, learned } = encodeExample({ messages: weighed }, bytes, options)!;
    expect([...ids]).toEqual([1, ...bytes.encode('s\n\na\n b'), 2, ...bytes.encode('c\n d'), 2]);
    expect([...learned]).toEqual([...Array(9).fill(0), 0, 0, 1, 1, 1]);
  });

  it('has no place for tools, reasoning, or the system but in front', () => {
    const encode = (...messages: Message[]) => encodeExample({ messages }, bytes, options);
    const answer = { role: 'assistant', content: 'b' } as const;
    const call = JSON.stringify([{ type: 'function', function: { name: 'f', arguments: {} } }]);
    const asked = talk('a');
    expect(() => encode(...asked, { ...answer, tool_calls: call })).toThrow(
      'message 2 (assistant): the plain format has no place for tools',
    );
    expect(() => encode(...asked, answer, { role: 'tool', content: '7' }, answer)).toThrow(
      'message 3 (tool): the plain format has no place for tools',
    );
    expect(() => encode(...asked, { ...answer, reasoning: 'Hm.' })).toThrow(
      'message 2 (assistant): the plain format has no place for reasoning',
    );
    expect(() => encode(...asked, answer, { role: 'system', content: 'x' }, ...asked, answer)).toThrow(
      'message 3 (system)',
    );
    expect(() => encodeExample({ messages: talk('a', 'b'), tools: [{}] }, bytes, options)).toThrow(
      'no place for tools',
    );
    expect(() => encode(...asked)).toThrow("ends with a message of the user; expected the assistant's");
  });

  it('cuts the end of the target where that is asked for, says that EOS is gone, and leaves the prompt whole', () => {
    const long = { messages: talk('ab', 'wxyz') }; // 1 + 3 + 5 + 1 = 10 tokens
    const cut = encodeExample(long, bytes, { ...options, maxLength: 7, overlong: 'right' })!;
    expect([...cut.ids]).toEqual([1, ...bytes.encode('ab\n wx')]);
    expect([...cut.learned]).toEqual([0, 0, 0, 0, 1, 1, 1]);
    expect(cut).toMatchObject({ cutTokens: 3, endsInEos: false });
    expect(encodeExample(long, bytes, { ...options, maxLength: 10, overlong: 'right' })!.endsInEos).toBe(true);
    expect(() => encodeExample(long, bytes, { ...options, maxLength: 4, overlong: 'right' })).toThrow(
      'the example is too long; expected at most 4 tokens',
    );
  });

  it('drops, cuts the beginning of the prompt, or refuses what is too long', () => {
    const long = { messages: talk('abcdef', 'yz') }; // 1 + 7 + 3 + 1 = 12 tokens: the target starts with a space
    expect(encodeExample(long, bytes, { ...options, maxLength: 12 })!.ids.length).toBe(12);
    expect(encodeExample(long, bytes, { ...options, maxLength: 11, overlong: 'drop' })).toBeNull();
    const cut = encodeExample(long, bytes, { ...options, maxLength: 8, overlong: 'left' })!;
    expect([...cut.ids]).toEqual([1, ...bytes.encode('ef\n yz'), 2]);
    expect([...cut.learned]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(() => encodeExample(long, bytes, { ...options, maxLength: 11 })).toThrowErrorMatchingInlineSnapshot(
      `[DataError: rows.jsonl:3: the example is too long; expected at most 11 tokens, received 8 of prompt and 4 of target and EOS. Raise the sequence length, shorten the row, or choose overlong: drop.]`,
    );
    const tight = { ...options, maxLength: 4, overlong: 'left' as const };
    expect(() => encodeExample(long, bytes, tight)).toThrow('the example is too long; expected at most 4 tokens');
    expect(encodeExample(long, bytes, { ...tight, maxLength: 5 })!.ids.at(-1)).toBe(2);
  });

  it('refuses an empty target', () => {
    expect(() => encodeExample({ messages: talk('a', '') }, bytes, options)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: rows.jsonl:3: the target is empty, so nothing would be learned; expected text. Mend or remove the row.]`,
    );
  });
});
