/** Another chat template than the one a tokenizer came with. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { encodeExample, encodePrompt } from '../../src/examples/instruction.ts';
import { userSays } from '../../src/message.ts';
import { withTemplate } from '../../src/tokenizer/set-template.ts';
import { createTokenizer, loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const folder = (name: string): string => fileURLToPath(new URL(`../fixtures/tokenizers/${name}`, import.meta.url));
const spelt = (ids: ArrayLike<number>, { token }: Tokenizer): string =>
  Array.from(ids, token).join('').replaceAll('Ġ', ' ').replaceAll('Ċ', '\n');
const asked = userSays('Hello there');

test('chatml where the vocabulary has its tokens, saved with the tokenizer', () => {
  const { tokenizer, lines } = withTemplate(loadTokenizer(folder('smollm2')), 'chatml', 'smollm2');
  // The form that OpenAI published, without a system's message.
  const prompt = '<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n';
  expect(spelt(encodePrompt(asked, tokenizer), tokenizer)).toBe(prompt);
  expect(lines).toEqual(['template  chatml, not the template that the model came with (data.template)']);
  const messages = [...asked, { role: 'assistant', content: 'Good day' } as const];
  const example = encodeExample({ messages }, tokenizer, { maxLength: 64, overlong: 'error', where: 'a' });
  const learned = example?.ids.filter((_, i) => example.learned[i] === 1) ?? [];
  expect(spelt(learned, tokenizer)).toBe('Good day<|im_end|>');
  const saved = createTokenizer(tokenizer.files, 'saved');
  expect([saved.hash, saved.eosId]).toEqual([tokenizer.hash, tokenizer.eosId]);
  expect(tokenizer.hash).not.toBe(loadTokenizer(folder('smollm2')).hash);
});

test('plain takes a template away; model leaves it', () => {
  const own = loadTokenizer(folder('smollm2'));
  const { tokenizer, lines } = withTemplate(own, 'plain', 'smollm2');
  expect(tokenizer.chat).toBeNull();
  expect(spelt(encodePrompt(asked, tokenizer), tokenizer)).toMatch(/Hello there\n$/);
  expect(lines).toHaveLength(1);
  expect(withTemplate(own, 'model', 'smollm2')).toEqual({ tokenizer: own, lines: [] });
});

test('a file of one’s own', async () => {
  writeFileSync(
    path('own.jinja'),
    '{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}',
  );
  const { tokenizer, lines } = withTemplate(loadTokenizer(folder('gpt2')), path('own.jinja'), 'gpt2');
  expect(spelt(encodePrompt(asked, tokenizer), tokenizer)).toBe('[user] Hello there<|endoftext|>[assistant] ');
  expect(lines).toEqual([`template  ${path('own.jinja')} (data.template)`]);
  writeFileSync(path('endless.jinja'), '{% for m in messages %}{{ m.content }}{% endfor %}');
  expect(
    (await problemsOf(() => withTemplate(loadTokenizer(folder('gpt2')), path('endless.jinja'), 'gpt2'), path()))[0],
  ).toContain('endless.jinja: chat_template:');
});

test('chatml is refused where its tokens would be new', async () => {
  expect(await problemsOf(() => withTemplate(loadTokenizer(folder('gpt2')), 'chatml', 'gpt2'), '')).toEqual([
    expect.stringContaining('gpt2: data.template chatml: the vocabulary has no <|im_start|> and <|im_end|>'),
  ]);
});
