/** Text to token ids and back, from a Hugging Face tokenizer folder. */
import { join } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { hashText } from '../files/hash.ts';
import { type ChatFormat, chatFormat } from './chat-format.ts';
import { chatTemplate, findTemplate } from './chat-template.ts';
import { tokenDecoder } from './decoders.ts';
import { type TextEncoders, textEncoders } from './encoders.ts';
import { renderedEncoder } from './rendered-text.ts';
import { flaggedTokens, specialTokensMap } from './special-flags.ts';
import { checkSpecialIds } from './special-tokens.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { parseObject, readTokenizerFolder } from './tokenizer-folder.ts';
import {
  beginsWithBos,
  prependsSpace,
  readTokenizerJson,
  type TokenizerConfig,
  type TokenizerJson,
} from './tokenizer-json.ts';

/** A loaded tokenizer. Its `hash` names it in manifests and dataset metadata. */
export interface Tokenizer {
  /** Largest id + 1, special tokens included. */
  vocabSize: number;
  /** Special tokens at the end of the ids that no text and no template gives (Gemma 3's for images): a model needs no rows for them. */
  spareTokens: number;
  padId: number;
  /** What begins every sequence; null where the family puts nothing in front, even if it has a token of that name. */
  bosId: number | null;
  /** What ends a response, a document, a sequence: EOS, or with a chat format what its template writes after an answer. */
  eosId: number;
  /** `eosId`, EOS and every other id that a model may end with, as its generation_config.json has them; never PAD. */
  stopIds: readonly number[];
  /**
   * Ids of a text. Never a special id: none is added, and "<|eos|>" inside a text is plain characters,
   * so data cannot end a sequence early.
   */
  encode(text: string): Int32Array;
  /** The same for text that follows a special token. It is `encode` but where a space is put at the very beginning only. */
  encodeSection(text: string): Int32Array;
  /** The same for text that goes on where other text ended: no space is put in front. */
  encodeOn(text: string): Int32Array;
  /** Text of ids; special tokens are left out. Incomplete UTF-8 becomes U+FFFD. */
  decode(ids: ArrayLike<number>): string;
  /** The vocabulary's own spelling of one id ("Ġlamp", "<|eos|>"), or "<id>" where there is none. */
  token(id: number): string;
  /** True where a PAD was added that the files lack: the model's token tables have no row for it. */
  addedPad: boolean;
  /** Ids, in order, of tokens that were added for a template and that the model has not learned yet; its files may lack their rows. */
  newTokens: readonly number[];
  /** True where the tokenizer itself puts a space in front of a text (Llama 2, Mistral). */
  prependsSpace: boolean;
  /** What stands for text that the vocabulary lacks; null where there is no such token, as all texts have tokens. */
  unkId: number | null;
  /** How the model speaks in its own chat template; null for the plain format. */
  chat: ChatFormat | null;
  /**
   * Content hash, "sha256:…": of tokenizer.json as it is in `files`, with the PAD it was given, so that a saved folder has
   * the hash of the one it came from. A chat format adds its template and the texts of BOS and EOS: with another
   * template the same texts are other ids.
   */
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
  const config = parseObject(files['tokenizer_config.json'], join(where, 'tokenizer_config.json'));
  const { json, tokens, idOf, special, encoders, text } = construct(files['tokenizer.json'], config, where);
  const { spellings, ...encode } = encoders;
  const names = specialTokensMap(config);
  const idOfKind = (kind: string): number | undefined => idOf.get(names[`${kind}_token`] ?? '');
  const [pad, bos, eos] = ['pad', 'bos', 'eos'].map(idOfKind);
  const ids = checkSpecialIds(join(where, 'tokenizer_config.json'), {
    ...(pad !== undefined && { pad }),
    ...(bos !== undefined && { bos }),
    ...(eos !== undefined && { eos }),
  });
  const template = findTemplate(config, join(where, 'tokenizer_config.json'));
  const chat =
    template === null
      ? null
      : chatFormat(chatTemplate(template, names, where), renderedEncoder(json.added, encoders), where);
  const eosId = chat?.endId ?? ids.eos;
  special.add(eosId);
  const ends = { bosToken: names.bos_token ?? '', eosToken: names.eos_token ?? '' };
  const named = new Set([ids.pad, ids.bos, ids.eos, eosId]);
  const isNeeded = (token: string, id: number): boolean =>
    !special.has(id) || named.has(id) || template?.includes(token) === true;
  const spoken = template === null ? '' : `\n${JSON.stringify([template, ends])}`;
  return {
    vocabSize: tokens.length,
    spareTokens: tokens.length - 1 - tokens.findLastIndex(isNeeded),
    padId: ids.pad,
    bosId: beginsWithBos(json, config, tokens[ids.bos ?? -1]) ? ids.bos : null,
    eosId,
    stopIds: [...new Set([eosId, ids.eos])],
    ...encode,
    decode: (sequence) => {
      const plain: string[] = [];
      for (let i = 0; i < sequence.length; i++) {
        const id = sequence[i] ?? -1;
        const token = spellings.get(id) ?? tokens[id];
        if (token !== undefined && !special.has(id)) plain.push(token);
      }
      return text(plain);
    },
    token: (id) => tokens[id] ?? `<${id}>`,
    addedPad: false,
    newTokens: [],
    prependsSpace: prependsSpace(json),
    chat,
    hash: hashText(`${files['tokenizer.json']}${spoken}`),
    files,
  };
}

interface Constructed {
  /** With the flags of special tokens that transformers gives them. */
  json: TokenizerJson;
  /** Texts by id, and ids by text. */
  tokens: string[];
  idOf: ReadonlyMap<string, number>;
  /** Ids of special tokens. */
  special: Set<number>;
  encoders: TextEncoders;
  text: (tokens: readonly string[]) => string;
}

/** Builds encoders and decoder, and says which file is at fault where they cannot be built. */
function construct(file: string, config: TokenizerConfig, where: string): Constructed {
  const path = join(where, 'tokenizer.json');
  const read = readTokenizerJson(parseObject(file, path), path);
  const idOf = new Map(read.model.vocab);
  for (const { content, id } of read.added) idOf.set(content, id);
  const tokens: string[] = [];
  for (const [token, id] of idOf) tokens[id] = token;
  const json = { ...read, added: flaggedTokens(read, config, idOf) };
  const special = new Set(json.added.filter((token) => token.special).map((token) => token.id));
  try {
    const [encoders, text] = [textEncoders(json, special, path), tokenDecoder(json.decoders)];
    return { json, tokens, idOf, special, encoders, text };
  } catch (error) {
    throw new DataError(`${path}: not a tokenizer (${errorMessage(error)}). Copy the file again.`, { cause: error });
  }
}
