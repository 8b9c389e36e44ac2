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

test('chatml adds its tokens where the vocabulary has none, behind a PAD that was added too', () => {
  const own = loadTokenizer(folder('gpt2'));
  const { tokenizer, lines } = withTemplate(own, 'chatml', 'gpt2');
  const first = own.vocabSize;
  expect(own).toMatchObject({ addedPad: true, padId: first - 1, newTokens: [] });
  expect(tokenizer).toMatchObject({
    ...{ addedPad: true, padId: own.padId, newTokens: [first, first + 1], vocabSize: first + 2, spareTokens: 0 },
    // Answers end with the new token; what the model may end with so far stays an end.
    ...{ eosId: first + 1, stopIds: [first + 1, own.eosId] },
  });
  expect(lines).toEqual([
    `template  chatml (data.template): 2 tokens added to the vocabulary (<|im_start|>, <|im_end|>), rows ${first}–${first + 1}, ` +
      'trained (with LoRA beside the adapters)',
  ]);
  const prompt = '<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n';
  const ids = encodePrompt(asked, tokenizer);
  expect(spelt(ids, tokenizer)).toBe(prompt);
  expect([ids[0], ids.filter((id) => id >= first).length]).toEqual([first, 3]);
  expect(tokenizer.decode([...tokenizer.encode('Good day'), first + 1])).toBe('Good day');
  const saved = createTokenizer(tokenizer.files, 'saved');
  expect(saved).toMatchObject({ hash: tokenizer.hash, eosId: first + 1, padId: own.padId, newTokens: [] });
  expect(JSON.parse(tokenizer.files['tokenizer_config.json'])).toMatchObject({ eos_token: '<|im_end|>' });
});

test('chatml adds the one token that is missing', () => {
  const { files } = loadTokenizer(folder('smollm2'));
  const json = files['tokenizer.json'].replaceAll('<|im_start|>', '<|im_begin|>');
  const config = files['tokenizer_config.json'].replaceAll('<|im_start|>', '<|im_begin|>');
  const own = createTokenizer({ 'tokenizer.json': json, 'tokenizer_config.json': config }, 'x');
  const { tokenizer, lines } = withTemplate(own, 'chatml', 'x');
  expect(tokenizer).toMatchObject({ newTokens: [own.vocabSize], eosId: own.eosId, vocabSize: own.vocabSize + 1 });
  expect(lines).toEqual([
    expect.stringMatching(/1 token added to the vocabulary \(<\|im_start\|>\), row \d+, trained/),
  ]);
});

test('a file of one’s own is told which of its tokens are none', () => {
  writeFileSync(
    path('turns.jinja'),
    '{% for m in messages %}<|{{ m.role }}|><|user|><|turn-1|><|endoftext|>{{ m.content }}{{ eos_token }}{% endfor %}',
  );
  const { lines } = withTemplate(loadTokenizer(folder('gpt2')), path('turns.jinja'), 'gpt2');
  expect(lines[1]).toBe(
    `template  ${path('turns.jinja')}: no tokens of the vocabulary, so they are read in pieces: <|user|>, <|turn-1|>`,
  );
});
