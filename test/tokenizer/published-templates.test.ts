/** Published chat templates: transformers' texts to the letter, and what a chat format makes of them. */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { decodeResponse, encodeExample, encodePrompt, encodeTarget } from '../../src/examples/instruction.ts';
import type { Message } from '../../src/message.ts';
import { type ChatMessage, chatTemplate, type TemplateInputs } from '../../src/tokenizer/chat-template.ts';
import { withTemplate } from '../../src/tokenizer/set-template.ts';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture } from '../helpers/fixtures.ts';
import { talk } from '../helpers/messages.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from './tiny-tokenizer.ts';

/** A text, or of long ones length and hash; null where the template refuses the conversation. */
type Text = string | [number, string] | null;

interface Golden {
  special: Record<string, string>;
  cases: [ChatMessage[], TemplateInputs][];
  /** By template and case: told, and asked. */
  texts: Record<string, [Text, Text][]>;
}

const golden = fixture<Golden>('published-templates.json');
const folder = new URL('../../scripts/fixtures/', import.meta.url);
const templates = JSON.parse(readFileSync(new URL('published_templates.json', folder), 'utf8')) as Record<
  string,
  { template: string }
>;
const templateOf = (name: string): string => templates[name]?.template ?? '';

/** As the fixture keeps it. Python counts characters, JavaScript UTF-16 units. */
function kept(text: string): Text {
  const { length } = [...text];
  return length <= 400 ? text : [length, createHash('sha256').update(text).digest('hex')];
}

describe.each(Object.keys(golden.texts))('the template of %s', (name) => {
  const render = chatTemplate(templateOf(name), golden.special, name);

  it('writes what transformers writes, and refuses what it refuses', () => {
    const found = golden.cases.map(([messages, inputs]) => {
      return [false, true].map((ask) => {
        try {
          return kept(render(messages, ask, inputs));
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          return null;
        }
      });
    });
    expect(found).toEqual(golden.texts[name]);
  });
});

/** Single bytes, and the tokens that a template writes between "<" and ">", as special ones. */
function speaker(template: string): Tokenizer {
  const { files } = byteTokenizer();
  const json = JSON.parse(files['tokenizer.json']);
  const texts = new Set(template.match(/<\|[a-z_]+\|>|<｜[^｜]+｜>|<(?:start|end)_of_turn>/g));
  for (const [i, content] of [...texts].entries()) {
    json.added_tokens.push({ id: 259 + i, content, special: true, lstrip: false, rstrip: false, normalized: false });
  }
  const config = { ...JSON.parse(files['tokenizer_config.json']), chat_template: template };
  return createTokenizer(
    { 'tokenizer.json': JSON.stringify(json), 'tokenizer_config.json': JSON.stringify(config) },
    't',
  );
}

const HEADERS =
  "{% for m in messages %}{{ '<|start|>' + m.role + '\n' + m.content + '\n<|end|>\n' }}{% endfor %}" +
  '{% if not add_generation_prompt %}{{ eos_token }}{% endif %}';
const asIs = (text: string): string => text;
const trimmed = (text: string): string => text.replace(/^[ \n]+|[ \n]+$/g, '');

/** What each template makes of an answer's white space. */
const spoken: Record<string, { template: string; answer: (text: string) => string }> = {
  ...Object.fromEntries(
    ['smollm2', 'qwen2.5', 'qwen3-2507', 'phi3', 'phi3.5'].map((name) => {
      return [name, { template: templateOf(name), answer: asIs }];
    }),
  ),
  ...Object.fromEntries(
    ['llama3.1-format', 'gemma3-format', 'mistral-tools-format'].map((name) => {
      return [name, { template: templateOf(name), answer: trimmed }];
    }),
  ),
  qwen3: { template: templateOf('qwen3'), answer: (text) => text.replace(/^\n+/, '') },
  'no generation prompt': { template: HEADERS, answer: asIs },
};

