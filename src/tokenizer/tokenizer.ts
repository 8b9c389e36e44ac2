/** Text to token ids and back, from a Hugging Face tokenizer folder. */
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { DataError, errorMessage } from '../errors.ts';
import { hashText } from '../files/hash.ts';
import { splitWords } from './bytes.ts';
import { checkSpecialIds, specialTokens } from './special-tokens.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { readTokenizerFolder } from './tokenizer-folder.ts';

/** A loaded tokenizer. Its `hash` names it in manifests and dataset metadata. */
export interface Tokenizer {
  /** Largest id + 1, special tokens included. */
  vocabSize: number;
  padId: number;
  bosId: number | null;
  eosId: number;
  /**
   * Ids of a text. Never a special id: none is added, and "<|eos|>" inside a text is plain characters,
   * so data cannot end a sequence early.
   */
  encode(text: string): Int32Array;
  /** Text of ids; special tokens are left out. Incomplete UTF-8 becomes U+FFFD. */
  decode(ids: ArrayLike<number>): string;
  /** The vocabulary's own spelling of one id ("Ġlamp", "<|eos|>"), or "<id>" where there is none. */
  token(id: number): string;
  /** True where a PAD was added that the files lack: the model's token tables have no row for it. */
  addedPad: boolean;
  /** True where the tokenizer itself puts a space in front of a text (Llama 2, Mistral). */
  prependsSpace: boolean;
  /** Content hash of tokenizer.json, "sha256:…". */
  hash: string;
  files: TokenizerFiles;
}

interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
}

/** A normaliser, pre-tokeniser or post-processor, or a sequence of them. */
interface Part {
  type?: string;
  add_prefix_space?: boolean;
  use_regex?: boolean;
  prepend?: string;
  prepend_scheme?: string;
  normalizers?: Part[];
  pretokenizers?: Part[];
  processors?: Part[];
  single?: { SpecialToken?: { id: string } }[];
}

/** The parts of tokenizer.json that are read here; the library reads the rest. */
interface TokenizerJson {
  added_tokens: AddedToken[];
  normalizer: Part | null;
  pre_tokenizer: Part | null;
  post_processor: Part | null;
  model: { vocab: Record<string, number> | [string, number][] };
}

/** tokenizer_config.json names its special tokens as text or as an added-token object. */
type TokenizerConfig = Record<string, unknown>;

/**
 * Loads a tokenizer from a Hugging Face folder; where it has no PAD of its own, it gets one.
 *
 * @throws DataError when a file is missing or damaged, or EOS is missing
 */
export function loadTokenizer(folder: string): Tokenizer {
  const { files, addedPad } = readTokenizerFolder(folder);
  return { ...createTokenizer(files, folder), addedPad };
}

/**
 * A tokenizer from the texts of its two files.
 *
 * @param where names the tokenizer in errors: its folder
 * @throws DataError as `loadTokenizer`
 */
export function createTokenizer(files: TokenizerFiles, where: string): Tokenizer {
  const json = parse(files, 'tokenizer.json', where) as unknown as TokenizerJson;
  const config = parse(files, 'tokenizer_config.json', where);
  const hf = construct(json, config, where);
  const vocab = Array.isArray(json.model.vocab) ? json.model.vocab : Object.entries(json.model.vocab);
  const tokens: string[] = [];
  const idOf = new Map<string, number>();
  for (const [token, id] of [...vocab, ...json.added_tokens.map(({ content, id }) => [content, id] as const)]) {
    tokens[id] = token;
    idOf.set(token, id);
  }
  const special = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
  const specialId = (key: string): { id: number } | undefined => {
    const value = config[key];
    const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
    const id = typeof text === 'string' ? idOf.get(text) : undefined;
    return id === undefined ? undefined : { id };
  };
  const pad = specialId('pad_token');
  const bos = specialId('bos_token');
  const eos = specialId('eos_token');
  const ids = checkSpecialIds(join(where, 'tokenizer_config.json'), {
    ...(pad && { pad: pad.id }),
    ...(bos && { bos: bos.id }),
    ...(eos && { eos: eos.id }),
  });
  return {
    vocabSize: tokens.length,
    padId: ids.pad,
    // A BOS begins sequences where the family's own tokenizer puts it there, and in tokenizers trained here.
    bosId: beginsWithBos(json, config, tokens[ids.bos ?? -1]) ? ids.bos : null,
    eosId: ids.eos,
    encode: encoder(hf, json),
    decode: (sequence) => {
      const plain: number[] = [];
      for (let i = 0; i < sequence.length; i++) {
        const id = sequence[i] ?? -1;
        if (tokens[id] !== undefined && !special.has(id)) plain.push(id);
      }
      return plain.length === 0 ? '' : hf.decode(plain, { clean_up_tokenization_spaces: false });
    },
    token: (id) => tokens[id] ?? `<${id}>`,
    addedPad: false,
    prependsSpace: prependsSpace(json),
    hash: hashText(files['tokenizer.json']),
    files,
  };
}

