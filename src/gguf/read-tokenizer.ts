/** A tokenizer from GGUF metadata, as the two files of a Hugging Face folder. */
import { beginProcessor, sentencePieceParts } from '../tokenizer/sentencepiece-files.ts';
import { byteLevelParts, type TokenizerFiles } from '../tokenizer/tokenizer-files.ts';
import type { AddedToken } from '../tokenizer/tokenizer-json.ts';
import type { MetadataKeys } from './metadata-keys.ts';
import { publishedPreTokenizers } from './pre-tokenizers.ts';

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Rows of the token table that are there for its size only. */
const FILLER = /^\[PAD\d+\]$/;

/** A token that is found in texts as it stands. */
const FLAGS = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** Special tokens by id; what the metadata does not say is null. */
export interface SpecialTokenIds {
  readonly bos: number | null;
  readonly eos: number | null;
  readonly pad: number | null;
  /** EOS and the other tokens that end an answer. */
  readonly ends: readonly number[];
}

/** The files of a tokenizer, and its special tokens. */
export interface ReadTokenizer {
  readonly files: TokenizerFiles;
  readonly ids: SpecialTokenIds;
}

/** What is read before it is known what kind of vocabulary it is. */
interface Vocabulary {
  readonly keys: MetadataKeys;
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
  /** The text of BOS where it begins every text. */
  readonly begin: { readonly id: number; readonly text: string } | null;
}

const key = (name: string): string => `tokenizer.ggml.${name}`;

/**
 * Reads the tokenizer; what is wrong is added to the problems of the keys.
 * @param architecture of the model: Gemma's vocabularies are joined in another order
 * @param context written as `model_max_length`
 */
