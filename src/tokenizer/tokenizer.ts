/** Text to token ids and back, from a Hugging Face tokenizer folder. */
import { join } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { hashText } from '../files/hash.ts';
import { tokenDecoder } from './decoders.ts';
import { type TextEncoders, textEncoders } from './library.ts';
import { checkSpecialIds } from './special-tokens.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { readTokenizerFolder } from './tokenizer-folder.ts';
import { beginsWithBos, prependsSpace, type TokenizerConfig, type TokenizerJson } from './tokenizer-json.ts';

/** A loaded tokenizer. Its `hash` names it in manifests and dataset metadata. */
export interface Tokenizer {
  /** Largest id + 1, special tokens included. */
  vocabSize: number;
  padId: number;
  bosId: number | null;
  /** What ends a response, a document, a sequence. */
  eosId: number;
  /** EOS and every other id that a model may end with, as its generation_config.json has them; never PAD. */
  stopIds: readonly number[];
  /**
   * Ids of a text. Never a special id: none is added, and "<|eos|>" inside a text is plain characters,
   * so data cannot end a sequence early.
   */
  encode(text: string): Int32Array;
  /** The same for text that goes on where other text ended: no space is put in front. */
  encodeOn(text: string): Int32Array;
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

/**
 * Loads a tokenizer from a Hugging Face folder; where it has no PAD of its own, it gets one.
 *
 * @throws DataError when a file is missing or damaged, or EOS is missing
 */
export function loadTokenizer(folder: string): Tokenizer {
  const { files, addedPad, ends } = readTokenizerFolder(folder);
  const tokenizer = createTokenizer(files, folder);
  const stopIds = [...new Set([...tokenizer.stopIds, ...ends])].filter((id) => id !== tokenizer.padId);
  return { ...tokenizer, addedPad, stopIds };
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
  const { encoders, text } = construct(json, config, where);
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
    stopIds: [ids.eos],
    ...encoders,
    decode: (sequence) => {
      const plain: string[] = [];
      for (let i = 0; i < sequence.length; i++) {
        const id = sequence[i] ?? -1;
        const token = tokens[id];
        if (token !== undefined && !special.has(id)) plain.push(token);
      }
      return text(plain);
    },
    token: (id) => tokens[id] ?? `<${id}>`,
    addedPad: false,
    prependsSpace: prependsSpace(json),
    hash: hashText(files['tokenizer.json']),
    files,
  };
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

interface Constructed {
  encoders: TextEncoders;
  text: (tokens: readonly string[]) => string;
}

/** Builds encoders and decoder, and says which file is at fault where they cannot be built. */
function construct(json: TokenizerJson, config: TokenizerConfig, where: string): Constructed {
  try {
    if (!Array.isArray(json.added_tokens)) throw new Error('added_tokens is missing');
    if (typeof json.model?.vocab !== 'object' || json.model.vocab === null) throw new Error('model.vocab is missing');
    return { encoders: textEncoders(json, config), text: tokenDecoder(json.decoder) };
  } catch (error) {
    throw new DataError(
      `${join(where, 'tokenizer.json')}: not a tokenizer; expected the "tokenizers" library's format with ` +
        `added_tokens and a model (${errorMessage(error)}). Copy the file again or run npx tsx scripts/train-tokenizer.ts.`,
      { cause: error },
    );
  }
}
