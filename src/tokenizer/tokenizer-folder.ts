/** The tokenizer files of a Hugging Face folder, whatever their age, as the two files that are used here. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { gpt2TokenizerJson } from './gpt2-files.ts';
import { specialTokens } from './special-tokens.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';

type Json = Record<string, unknown>;

/** Two texts, and whether a PAD had to be added. */
export interface FoundTokenizer {
  readonly files: TokenizerFiles;
  readonly addedPad: boolean;
}

const KINDS = ['bos', 'eos', 'pad', 'unk'] as const;
type Kind = (typeof KINDS)[number];

/**
 * Reads tokenizer.json (or vocab.json and merges.txt) and the files that name its special tokens: tokenizer_config.json,
 * special_tokens_map.json, and the ids in generation_config.json and config.json, in this order. Where there is no PAD,
 * or PAD is EOS, a token of its own is added: a model that is trained with PAD = EOS never learns to stop.
 * @throws DataError when a file is missing or damaged
 */
export function readTokenizerFolder(folder: string): FoundTokenizer {
  const config = optional(folder, 'tokenizer_config.json') ?? {};
  const map = optional(folder, 'special_tokens_map.json') ?? {};
  const named = Object.fromEntries(
    KINDS.map((kind) => [kind, textOf(config[`${kind}_token`]) ?? textOf(map[`${kind}_token`])]),
  ) as Record<Kind, string | undefined>;
  const text = tokenizerText(
    folder,
    Object.values(named).filter((one) => one !== undefined),
  );
  const json = parse(text, join(folder, 'tokenizer.json')) as {
    added_tokens?: Added[];
    model?: { vocab?: Vocabulary };
  };
  if (!Array.isArray(json.added_tokens) || typeof json.model?.vocab !== 'object' || json.model.vocab === null) {
    // Said better by `createTokenizer`.
    return {
      files: { 'tokenizer.json': text, 'tokenizer_config.json': `${JSON.stringify(config)}\n` },
      addedPad: false,
    };
  }
  const ids = idsOf(json.model.vocab, json.added_tokens);
  const found = { ...named };
  for (const kind of ['bos', 'eos', 'pad'] as const) found[kind] ??= byId(folder, `${kind}_token_id`, ids);
  const mustAdd = found.pad === undefined || found.pad === found.eos;
  const original = readText(folder, 'tokenizer_config.json');
  const template = existsSync(join(folder, 'chat_template.jinja'))
    ? readText(folder, 'chat_template.jinja')
    : undefined;
  const isAsItIs = KINDS.every((kind) => found[kind] === textOf(config[`${kind}_token`]));
  if (!mustAdd && original !== undefined && isAsItIs && template === undefined) {
    return { files: { 'tokenizer.json': text, 'tokenizer_config.json': original }, addedPad: false };
  }
  if (mustAdd) found.pad = specialTokens.pad;
  const isNew = mustAdd && !ids.has(specialTokens.pad);
  const rest = template === undefined ? {} : { chat_template: template };
  const special = Object.fromEntries(
    KINDS.flatMap((kind) => (found[kind] === undefined ? [] : [[`${kind}_token`, found[kind]]])),
  );
  const changed = `${JSON.stringify({ ...config, ...rest, ...special }, null, 2)}\n`;
  return {
    files: { 'tokenizer.json': isNew ? withPad(json, ids) : text, 'tokenizer_config.json': changed },
    addedPad: isNew,
  };
}

interface Added {
  id: number;
  content: string;
  special?: boolean;
}

type Vocabulary = Record<string, number> | [string, number][];

function idsOf(vocab: Vocabulary, added: readonly Added[]): Map<string, number> {
  const ids = new Map<string, number>();
  const pairs = Array.isArray(vocab) ? vocab.map(([token], id) => [token, id] as const) : Object.entries(vocab);
  for (const [token, id] of pairs) ids.set(token, id);
  for (const { content, id } of added) ids.set(content, id);
  return ids;
}

/** tokenizer.json with a PAD after every other id. */
function withPad(json: object, ids: ReadonlyMap<string, number>): string {
  const { added_tokens: added } = json as { added_tokens: Added[] };
  let id = 0;
  for (const one of ids.values()) id = Math.max(id, one + 1);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const pad = { id, content: specialTokens.pad, ...flags };
  return `${JSON.stringify({ ...json, added_tokens: [...added, pad] })}\n`;
}

/** The token of an id that generation_config.json or config.json gives; of several ends the first. */
function byId(folder: string, key: string, ids: ReadonlyMap<string, number>): string | undefined {
  for (const name of ['generation_config.json', 'config.json']) {
    const value = optional(folder, name)?.[key];
    const id = Array.isArray(value) ? (value[0] as unknown) : value;
    if (typeof id !== 'number') continue;
    for (const [token, found] of ids) if (found === id) return token;
  }
  return undefined;
}

function tokenizerText(folder: string, special: readonly string[]): string {
  const whole = readText(folder, 'tokenizer.json');
  if (whole !== undefined) return whole;
  const [vocab, merges] = ['vocab.json', 'merges.txt'].map((name) => readText(folder, name));
  if (vocab !== undefined && merges !== undefined) return gpt2TokenizerJson(vocab, merges, special, folder);
  throw new DataError(
    `${join(folder, 'tokenizer.json')}: the file is missing; expected a Hugging Face tokenizer folder. ` +
      'Name a folder with tokenizer.json (or vocab.json and merges.txt) and tokenizer_config.json, or run npx tsx scripts/train-tokenizer.ts.',
  );
}

function readText(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function optional(folder: string, name: string): Json | undefined {
  const text = readText(folder, name);
  return text === undefined ? undefined : parse(text, join(folder, name));
}

function parse(text: string, path: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not an object');
    return value as Json;
  } catch (error) {
    throw new DataError(
      `${path}: not readable; expected a JSON object (${errorMessage(error)}). ` +
        'Copy the file again or run npx tsx scripts/train-tokenizer.ts.',
      { cause: error },
    );
  }
}

/** A special token is named by its text or as an added-token object. */
function textOf(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
  return typeof text === 'string' ? text : undefined;
}