export function readTokenizer(keys: MetadataKeys, architecture: string, context: number): ReadTokenizer | undefined {
  const model = keys.required(key('model'), keys.text, '');
  const names: readonly string[] = ['gpt2', 'llama'];
  if (!names.includes(model)) {
    keys.problem(
      key('model'),
      `${JSON.stringify(model)} is not read; expected ${names.join(' or ')}. Take another model.`,
    );
    return undefined;
  }
  const isBytes = model === 'gpt2';
  const tokens = withoutFiller(keys, keys.required(key('tokens'), keys.texts, []));
  const kinds = keys.numbers(key('token_type')) ?? tokens.map(() => KIND.normal);
  const ids = specialIds(keys, isBytes, tokens.length);
  const begins = keys.flag(key('add_bos_token')) ?? (!isBytes || BEGUN.includes(cutName(keys)));
  if (keys.flag(key('add_eos_token')) === true) {
    keys.problem(key('add_eos_token'), 'is true: an end is put behind every text, which is not done here.');
  }
  const begin = begins && ids.bos !== null ? { id: ids.bos, text: tokens[ids.bos] as string } : null;
  const vocabulary: Vocabulary = { keys, tokens, kinds, begin };
  const parts = isBytes ? byteParts(vocabulary) : pieceParts(vocabulary, architecture, ids.unknown);
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: context,
    ...Object.fromEntries(
      (['bos', 'eos', 'pad', 'unk'] as const).map((kind) => {
        const id = kind === 'unk' ? ids.unknown : ids[kind];
        return [`${kind}_token`, id === null ? null : tokens[id]];
      }),
    ),
    clean_up_tokenization_spaces: false,
    model_input_names: ['input_ids', 'attention_mask'],
    ...chatTemplates(keys),
  };
  const files = {
    'tokenizer.json': `${JSON.stringify(parts, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
  return { files, ids };
}

/** Tokens up to the last that is one; each stands there once. */
function withoutFiller(keys: MetadataKeys, listed: readonly string[]): readonly string[] {
  const last = listed.findLastIndex((token) => !FILLER.test(token));
  const tokens = listed.slice(0, last + 1);
  const seen = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    const before = seen.get(token);
    if (before !== undefined) {
      keys.problem(key('tokens'), `${JSON.stringify(token)} is token ${before} and token ${id}; expected each once.`);
      break;
    }
    seen.set(token, id);
  }
  return tokens;
}

/** llama.cpp's own ids where a SentencePiece vocabulary does not say which they are. */
function specialIds(
  keys: MetadataKeys,
  isBytes: boolean,
  count: number,
): SpecialTokenIds & { readonly unknown: number | null } {
  const id = (name: string, usual: number | null): number | null => {
    const value = keys.number(key(`${name}_token_id`));
    // Some writers have −1, as 32 bits, for none.
    if (value === undefined || value === -1 || value === 2 ** 32 - 1) return value === undefined ? usual : null;
    if (Number.isInteger(value) && value >= 0 && value < count) return value;
    keys.problem(key(`${name}_token_id`), `expected the id of one of ${count} tokens, received ${value}.`);
    return null;
  };
  const eos = id('eos', isBytes ? null : 2);
  const others = ['eot', 'eom'].map((name) => id(name, null));
  return {
    bos: id('bos', isBytes ? null : 1),
    eos,
    pad: id('padding', null),
    unknown: id('unknown', isBytes ? null : 0),
    ends: [...new Set([eos, ...others].filter((end) => end !== null))],
  };
}

/** Names for which llama.cpp does the same as for another. */
const SAME_CUTS: Readonly<Record<string, readonly string[]>> = {
  'gpt-2': ['phi-2', 'olmo', 'mpt', 'jais'],
  smollm: ['starcoder', 'refact', 'command-r'],
  'llama-bpe': ['llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'],
  qwen2: ['deepseek-r1-qwen', 'kormo', 'megrez'],
  'gpt-4o': ['llama4', 'kanana2'],
};

/** llama.cpp begins every text with BOS for these, where the file does not say whether. */
const BEGUN: readonly string[] = ['llama-bpe', 'tekken'];

/** The way to cut texts that a file names, by its first name. */
function cutName(keys: MetadataKeys): string {
  const name = keys.required(key('pre'), keys.text, '');
  return Object.entries(SAME_CUTS).find(([, others]) => others.includes(name))?.[0] ?? name;
}

/** Byte-level BPE with the merges of the file. */
function byteParts({ keys, tokens, kinds, begin }: Vocabulary): Record<string, unknown> {
  const name = cutName(keys);
  const cut = Object.hasOwn(publishedPreTokenizers, name) ? publishedPreTokenizers[name] : undefined;
  if (cut === undefined) {
    const known = Object.keys(publishedPreTokenizers).join(', ');
    keys.problem(
      key('pre'),
      `${JSON.stringify(name)} is no way to cut texts that is known here; expected one of ${known}.`,
    );
  }
  const merges = keys.required(key('merges'), keys.texts, []).map((line) => line.split(' '));
  const known = new Set(tokens);
  const bad = merges.findIndex(
    (pair) => pair.length !== 2 || !pair.every((part) => known.has(part)) || !known.has(pair.join('')),
  );
  if (bad !== -1) {
    const line = JSON.stringify(merges[bad]?.join(' '));
    keys.problem(key('merges'), `expected two tokens that make a third, received ${line} at ${bad}.`);
  }
  return byteLevelParts({
    tokens,
    merges,
    added: tokens.flatMap((token, id) => addedToken(token, id, kinds[id])),
    normalizer: name === 'qwen2' ? { type: 'NFC' } : null,
    cut: cut?.parts.length === 1 ? cut.parts[0] : { type: 'Sequence', pretokenizers: cut?.parts ?? [] },
    begin: begin === null ? null : beginProcessor(begin),
    ignoresMerges: cut?.ignoresMerges ?? false,
  });
}

/** SentencePiece, by its scores; Gemma's follow the order of its tokens instead (transformers gguf_tokenizer_mapping.py). */
function pieceParts(
  { keys, tokens, kinds, begin }: Vocabulary,
  architecture: string,
  unknown: number | null,
): Record<string, unknown> {
  const isGemma = architecture.startsWith('gemma');
  const scores = keys.required(key('scores'), keys.numbers, []);
  keys.text(key('pre'));
  if (keys.flag(key('remove_extra_whitespaces')) === true) {
    keys.problem(key('remove_extra_whitespaces'), 'is true, which is not done here.');
  }
  // Tokens of users' own are written with spaces, for which the vocabulary has "▁".
  const spelled = tokens.map((token, id) => (kinds[id] === KIND.userDefined ? token.replaceAll(' ', '▁') : token));
  return sentencePieceParts({
    tokens: spelled,
    scores: isGemma ? spelled.map((_, id) => -id) : scores,
    isPiece: (id) => kinds[id] === KIND.normal || kinds[id] === KIND.userDefined,
    // "▁▁" would be found in texts that have this character, and not where there are spaces: it is joined instead.
    added: spelled.flatMap((token, id) => (token.includes('▁') ? [] : addedToken(token, id, kinds[id]))),
    unknown: unknown === null ? null : (tokens[unknown] as string),
    begin,
    prependsSpace: keys.flag(key('add_space_prefix')) ?? true,
  });
}

function addedToken(content: string, id: number, kind: number | undefined): AddedToken[] {
  const isSpecial = kind === KIND.control || kind === KIND.unknown;
  return isSpecial || kind === KIND.userDefined ? [{ id, content, ...FLAGS, special: isSpecial }] : [];
}

/** The template; further ones have names. */
function chatTemplates(keys: MetadataKeys): { chat_template?: string | { name: string; template: string }[] } {
  const first = keys.text('tokenizer.chat_template');
  const others = (keys.texts('tokenizer.chat_templates') ?? []).flatMap((name) => {
    const template = keys.text(`tokenizer.chat_template.${name}`);
    return template === undefined ? [] : [{ name, template }];
  });
  if (others.length === 0) return first === undefined ? {} : { chat_template: first };
  return { chat_template: first === undefined ? others : [{ name: 'default', template: first }, ...others] };
}
