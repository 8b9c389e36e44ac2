/** The tokenizer files of a Hugging Face folder, whatever their age, as the two files that are used here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError, errorMessage } from '../errors.ts';
import { decodeText } from '../files/text-file.ts';
import { gpt2TokenizerJson } from './gpt2-files.ts';
import { specialTokens } from './special-tokens.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import type { AddedToken } from './tokenizer-json.ts';
import { tokenText } from './tokenizer-json.ts';

type Json = Record<string, unknown>;

/** Two texts, and what was settled about their special tokens. */
export interface FoundTokenizer {
  readonly files: TokenizerFiles;
  /** A PAD was added that the folder lacks. */
  readonly addedPad: boolean;
  /** Every id that generation_config.json and config.json call an end. */
  readonly ends: readonly number[];
}

const KINDS = ['bos', 'eos', 'pad', 'unk'] as const;
type Named = Partial<Record<(typeof KINDS)[number], string>>;

/** Ends of text by name, for folders that name none: tried in this order among the added tokens. */
const KNOWN_ENDS = ['<|endoftext|>', '<|end_of_text|>', '</s>'];

/**
 * Reads tokenizer.json (or vocab.json and merges.txt) and the files that name its special tokens: tokenizer_config.json,
 * special_tokens_map.json, the ids in generation_config.json and config.json, the added tokens, in this order. Where there
 * is no PAD, or PAD is EOS, BOS or UNK, a token of its own is added: a model that is trained with PAD = EOS never learns to
 * stop. What is found is written into the text of tokenizer_config.json, templates of chat_template.jinja and additional_chat_templates/ too, so that the
 * two files are the whole tokenizer. A folder that is complete is given as it is.
 * @throws DataError when a file is missing or damaged
 */
export function readTokenizerFolder(folder: string): FoundTokenizer {
  const config = optional(folder, 'tokenizer_config.json') ?? {};
  const map = optional(folder, 'special_tokens_map.json') ?? {};
  const named: Named = {};
  for (const kind of KINDS) {
    const text = tokenText(config[`${kind}_token`]) ?? tokenText(map[`${kind}_token`]);
    if (text !== undefined) named[kind] = text;
  }
  const text = tokenizerText(folder, config, named);
  const json = parseObject(text, join(folder, 'tokenizer.json')) as {
    added_tokens?: AddedToken[];
    model?: { vocab?: Vocabulary };
  };
  const vocab = json.model?.vocab;
  if (!Array.isArray(json.added_tokens) || typeof vocab !== 'object' || vocab === null) {
    // Said better by `createTokenizer`.
    const files = { 'tokenizer.json': text, 'tokenizer_config.json': `${JSON.stringify(config)}\n` };
    return { files, addedPad: false, ends: [] };
  }
  const ids = idsOf(vocab, json.added_tokens);
  const settled = settle(folder, named, ids, json.added_tokens);
  const mustAdd = settled.pad === undefined;
  const found = { ...settled, pad: settled.pad ?? freePadName(ids) };
  const changed = configText(folder, config, found);
  const files = {
    'tokenizer.json': mustAdd ? withSpecialTokens(json, [found.pad]).text : text,
    'tokenizer_config.json': changed,
  };
  return { files, addedPad: mustAdd, ends: endIds(folder) };
}

/** The special tokens of a folder by text; PAD is left out where one must be added. */
function settle(folder: string, named: Named, ids: ReadonlyMap<string, number>, added: readonly AddedToken[]): Named {
  const found = { ...named };
  const hasNoBos = optional(folder, 'tokenizer_config.json')?.bos_token === null;
  for (const kind of ['bos', 'eos', 'pad'] as const) {
    // A BOS that tokenizer_config.json says is none stays none (Qwen), whatever the model's ids.
    if (kind === 'bos' && hasNoBos) continue;
    const text = found[kind] ?? byId(folder, `${kind}_token_id`, ids);
    if (text !== undefined) found[kind] = text;
  }
  const end = KNOWN_ENDS.find((name) => added.some(({ content }) => content === name));
  if (found.eos === undefined && end !== undefined) found.eos = end;
  const isTaken = found.pad !== undefined && [found.eos, found.bos, found.unk].includes(found.pad);
  if (isTaken || found.pad === undefined || !ids.has(found.pad)) {
    delete found.pad;
    const own = added.find(({ content, special }) => content === specialTokens.pad && special === true);
    if (own !== undefined && found.eos !== own.content) found.pad = own.content;
  }
  return found;
}

function freePadName(ids: ReadonlyMap<string, number>): string {
  let name: string = specialTokens.pad;
  for (let i = 1; ids.has(name); i++) name = `<|pad-${i}|>`;
  return name;
}

/** tokenizer_config.json with the special tokens and the chat template; its own text where nothing changes. */
function configText(folder: string, config: Json, found: Named): string {
  const original = readText(folder, 'tokenizer_config.json');
  const template = templatesOf(folder);
  const isAsItIs = KINDS.every((kind) => found[kind] === tokenText(config[`${kind}_token`]));
  if (original !== undefined && isAsItIs && template === undefined) return original;
  const special = Object.fromEntries(Object.entries(found).map(([kind, text]) => [`${kind}_token`, text]));
  const rest = template === undefined ? {} : { chat_template: template };
  return `${JSON.stringify({ ...config, ...rest, ...special }, null, 2)}\n`;
}

/** What chat_template.jinja and additional_chat_templates/ hold, which count before tokenizer_config.json. */
function templatesOf(folder: string): string | { name: string; template: string }[] | undefined {
  const first = readText(folder, 'chat_template.jinja');
  const others = join(folder, 'additional_chat_templates');
  const files = existsSync(others) ? readdirSync(others).filter((name) => name.endsWith('.jinja')) : [];
  if (files.length === 0) return first;
  const named = files.sort().map((file) => {
    return { name: file.replace(/\.jinja$/, ''), template: readFileSync(join(others, file), 'utf8') };
  });
  return first === undefined ? named : [{ name: 'default', template: first }, ...named];
}

