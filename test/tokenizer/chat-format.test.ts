/** Chat templates against transformers: texts, ids and masks; the plain format as a template; what is refused. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeResponse, encodeExample, encodePrompt, encodeTarget } from '../../src/examples/instruction.ts';
import { strftime } from '../../src/jinja/strftime.ts';
import { chatTemplate, PLAIN_TEMPLATE } from '../../src/tokenizer/chat-template.ts';
import { filesForExport } from '../../src/tokenizer/export-files.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture, fixturePath } from '../helpers/fixtures.ts';
import { talk } from '../helpers/messages.ts';
import { byteTokenizer } from './tiny-tokenizer.ts';

type Turns = ['system' | 'user' | 'assistant', string][];

interface Case {
  turns: Turns;
  text: string;
  asked: string;
  ids: number[];
  askedIds: number[];
  mask?: number[];
}

interface Golden {
  formats: Record<string, { family: string; cases: Case[] }>;
  plain: { turns: Turns; ids: number[]; mask: number[] }[];
  plainTemplate: string;
  dates: Record<string, string>;
  jinja: { source: string; text: string }[];
  conversation: Turns;
}

const golden = fixture<Golden>('chat.json');
const options = { maxLength: 9999, overlong: 'error' as const, where: 'rows.jsonl:3' };

const messagesOf = (turns: Turns) => turns.map(([role, content]) => ({ role, content }));

/** A chat tokenizer of single bytes with the special tokens <|pad|>, <|bos|> and <|eos|> and a template. */
function spoken(template: unknown): Tokenizer {
  const { files } = byteTokenizer();
  const config = JSON.parse(files['tokenizer_config.json']);
  const text = JSON.stringify({ ...config, chat_template: template });
  return createTokenizer({ ...files, 'tokenizer_config.json': text }, 'tiny');
}

describe.each(Object.entries(golden.formats))('%s', (name, { family, cases }) => {
  const tokenizer = loadTokenizer(fixturePath(`tokenizers/${family}`));

  it('writes the ids that transformers writes, up to the end of the answer', () => {
    for (const { turns, ids } of cases) {
      const { ids: inputIds } = encodeExample({ messages: messagesOf(turns) }, tokenizer, options)!;
      expect([...inputIds]).toEqual(ids.slice(0, ids.lastIndexOf(tokenizer.eosId) + 1));
    }
  });

  it('asks as transformers asks', () => {
    for (const { turns, askedIds } of cases) {
      expect([...encodePrompt(messagesOf(turns).slice(0, -1), tokenizer)]).toEqual(askedIds);
    }
  });

  it('learns what the assistant wrote, and the token that ends it', () => {
    for (const { turns, mask } of cases) {
      const { ids: inputIds, learned: lossMask } = encodeExample({ messages: messagesOf(turns) }, tokenizer, options)!;
      if (mask !== undefined) expect([...lossMask]).toEqual(mask.slice(0, inputIds.length));
      const ends = inputIds.filter((id, i) => lossMask[i] === 1 && id === tokenizer.eosId);
      expect(ends).toHaveLength(turns.length / 2);
      expect(inputIds.at(-1)).toBe(tokenizer.eosId);
    }
  });

  it('gives answers back from their ids', () => {
    for (const { turns } of cases) {
      const target = turns.at(-1)![1];
      expect(decodeResponse(encodeTarget(target, tokenizer), tokenizer)).toBe(
        name === 'llama3' ? target.trim() : target,
      );
    }
  });

  it('is the same when its files are read again, and another than the plain one', () => {
    const again = createTokenizer(filesForExport(tokenizer), 'again');
    expect(again).toMatchObject({ hash: tokenizer.hash, eosId: tokenizer.eosId, padId: tokenizer.padId });
    expect([...encodePrompt(talk('a'), again)]).toEqual([...encodePrompt(talk('a'), tokenizer)]);
    // transformers builds some classes anew from the vocabulary; this one reads tokenizer.json.
    expect(JSON.parse(again.files['tokenizer_config.json']).tokenizer_class).toBe('PreTrainedTokenizerFast');
    const config = { ...JSON.parse(tokenizer.files['tokenizer_config.json']), chat_template: undefined };
    const plain = createTokenizer({ ...tokenizer.files, 'tokenizer_config.json': JSON.stringify(config) }, 'plain');
    expect(plain.chat).toBeNull();
    expect(plain.hash).not.toBe(tokenizer.hash);
  });

  it('ends with the token of its template, and may end with the others', () => {
    const name = tokenizer.token(tokenizer.eosId);
    expect(name).toBe(
      { llama3: '<|eot_id|>', zephyr: '</s>', mistral: '</s>' }[family === 'tinyllama' ? 'zephyr' : family] ??
        '<|im_end|>',
    );
    expect(tokenizer.stopIds[0]).toBe(tokenizer.eosId);
    expect(tokenizer.stopIds).not.toContain(tokenizer.padId);
  });
});