/**
 * With GPT-2's byte-level splitting each word is encoded alone, so words are looked up in a cache
 * (3 times faster than asking the library on first reading, 17 times once the words are known). Other tokenizers go
 * through the library whole.
 */
function encoder(hf: HuggingFaceTokenizer, json: TokenizerJson): (text: string) => Int32Array {
  const encode = (text: string): number[] => hf.encode(text, { add_special_tokens: false }).ids;
  const { pre_tokenizer: pre, normalizer, added_tokens: added } = json;
  const isWordwise =
    pre?.type === 'ByteLevel' &&
    !pre.add_prefix_space &&
    pre.use_regex !== false &&
    !normalizer &&
    added.every((token) => token.special);
  if (!isWordwise) return (text) => Int32Array.from(encode(text));
  const cache = new Map<string, number[]>();
  return (text) => {
    const ids: number[] = [];
    for (const word of splitWords(text)) {
      let known = cache.get(word);
      if (known === undefined) {
        known = encode(word);
        if (cache.size >= 100_000) cache.clear();
        cache.set(word, known);
      }
      for (const id of known) ids.push(id);
    }
    return Int32Array.from(ids);
  };
}

/** A part with those within it. */
function partsOf(part: Part | null | undefined): Part[] {
  if (!part) return [];
  return [
    part,
    ...[part.normalizers, part.pretokenizers, part.processors].flatMap((list) => (list ?? []).flatMap(partsOf)),
  ];
}

function beginsWithBos(json: TokenizerJson, config: TokenizerConfig, bos: string | undefined): boolean {
  if (bos === undefined) return false;
  if (bos === specialTokens.bos || config.add_bos_token === true) return true;
  return partsOf(json.post_processor).some(({ single }) => single?.[0]?.SpecialToken?.id === bos);
}

function prependsSpace({ normalizer, pre_tokenizer: pre }: TokenizerJson): boolean {
  if (partsOf(normalizer).some(({ type }) => type === 'Prepend')) return true;
  return partsOf(pre).some(({ type, prepend_scheme: scheme, add_prefix_space: prefix }) => {
    return type === 'Metaspace' ? (scheme ?? 'always') !== 'never' : prefix === true;
  });
}

function parse(files: TokenizerFiles, name: keyof TokenizerFiles, where: string): TokenizerConfig {
  try {
    const value: unknown = JSON.parse(files[name]);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not an object');
    return value as TokenizerConfig;
  } catch (error) {
    throw new DataError(
      `${join(where, name)}: not readable; expected a JSON object (${errorMessage(error)}). ` +
        'Copy the file again or run npx tsx scripts/train-tokenizer.ts.',
      { cause: error },
    );
  }
}

/** Special tokens are kept from the library, so that it cannot find them inside texts. */
function construct(json: TokenizerJson, config: TokenizerConfig, where: string): HuggingFaceTokenizer {
  try {
    const added = json.added_tokens.filter((token) => !token.special);
    if (typeof json.model.vocab !== 'object' || json.model.vocab === null) throw new Error('model.vocab is missing');
    return new HuggingFaceTokenizer({ ...json, added_tokens: added }, config);
  } catch (error) {
    throw new DataError(
      `${join(where, 'tokenizer.json')}: not a tokenizer; expected the "tokenizers" library's format with ` +
        `added_tokens and a model (${errorMessage(error)}). Copy the file again or run npx tsx scripts/train-tokenizer.ts.`,
      { cause: error },
    );
  }
}