type Vocabulary = Record<string, number> | [string, number][];

function idsOf(vocab: Vocabulary, added: readonly AddedToken[]): Map<string, number> {
  const ids = new Map<string, number>();
  const pairs = Array.isArray(vocab) ? vocab.map(([token], id) => [token, id] as const) : Object.entries(vocab);
  for (const [token, id] of pairs) ids.set(token, id);
  for (const { content, id } of added) ids.set(content, id);
  return ids;
}

/** tokenizer.json with special tokens after every other id; `added_tokens` and a vocabulary are there. */
export function withSpecialTokens(json: object, contents: readonly string[]): { text: string; ids: number[] } {
  const { added_tokens: added, model } = json as { added_tokens: AddedToken[]; model: { vocab: Vocabulary } };
  let next = 0;
  for (const one of idsOf(model.vocab, added).values()) next = Math.max(next, one + 1);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokens = contents.map((content, i) => ({ id: next + i, content, ...flags }));
  const text = `${JSON.stringify({ ...json, added_tokens: [...added, ...tokens] })}\n`;
  return { text, ids: tokens.map(({ id }) => id) };
}

/** The files that may give ids of special tokens, in the order in which they are believed. */
const ID_FILES = ['generation_config.json', 'config.json'];

/** The token of an id that generation_config.json or config.json gives; of several ends the first. */
function byId(folder: string, key: string, ids: ReadonlyMap<string, number>): string | undefined {
  for (const name of ID_FILES) {
    const value = optional(folder, name)?.[key];
    const id = Array.isArray(value) ? (value[0] as unknown) : value;
    if (typeof id !== 'number') continue;
    for (const [token, found] of ids) if (found === id) return token;
  }
  return undefined;
}

function endIds(folder: string): number[] {
  const values = ID_FILES.flatMap((name) => optional(folder, name)?.eos_token_id ?? []) as unknown[];
  return [...new Set(values.filter((id) => typeof id === 'number'))];
}

/** Tokenizers whose vocab.json and merges.txt are cut as GPT-2's; others with such files cut texts in their own way. */
const GPT2_CLASSES = ['GPT2Tokenizer', 'GPT2TokenizerFast', 'PreTrainedTokenizerFast', undefined];

function tokenizerText(folder: string, config: Json, named: Named): string {
  const whole = readText(folder, 'tokenizer.json');
  if (whole !== undefined) return whole;
  const [vocab, merges] = ['vocab.json', 'merges.txt'].map((name) => readText(folder, name));
  const kind = config.tokenizer_class as string | undefined;
  if (vocab !== undefined && merges !== undefined && GPT2_CLASSES.includes(kind)) {
    const begin = config.add_bos_token === true ? named.bos : undefined;
    const special = Object.values(named);
    return gpt2TokenizerJson({ vocab, merges, special, added: addedTokens(folder, config), begin }, folder);
  }
  const path = join(folder, 'tokenizer.json');
  const remedy = 'with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).';
  if (vocab !== undefined && merges !== undefined) {
    throw new DataError(
      `${path}: the file is missing, and vocab.json and merges.txt are those of a ${kind}; expected tokenizer.json, or ` +
        `GPT-2's two files. Write it ${remedy}`,
    );
  }
  if (existsSync(join(folder, 'tokenizer.model'))) {
    throw new DataError(
      `${path}: the file is missing; expected it beside tokenizer.model, which is not read here. Write it ${remedy}`,
    );
  }
  throw new DataError(
    `${path}: the file is missing; expected a Hugging Face tokenizer folder. ` +
      'Name a folder with tokenizer.json (or vocab.json and merges.txt) and tokenizer_config.json, or run node --import tsx scripts/train-tokenizer.ts.',
  );
}

/**
 * Tokens beside vocab.json, as slow tokenizers of older versions keep them: added_tokens.json has their ids, and
 * tokenizer_config.json (added_tokens_decoder) how they are found in a text. Without the latter they are plain text to skip.
 */
function addedTokens(folder: string, config: Json): AddedToken[] {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false };
  const described = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, Omit<AddedToken, 'id'>>);
  const found = new Map(described.map(([id, token]) => [token.content, { ...flags, ...token, id: Number(id) }]));
  for (const [content, id] of Object.entries(optional(folder, 'added_tokens.json') ?? {})) {
    if (!found.has(content)) found.set(content, { ...flags, content, id: id as number });
  }
  const bad = [...found.values()].find(
    ({ id, content }) => !Number.isSafeInteger(id) || id < 0 || content === undefined,
  );
  if (bad === undefined) return [...found.values()];
  throw new DataError(
    `${folder}: an added token is ${JSON.stringify(bad)}; expected a text and a whole number from 0 as its id, in ` +
      'added_tokens.json and in added_tokens_decoder of tokenizer_config.json. Copy the files again.',
  );
}

function readText(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  return existsSync(path) ? decodeText(readFileSync(path), path) : undefined;
}

function optional(folder: string, name: string): Json | undefined {
  const text = readText(folder, name);
  return text === undefined ? undefined : parseObject(text, join(folder, name));
}

/** @throws DataError where a file of a tokenizer does not hold a JSON object */
export function parseObject(text: string, path: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not an object');
    return value as Json;
  } catch (error) {
    throw new DataError(
      `${path}: not readable; expected a JSON object (${errorMessage(error)}). ` +
        'Copy the file again or run node --import tsx scripts/train-tokenizer.ts.',
      { cause: error },
    );
  }
}
