/** Where special tokens come from in folders of every age, when a PAD is added, and what is said of folders that lack something. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { userSays } from '../../src/message.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { byteTokenizer } from './tiny-tokenizer.ts';

const root = mkdtempSync(join(tmpdir(), 'tokenizer-folder-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;

const bytes = JSON.parse(byteTokenizer().files['tokenizer.json']);

/** tokenizer.json of 256 bytes and these added tokens, which have the ids from 256 on. */
function json(names: readonly string[], changes: object = {}): object {
  const { '<|pad|>': _pad, '<|bos|>': _bos, '<|eos|>': _eos, ...vocab } = bytes.model.vocab as Record<string, number>;
  const shifted = Object.fromEntries(Object.entries(vocab).map(([token, id]) => [token, id - 3]));
  const added = names.map((content, i) => ({ id: 256 + i, content, special: true }));
  return { ...bytes, added_tokens: added, model: { ...bytes.model, vocab: shifted }, ...changes };
}

function write(files: Record<string, unknown>): string {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

const load = (files: Record<string, unknown>): Tokenizer => loadTokenizer(write(files));
const names = ['<s>', '</s>', '<pad>', '<unk>'];
const [BOS, EOS, PAD, NEW] = [256, 257, 258, 260];

describe('special tokens', () => {
  const tokenizer = json(names);

  it('come from tokenizer_config.json before special_tokens_map.json before ids', () => {
    const ids = {
      'generation_config.json': { eos_token_id: 259 },
      'config.json': { eos_token_id: 256, pad_token_id: 258 },
    };
    const map = { 'special_tokens_map.json': { eos_token: { content: '</s>' } } };
    const config = { 'tokenizer_config.json': { eos_token: '<s>', pad_token: '<pad>' } };
    const rest = { 'tokenizer.json': tokenizer };
    expect(load({ ...rest, ...ids, ...map, ...config })).toMatchObject({ eosId: BOS, padId: PAD, addedPad: false });
    expect(load({ ...rest, ...ids, ...map })).toMatchObject({ eosId: EOS, padId: PAD, addedPad: false });
    expect(load({ ...rest, ...ids })).toMatchObject({ eosId: 259, padId: PAD, addedPad: false });
    expect(load({ ...rest, 'config.json': ids['config.json'] })).toMatchObject({ eosId: BOS, padId: PAD });
  });

  it('of several ends the first is EOS, and all are kept but PAD', () => {
    const ends = { eos_token_id: [257, 259, 258], pad_token_id: 258 };
    const found = load({ 'tokenizer.json': tokenizer, 'generation_config.json': ends });
    expect(found).toMatchObject({ eosId: EOS, padId: PAD, stopIds: [257, 259] });
  });

  it('may be known by name alone', () => {
    expect(load({ 'tokenizer.json': tokenizer })).toMatchObject({
      eosId: EOS,
      padId: NEW,
      addedPad: true,
      bosId: null,
    });
  });

  it('are written into the files, so that a saved folder says the same', () => {
    const first = load({ 'tokenizer.json': tokenizer, 'config.json': { eos_token_id: 257, bos_token_id: 256 } });
    const again = load(first.files as unknown as Record<string, unknown>);
    const { padId, eosId, bosId, hash, vocabSize } = first;
    expect(again).toMatchObject({ padId, eosId, bosId, hash, vocabSize, addedPad: false, files: first.files });
  });

  it('at the end that nothing gives need no rows of a model, those that a template writes do', () => {
    const spare = (more: object): number =>
      load({
        'tokenizer.json': json([...names, '<turn>', '<image>', '<video>']),
        'tokenizer_config.json': { eos_token: '</s>', bos_token: '<s>', pad_token: '<pad>', ...more },
      }).spareTokens;
    const template = "{% for m in messages %}<turn>{{ m['role'] }} {{ m['content'] }}</s>{% endfor %}";
    // Without a template <unk> and <turn> are as idle as the two behind them.
    expect([spare({}), spare({ chat_template: template }), spare({ pad_token: '<video>' })]).toEqual([4, 2, 0]);
  });

  it('of a complete folder stay as they are, to the byte', () => {
    const files = {
      'tokenizer.json': JSON.stringify(tokenizer),
      'tokenizer_config.json': '{"eos_token":"</s>",  "pad_token":"<pad>"}',
    };
    expect(load(files).files).toEqual(files);
  });
});

describe('a PAD of its own', () => {
  const load2 = (config: object, added = names): Tokenizer =>
    load({
      'tokenizer.json': json(added),
      'tokenizer_config.json': { eos_token: '</s>', bos_token: '<s>', unk_token: '<unk>', ...config },
    });

  it.each([
    ['there is none', {}],
    ['it is null', { pad_token: null }],
    ['it is EOS', { pad_token: '</s>' }],
    ['it is BOS', { pad_token: '<s>' }],
    ['it is UNK', { pad_token: '<unk>' }],
    ['the vocabulary lacks it', { pad_token: '[PAD]' }],
  ])('is added after every other id where %s', (_, config) => {
    const tokenizer = load2(config);
    expect(tokenizer).toMatchObject({ padId: NEW, addedPad: true, vocabSize: NEW + 1, eosId: EOS });
    expect(tokenizer.token(NEW)).toBe('<|pad|>');
    expect(JSON.parse(tokenizer.files['tokenizer.json']).added_tokens.at(-1)).toEqual({
      ...{ id: NEW, content: '<|pad|>', single_word: false, lstrip: false, rstrip: false, normalized: false },
      special: true,
    });
    expect(JSON.parse(tokenizer.files['tokenizer_config.json']).pad_token).toBe('<|pad|>');
  });

  it('is the token of that name where there is one', () => {
    expect(load2({}, [...names, '<|pad|>'])).toMatchObject({ padId: 260, addedPad: false });
  });

  it('has another name where an ordinary token has that one', () => {
    const plain = json(names) as { model: { vocab: Record<string, number> } };
    const { Z: id = -1, ...rest } = plain.model.vocab;
    plain.model.vocab = { ...rest, '<|pad|>': id };
    const tokenizer = load({ 'tokenizer.json': plain, 'tokenizer_config.json': { eos_token: '</s>' } });
    expect([tokenizer.padId, tokenizer.token(NEW)]).toEqual([NEW, '<|pad-1|>']);
  });
});

describe('BOS in front', () => {
  const config = { eos_token: '</s>', bos_token: '<s>', pad_token: '<pad>' };
  const single = [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
  const special = { '<s>': { id: '<s>', ids: [256], tokens: ['<s>'] } };
  const post = { post_processor: { type: 'TemplateProcessing', single, pair: single, special_tokens: special } };
  const bosOf = (changes: object, rest: object = {}): number | null =>
    load({ 'tokenizer.json': json(names, changes), 'tokenizer_config.json': { ...config, ...rest } }).bosId;

  it('is what the post-processor says, or add_bos_token where it is said', () => {
    expect(bosOf({})).toBeNull();
    expect(bosOf(post)).toBe(BOS);
    expect(
      bosOf({ post_processor: { type: 'Sequence', processors: [bytes.pre_tokenizer, post.post_processor] } }),
    ).toBe(BOS);
    expect(bosOf({}, { add_bos_token: true })).toBe(BOS);
    expect(bosOf(post, { add_bos_token: false })).toBeNull();
    expect(bosOf(post, { bos_token: null })).toBeNull();
  });

  it('stands in front in tokenizers trained here, which say nothing of it', () => {
    expect(byteTokenizer().bosId).toBe(1);
  });
});

describe('chat templates', () => {
  const turns = (mark: string): string => `{% for m in messages %}${mark}{{ m.content }}</s>{% endfor %}`;
  const config = { eos_token: '</s>', pad_token: '<pad>', chat_template: turns('config') };
  const folder = (files: Record<string, string>, changes: object = {}): Tokenizer => {
    const path = write({ 'tokenizer.json': json(names), 'tokenizer_config.json': { ...config, ...changes } });
    mkdirSync(join(path, 'additional_chat_templates'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    return loadTokenizer(path);
  };
  const asked = (tokenizer: Tokenizer): string | undefined => {
    const ids = tokenizer.chat?.ask({ messages: userSays('hi') });
    return ids && tokenizer.decode(ids);
  };

  it('come from chat_template.jinja before tokenizer_config.json, whatever stands beside it', () => {
    expect(asked(folder({}))).toBe('confighiconfig');
    const own = { 'chat_template.jinja': turns('own') };
    expect(asked(folder(own))).toBe('ownhiown');
    const tools = { 'additional_chat_templates/tool_use.jinja': turns('tools') };
    const both = folder({ ...own, ...tools });
    expect(asked(both)).toBe('ownhiown');
    // What is saved holds all of them.
    expect(JSON.parse(both.files['tokenizer_config.json']).chat_template).toEqual([
      { name: 'default', template: turns('own') },
      { name: 'tool_use', template: turns('tools') },
    ]);
    expect(asked(createTokenizer(both.files, 'again'))).toBe('ownhiown');
    expect(() => folder(tools)).toThrow('several with one named "default", received names "tool_use"');
    expect(asked(folder({}, { chat_template: { default: turns('named'), rag: 'x' } }))).toBe('namedhinamed');
  });
});

describe('folders that lack something', () => {
  const vocab = { a: 0, b: 1, '<|endoftext|>': 2 };

  it('may be GPT-2’s old two files, with the end by name', () => {
    const tokenizer = load({ 'vocab.json': vocab, 'merges.txt': '#version: 0.2\n' });
    expect(tokenizer).toMatchObject({ eosId: 2, padId: 3, bosId: null, addedPad: true });
  });

  it('are refused where the two files are another family’s', () => {
    const files = {
      'vocab.json': vocab,
      'merges.txt': '',
      'tokenizer_config.json': { tokenizer_class: 'Qwen2Tokenizer' },
    };
    expect(() => load(files)).toThrow(
      'tokenizer.json: the file is missing, and vocab.json and merges.txt are those of a Qwen2Tokenizer; expected',
    );
  });

  it('are refused with a way to go on where there is a tokenizer.model', () => {
    expect(() => load({ 'tokenizer.model': 'x' })).toThrow(
      'expected it beside tokenizer.model, which is not read here. Write it with transformers: AutoTokenizer',
    );
  });

  it('are refused where a part is of no known kind', () => {
    const config = { eos_token: '</s>', pad_token: '<pad>' };
    const odd = (changes: object) => () =>
      load({ 'tokenizer.json': json(names, changes), 'tokenizer_config.json': config });
    expect(odd({ decoder: { type: 'Odd' } })).toThrow('tokenizer.json decoder.type: "Odd" is not known here');
    expect(odd({ pre_tokenizer: { type: 'Odd' } })).toThrow(
      'tokenizer.json pre_tokenizer.type: "Odd" is not known here',
    );
  });
});

describe('decoders of other families', () => {
  const config = { 'tokenizer_config.json': JSON.stringify({ eos_token: '</s>', pad_token: '<pad>' }) };
  const texts = (decoder: object | null): string => {
    const text = JSON.stringify(json(names, { decoder }));
    const tokenizer = createTokenizer({ 'tokenizer.json': text, ...config }, 'tiny');
    return tokenizer.decode(tokenizer.encode('a b'));
  };

  it('join without a decoder by spaces, read Metaspace, and strip both ends', () => {
    expect(texts(null)).toBe('a Ġ b');
    expect(texts({ type: 'Metaspace', replacement: 'Ġ' })).toBe('a b');
    expect(texts({ type: 'Strip', content: 'a', start: 1, stop: 1 })).toBe('Ġb');
  });
});