describe.each(Object.entries(spoken))('a chat format of %s', (name, { template, answer }) => {
  const tokenizer = speaker(template);
  const config = JSON.parse(tokenizer.files['tokenizer_config.json']);
  const render = chatTemplate(template, { bos_token: config.bos_token, eos_token: config.eos_token }, 't');
  const read = (ids: Int32Array): string => {
    const bytes = [...ids].map((id) => (tokenizer.decode([id]) === '' ? Buffer.from(tokenizer.token(id)) : byteOf(id)));
    return Buffer.concat(bytes).toString();
  };
  const letters = [...byteTokenizer().encode('a \n1.<')];
  const byteOf = (id: number): Buffer => Buffer.from(tokenizer.decode([id]));
  const unit = fc.constantFrom(...letters.map((id) => tokenizer.decode([id])));
  // Every answer holds a letter: nothing can be learned from white space that a template takes away.
  const text = fc
    .tuple(fc.string({ unit, maxLength: 4 }), fc.string({ unit, maxLength: 4 }))
    .map(([a, b]) => `${a}x${b}`);
  const turns = fc.array(fc.tuple(text, text), { maxLength: 2 });

  if (name in golden.texts)
    it('asks a conversation with a system text as transformers writes it', () => {
      const [messages] = golden.cases.at(-1) as [Message[], TemplateInputs];
      const { bos_token: bos = '', eos_token: eos = '' } = golden.special;
      const expected = String(golden.texts[name]?.at(-1)?.[1]);
      const asked = read(encodePrompt(messages, tokenizer));
      expect(asked).toBe(expected.replace(bos, config.bos_token).replace(eos, config.eos_token));
      expect(asked).toContain('Be brief.');
    });

  it('writes the question, the answer and its end as the template writes them together', () => {
    fc.assert(
      fc.property(turns, text, text, (history, prompt, target) => {
        const messages = talk(...history.flat(), prompt, target);
        const options = { maxLength: 9999, overlong: 'error' as const, where: 'row' };
        const { ids: inputIds, learned: lossMask } = encodeExample({ messages }, tokenizer, options)!;
        const whole = render(
          messages.map((message) => ({ ...message })),
          false,
        );
        const written = read(inputIds);
        expect(whole.startsWith(written)).toBe(true);
        expect(whole.slice(written.length)).not.toContain('x');
        const asked = encodePrompt(messages.slice(0, -1), tokenizer);
        expect([...inputIds.subarray(0, asked.length)]).toEqual([...asked]);
        expect([...inputIds.subarray(asked.length)]).toEqual([...encodeTarget(target, tokenizer), tokenizer.eosId]);
        expect(asked.length + lossMask.subarray(asked.length).reduce((sum, one) => sum + one, 0)).toBe(inputIds.length);
      }),
      { seed: 1, numRuns: 30 },
    );
  });

  it('gives an answer back without what stands around it', () => {
    fc.assert(
      fc.property(text, (target) => {
        expect(decodeResponse(encodeTarget(target, tokenizer), tokenizer)).toBe(answer(target));
      }),
      { seed: 1, numRuns: 30 },
    );
  });
});

describe('DeepSeek-R1, which asks with <think> and takes reasoning out of answers', () => {
  const template = templateOf('deepseek-v3');
  const inFolder = useTemporaryFolder();
  const row = { maxLength: 9999, overlong: 'error' as const, where: 'row' };
  const pieces = (tokenizer: Tokenizer, ids: Int32Array): string => [...ids].map((id) => tokenizer.token(id)).join('');

  it('asks as its template asks, and names the file to write where answers are to be learned', () => {
    const tokenizer = speaker(template);
    expect(pieces(tokenizer, encodePrompt(talk('Hi'), tokenizer))).toMatch(/<｜User｜>Hi<｜Assistant｜><think>Ċ$/);
    for (const answer of [{ content: 'A' }, { content: '<think>\nhm\n</think>A' }]) {
      const messages: Message[] = [...talk('Hi'), { role: 'assistant', ...answer }];
      expect(() => encodeExample({ messages }, tokenizer, row)).toThrow(
        /^row: chat_template: asks with "<think>\\n", and writes message 2 \(assistant\) without it; .* take "<think>\\n" out of it at add_generation_prompt, and name the file as data\.template/,
      );
    }
  });

  it('learns from answers without reasoning once the tag is out of it', () => {
    writeFileSync(inFolder('own.jinja'), template.replace("'<｜Assistant｜><think>\\n'", "'<｜Assistant｜>'"));
    const { tokenizer } = withTemplate(speaker(template), inFolder('own.jinja'), 'r1');
    expect(JSON.parse(tokenizer.files['tokenizer_config.json']).chat_template).not.toContain('<think>');
    const messages = talk('Hi', 'A', 'So', 'B');
    const { ids, learned } = encodeExample({ messages }, tokenizer, row)!;
    const asked = encodePrompt(messages.slice(0, -1), tokenizer);
    expect([...ids.subarray(0, asked.length)]).toEqual([...asked]);
    expect(pieces(tokenizer, ids)).toMatch(
      /<｜User｜>Hi<｜Assistant｜>A<｜end▁of▁sentence｜><｜User｜>So<｜Assistant｜>B<｜end▁of▁sentence｜>$/,
    );
    expect(
      pieces(
        tokenizer,
        ids.filter((_, i) => learned[i] === 1),
      ),
    ).toBe('A<｜end▁of▁sentence｜>B<｜end▁of▁sentence｜>');
  });
});