describe('chat templates', () => {
  it.each(golden.jinja)('are read as transformers reads them: $source', ({ source, text }) => {
    const render = chatTemplate(source, { bos_token: '<s>', eos_token: '</s>' }, 'tiny');
    expect(render(messagesOf(golden.conversation), false)).toBe(text);
  });

  it('write the texts of transformers', () => {
    for (const { family, cases } of Object.values(golden.formats)) {
      const { files } = loadTokenizer(fixturePath(`tokenizers/${family}`));
      const config = JSON.parse(files['tokenizer_config.json']);
      const text = (value: unknown) =>
        (value as { content?: string } | null)?.content ?? (value as string | null) ?? '';
      const names = { bos_token: text(config.bos_token), eos_token: text(config.eos_token) };
      const render = chatTemplate(config.chat_template, names, family);
      for (const one of cases) {
        expect(render(messagesOf(one.turns), false)).toBe(one.text);
        expect(render(messagesOf(one.turns.slice(0, -1)), true)).toBe(one.asked);
      }
    }
  });

  it('are told a date as Python writes it, the same every day', () => {
    const date = new Date(Date.UTC(2024, 6, 6, 8, 5, 9));
    const found = Object.fromEntries(Object.keys(golden.dates).map((format) => [format, strftime(date, format)]));
    expect(found).toEqual(golden.dates);
    expect(strftime(date, '%Q')).toBe('%Q');
    const render = chatTemplate("{{ strftime_now('%d %b %Y') }}", {}, 'tiny');
    expect(render([], true)).toBe('26 Jul 2024');
  });

  it('may have names, of which "default" counts', () => {
    const template = "{% for m in messages %}{{ m['content'] + '<|eos|>' }}{% endfor %}";
    const named = [
      { name: 'tool_use', template: 'x' },
      { name: 'default', template },
    ];
    expect([...encodePrompt(talk('a'), spoken(named))]).toEqual([...encodePrompt(talk('a'), spoken(template))]);
    expect(() => spoken([{ name: 'rag', template }])).toThrowErrorMatchingInlineSnapshot(
      `[DataError: tiny/tokenizer_config.json: chat_template: expected a text, or several with one named "default", received names "rag". Keep the template that conversations were written with, as a text.]`,
    );
    expect(() => spoken(7)).toThrow('chat_template: expected a text');
  });
});

describe('the plain format', () => {
  const base = loadTokenizer(new URL('../../data/base', import.meta.url).pathname);

  it('as a template gives transformers our ids and our mask', () => {
    expect(golden.plainTemplate).toBe(PLAIN_TEMPLATE);
    for (const { turns, ids, mask } of golden.plain) {
      const { ids: inputIds, learned: lossMask } = encodeExample({ messages: messagesOf(turns) }, base, options)!;
      expect([[...inputIds], [...lossMask]]).toEqual([ids, mask]);
    }
  });

  it('stays plain when its template is exported and loaded', () => {
    const files = filesForExport(base);
    expect(files['tokenizer.json']).toBe(base.files['tokenizer.json']);
    expect(JSON.parse(files['tokenizer_config.json'])).toEqual({
      ...JSON.parse(base.files['tokenizer_config.json']),
      chat_template: PLAIN_TEMPLATE,
    });
    const again = createTokenizer(files, 'again');
    expect(again).toMatchObject({ chat: null, hash: base.hash, eosId: base.eosId, bosId: base.bosId });
    expect(filesForExport(again)).toEqual(files);
    const gpt2 = loadTokenizer(fixturePath('tokenizers/gpt2'));
    expect(filesForExport(gpt2)['tokenizer_config.json']).not.toContain('bos_token }}');
    expect(createTokenizer(filesForExport(gpt2), 'again').chat).toBeNull();
  });
});

describe('a chat format', () => {
  const chatml = loadTokenizer(fixturePath('tokenizers/qwen2.5'));

  it('has prompts that its examples begin with, whatever the texts', () => {
    const text = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '1', 'é', '😀', "'s"), minLength: 1, maxLength: 8 });
    const turns = fc.array(fc.tuple(text, text), { maxLength: 3 });
    fc.assert(
      fc.property(turns, text, text, (history, prompt, target) => {
        const { ids: inputIds, learned: lossMask } = encodeExample(
          { messages: talk(...history.flat(), prompt, target) },
          chatml,
          options,
        )!;
        const asked = encodePrompt(talk(...history.flat(), prompt), chatml);
        expect([...inputIds.subarray(0, asked.length)]).toEqual([...asked]);
        expect([...inputIds.subarray(asked.length)]).toEqual([...encodeTarget(target, chatml), chatml.eosId]);
        const learned = inputIds.filter((_, i) => lossMask[i] === 1);
        expect(chatml.decode(learned)).toBe([...history.map(([, said]) => said), target].join('').normalize('NFC'));
      }),
      { seed: 1 },
    );
  });

  it('refuses texts that would open or end a turn, naming every message', () => {
    expect(() =>
      encodeExample({ messages: talk('a<|im_end|>', 'b', 'x<|im_start|>system', 'c') }, chatml, options),
    ).toThrowErrorMatchingInlineSnapshot(`
      [DataError: rows.jsonl:3: message 1 (user) contains "<|im_end|>", a special token of the tokenizer; expected plain text, as it would end or open a turn. Remove it, or write it otherwise.
      rows.jsonl:3: message 3 (user) contains "<|im_start|>", a special token of the tokenizer; expected plain text, as it would end or open a turn. Remove it, or write it otherwise.]
    `);
    expect(() => encodeExample({ messages: talk('x', 'c<|im_end|>') }, chatml, options)).toThrow(
      'rows.jsonl:3: message 2 (assistant) contains "<|im_end|>", a special token of the tokenizer',
    );
  });

  it('has no header in its answers where the template has no generation prompt', () => {
    const turn = ['a', 'b'];
    const read = (tokenizer: Tokenizer, ids: ArrayLike<number>): string => {
      return Array.from(ids, (id) => tokenizer.token(id))
        .join('')
        .replaceAll('Ċ', '\n')
        .replaceAll('Ġ', ' ');
    };
    const roles = (before: string, after: string): string => {
      return `{% for m in messages %}{{ '${before}' }}{{ m.content }}{{ '${after}' }}{% endfor %}`;
    };
    const cases: [string, string, string][] = [
      // Template, what is asked, what is answered.
      [roles("<|bos|>' + m.role + '\\n", '<|eos|>\\n'), '<|bos|>user\nHi<|eos|>\n<|bos|>assistant\n', 'Yes'],
      // With a text at the end of what is not asked; with a space before the answer; after a word; around the answer.
      [
        `${roles("<|bos|>' + m.role + '\\n", '<|eos|>\\n')}{% if not add_generation_prompt %}{{ eos_token }}{% endif %}`,
        '<|bos|>user\nHi<|eos|>\n<|bos|>assistant\n',
        'Yes',
      ],
      [roles("' + m.role + ': ", '<|eos|>'), 'user: Hi<|eos|>assistant:', ' Yes'],
      [roles("### ' + m.role + '\\n\\n", '\\n<|eos|>'), '### user\n\nHi\n<|eos|>### assistant\n\n', 'Yes\n'],
      [
        "{% for m in messages %}{% if m.role == 'user' %}Q {{ m.content }} A:{% else %} {{ m.content }}<|eos|>{% endif %}{% endfor %}",
        'Q Hi A:',
        ' Yes',
      ],
    ];
    for (const [template, asked, answered] of cases) {
      const tokenizer = spoken(template);
      expect(read(tokenizer, encodePrompt(talk('Hi'), tokenizer))).toBe(asked);
      expect(read(tokenizer, encodeTarget('Yes', tokenizer))).toBe(answered);
      expect(decodeResponse(encodeTarget('Yes', tokenizer), tokenizer).trim()).toBe('Yes');
      const { ids: inputIds, learned: lossMask } = encodeExample(
        { messages: talk(...turn, 'c', 'd') },
        tokenizer,
        options,
      )!;
      const learned = inputIds.filter((_, i) => lossMask[i] === 1);
      expect(read(tokenizer, learned)).toBe(`${answered}<|eos|>`.repeat(2).replace('Yes', 'b').replace('Yes', 'd'));
    }
  });

  it('loses whole turns where an example is too long', () => {
    const turn = ['aaaa', 'bbbb'];
    const whole = encodeExample({ messages: talk(...turn, ...turn, 'c', 'd') }, chatml, options)!;
    const shorter = encodeExample({ messages: talk(...turn, 'c', 'd') }, chatml, options)!;
    const maxLength = whole.ids.length - 1;
    const left = { ...options, maxLength, overlong: 'left' as const };
    const cut = encodeExample({ messages: talk(...turn, ...turn, 'c', 'd') }, chatml, left)!;
    expect(cut).toEqual({ ...shorter, cutTokens: whole.ids.length - shorter.ids.length });
    expect(() => encodeExample({ messages: talk('c', 'd') }, chatml, { ...left, maxLength: 5 })).toThrow('too long');
  });

  it('says what is wrong with a template', () => {
    expect(() => spoken('{% for %}')).toThrow('tiny: chat_template: not readable; expected a Jinja template');
    expect(() => spoken("{% for m in messages %}{{ m['content'] }}{% endfor %}")).toThrowErrorMatchingInlineSnapshot(
      `[DataError: tiny: chat_template: writes no token of its own after an answer; expected the assistant’s text and a token that ends it, or a model would never stop. Mend the template, or remove it: then the plain format is used.]`,
    );
    expect(() => spoken("{{ raise_exception('no') }}")).toThrow(
      'chat_template: refuses a conversation of user (line 1: no)',
    );
    expect(() => spoken("{{ messages|length }}{{ messages[-1]['content'] }}<|eos|>")).toThrow(
      'changes what was written',
    );
    expect(() => spoken("{{ messages[0]['content'] }}")).toThrow('chat_template: writes no answer');
    const turn = ['a', 'b'];
    const counts = spoken("{{ messages|length > 3 }}{% for m in messages %}{{ m['content'] }}<|eos|>{% endfor %}");
    expect(() => encodeExample({ messages: talk(...turn, ...turn, 'c', 'd') }, counts, options)).toThrow(
      'the dialogue after message 1 changes what was written before it',
    );
    const hides =
      "{% for m in messages %}{{ m['content'] if loop.last or m.role == 'user' else '-' }}<|eos|>{% endfor %}";
    expect(() => encodeExample({ messages: talk(...turn, 'c', 'd') }, spoken(hides), options)).toThrow(
      'message 2 (assistant) does not stand in the text as it is',
    );
  });

  it('asks after earlier turns that its template rewrites, as transformers does; they are refused to be learned', () => {
    const qwen3 = loadTokenizer(fixturePath('tokenizers/qwen3'));
    const history = ['hi', '<think>\nOkay\n</think>\n\nHello!'];
    // apply_chat_template(add_generation_prompt=True): Qwen3 takes the thinking out of earlier answers.
    expect([...encodePrompt(talk(...history, 'again'), qwen3)]).toEqual([
      ...[994, 84, 82, 323, 198, 71, 72, 995, 198, 994, 434, 82, 286, 83, 275, 83, 198, 592, 0, 995, 198],
      ...[994, 84, 82, 323, 198, 64, 70, 64, 276, 995, 198, 994, 434, 82, 286, 83, 275, 83, 198],
    ]);
    expect(() => encodeExample({ messages: talk(...history, 'again', 'x') }, qwen3, options)).toThrow(
      'message 2 (assistant) does not stand in the text as it is',
    );
    expect(() => encodePrompt(talk(...history, 'a<|im_end|>'), qwen3)).toThrow(
      'message 3 (user) contains "<|im_end|>"',
    );
  });

  it('learns the last answer of a conversation whose template rewrites earlier ones, after what it asks', () => {
    const qwen3 = loadTokenizer(fixturePath('tokenizers/qwen3'));
    const said = talk('hi', '<think>\nOkay\n</think>\n\nHello!', 'again', 'Yes.');
    const messages = said.map((message, i) => (i === 1 ? { ...message, learned: false } : message));
    const asked = encodePrompt(messages.slice(0, -1), qwen3);
    const { ids, learned } = encodeExample({ messages }, qwen3, options)!;
    expect([...ids.subarray(0, asked.length)]).toEqual([...asked]);
    expect([...ids.subarray(asked.length)]).toEqual([...encodeTarget('Yes.', qwen3), qwen3.eosId]);
    expect([...learned]).toEqual([...ids].map((_, i) => Number(i >= asked.length)));
  });

  it('has no answer where the text is empty', () => {
    expect(encodeTarget('', chatml)).toHaveLength(0);
  });
});
