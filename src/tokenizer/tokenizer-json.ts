/** Reads a tokenizer.json whole: its parts, vocabulary and added tokens, and what they say of a tokenizer's habits. */
import type { z } from 'zod';
import { DataError } from '../errors.ts';
import { specialTokens } from './special-tokens.ts';
import {
  addedToken,
  type Decoder,
  decoder,
  type ModelSettings,
  modelSettings,
  type Normalizer,
  normalizer,
  type PostProcessor,
  type PreTokenizer,
  postProcessor,
  preTokenizer,
  wholeFile,
} from './tokenizer-parts.ts';

export type AddedToken = z.infer<typeof addedToken>;

/** A tokenizer.json that has been read; parts stand in the order in which they are applied. */
export interface TokenizerJson {
  readonly added: readonly AddedToken[];
  readonly normalizers: readonly Normalizer[];
  readonly preTokenizers: readonly PreTokenizer[];
  readonly postProcessors: readonly PostProcessor[];
  /** null where there is none: tokens are then joined by spaces. */
  readonly decoders: readonly Decoder[] | null;
  readonly model: TokenModel;
}

/** A model: its settings, the id of every token, and what it chooses tokens by. */
export interface TokenModel {
  readonly settings: ModelSettings;
  /** Ids by token; added tokens may be among them. */
  readonly vocab: ReadonlyMap<string, number>;
  /** Of Unigram: the score of each id. */
  readonly scores: readonly number[];
  /** Of BPE: the pairs that are merged, first ones first. */
  readonly merges: readonly (readonly [string, string])[];
}

/** tokenizer_config.json names its special tokens as text or as an added-token object. */
export type TokenizerConfig = Record<string, unknown>;

/** The text of a special token as tokenizer_config.json names it. */
export function tokenText(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
  return typeof text === 'string' ? text : undefined;
}

type Raw = Readonly<Record<string, unknown>>;

/**
 * @param path names the file in errors
 * @throws DataError with a line for every field that is missing, wrong or not known here
 */
export function readTokenizerJson(raw: Raw, path: string): TokenizerJson {
  const problems: string[] = [];
  const read = <Schema extends z.ZodType>(schema: Schema, value: unknown, key: string): z.output<Schema>[] => {
    const result = schema.safeParse(value);
    if (result.success) return [result.data];
    for (const issue of result.error.issues) problems.push(describe(issue, value, path, key));
    return [];
  };
  read(wholeFile, raw, '');
  const parts = <Schema extends z.ZodType>(schema: Schema, key: string, list: string): z.output<Schema>[] => {
    return flattened(raw[key] ?? null, key, list).flatMap(([part, at]) => read(schema, part, at));
  };
  const list: readonly unknown[] = Array.isArray(raw.added_tokens) ? raw.added_tokens : [];
  const { vocab: rawVocab, merges: rawMerges, ...settings } = (raw.model ?? {}) as Raw;
  const vocabulary = readVocabulary(rawVocab, (what) => problems.push(`${path} model.vocab: ${what}`));
  const merges = readMerges(rawMerges, (what) => problems.push(`${path} model.merges: ${what}`));
  const type = settings.type ?? modelType(raw.model as Raw | undefined);
  const [model] = read(modelSettings, { ...settings, type }, 'model');
  const result = {
    added: list.flatMap((token, i) => read(addedToken, token, `added_tokens[${i}]`)),
    normalizers: parts(normalizer, 'normalizer', 'normalizers'),
    preTokenizers: parts(preTokenizer, 'pre_tokenizer', 'pretokenizers'),
    postProcessors: parts(postProcessor, 'post_processor', 'processors'),
    decoders: raw.decoder === null || raw.decoder === undefined ? null : parts(decoder, 'decoder', 'decoders'),
  };
  if (problems.length === 0) problems.push(...idProblems(result.added, vocabulary.vocab, path));
  if (problems.length > 0 || model === undefined) throw new DataError(problems);
  return { ...result, model: { settings: model, ...vocabulary, merges } };
}

/** Files of tokenizers before 0.9 do not name the model. */
function modelType(model: Raw | undefined): string | undefined {
  if (Array.isArray(model?.vocab)) return 'Unigram';
  if (model?.merges !== undefined) return 'BPE';
  return model?.max_input_chars_per_word === undefined ? undefined : 'WordPiece';
}

/** A part, or those of a "Sequence" one by one, each with its place. */
function flattened(part: unknown, at: string, list: string): [unknown, string][] {
  if (part === null) return [];
  const { type, [list]: within, ...rest } = part as Raw;
  if (type !== 'Sequence' || !Array.isArray(within) || Object.keys(rest).length > 0) return [[part, at]];
  return within.flatMap((one: unknown, i) => flattened(one, `${at}.${list}[${i}]`, list));
}

function describe(issue: z.core.$ZodIssue, value: unknown, path: string, key: string): string {
  const names = issue.path.map((name) => (typeof name === 'number' ? `[${name}]` : `.${String(name)}`)).join('');
  const at = `${key}${names}`.replace(/^\./, '');
  let received = value;
  for (const name of issue.path) received = (received as Record<PropertyKey, unknown> | undefined)?.[name];
  if (issue.code === 'unrecognized_keys') {
    const extra = issue.keys.map((name) => `"${name}"`).join(', ');
    return (
      `${path} ${at || 'the file'}: ${extra} is not known here, so it might change ids or texts. ` +
      'If it does not, remove it from the file.'
    );
  }
  const text = JSON.stringify(received)?.slice(0, 80) ?? 'nothing';
  if (issue.code === 'invalid_union' && issue.path.at(-1) === 'type') {
    return `${path} ${at}: ${text} is not known here, so ids or texts would differ from Python’s. Use a tokenizer without it.`;
  }
  const what = issue.code === 'custom' ? issue.message : issue.message.replace(/^Invalid (input|option): /, '');
  return `${path} ${at || 'the file'}: ${what.replace(/, received .*$/, '')}, received ${text}. Copy the file again.`;
}

const isId = (id: unknown): id is number => Number.isSafeInteger(id) && (id as number) >= 0;

/** The vocabulary: an object of ids, or Unigram's list of tokens with their scores. */
function readVocabulary(raw: unknown, problem: (what: string) => void): Pick<TokenModel, 'vocab' | 'scores'> {
  const vocab = new Map<string, number>();
  const scores: number[] = [];
  if (typeof raw !== 'object' || raw === null) problem('expected tokens with their ids. Copy the file again.');
  else if (Array.isArray(raw)) {
    for (const [id, entry] of (raw as unknown[]).entries()) {
      const [token, score] = (Array.isArray(entry) ? entry : []) as unknown[];
      if (typeof token !== 'string' || typeof score !== 'number') {
        problem(`entry ${id}: expected [token, score], received ${JSON.stringify(entry)}. Copy the file again.`);
        break;
      }
      vocab.set(token, id);
      scores.push(score);
    }
  } else {
    for (const [token, id] of Object.entries(raw)) {
      if (!isId(id)) {
        problem(
          `${JSON.stringify(token)}: expected a whole number from 0 as its id, received ${id}. Copy the file again.`,
        );
        break;
      }
      vocab.set(token, id);
    }
  }
  return { vocab, scores };
}

/** Merges as pairs, or as in older files as texts with a space between the two. */
function readMerges(raw: unknown, problem: (what: string) => void): [string, string][] {
  if (raw === undefined) return [];
  const lines = Array.isArray(raw) ? (raw as unknown[]).filter((line) => !String(line).startsWith('#version')) : [raw];
  const pairs = lines.map((line) => (typeof line === 'string' ? line.split(' ') : line) as [string, string]);
  const bad = pairs.findIndex((pair) => {
    return !Array.isArray(pair) || pair.length !== 2 || pair.some((part) => typeof part !== 'string');
  });
  if (bad === -1) return pairs;
  problem(`entry ${bad}: expected two tokens, received ${JSON.stringify(lines[bad])}. Copy the file again.`);
  return [];
}

/**
 * Added tokens whose id Python does not give them: it takes the model's id where the vocabulary has the token, and else
 * counts on from the vocabulary's size, whatever the file says.
 */
function idProblems(added: readonly AddedToken[], vocab: ReadonlyMap<string, number>, path: string): string[] {
  const problems: string[] = [];
  let next = vocab.size;
  for (const [i, { id, content }] of added.entries()) {
    const known = vocab.get(content) ?? added.slice(0, i).find((token) => token.content === content)?.id;
    const expected = known ?? next++;
    if (id === expected) continue;
    problems.push(
      `${path} added_tokens[${i}]: ${JSON.stringify(content)} has id ${id}, and Python’s tokenizers gives it ${expected}` +
        `${known === undefined ? ' (the first free one)' : ', its id in the vocabulary'}. Copy the files of one revision.`,
    );
  }
  return problems.slice(0, 5);
}

/**
 * True where a sequence begins with BOS. The family's own tokenizer decides: `add_bos_token` where it is said, else the
 * post-processor. Tokenizers trained here, known by the name of their BOS, have neither and begin with it all the same.
 */
export function beginsWithBos(json: TokenizerJson, config: TokenizerConfig, bos: string | undefined): boolean {
  if (bos === undefined) return false;
  if (bos === specialTokens.bos) return true;
  if (typeof config.add_bos_token === 'boolean') return config.add_bos_token;
  return json.postProcessors.some((part) => {
    if (part.type === 'ByteLevel') return false;
    if (part.type !== 'TemplateProcessing') return part.cls[0] === bos;
    const [first] = part.single;
    return first !== undefined && 'SpecialToken' in first && first.SpecialToken.id === bos;
  });
}

/** True where the tokenizer puts a space in front of a text by itself (Llama 2, Mistral, T5). */
export function prependsSpace({ normalizers, preTokenizers }: TokenizerJson): boolean {
  if (normalizers.some(({ type }) => type === 'Prepend')) return true;
  return preTokenizers.some((part) => {
    return part.type === 'Metaspace'
      ? part.prepend_scheme !== 'never'
      : part.type === 'ByteLevel' && part.add_prefix_space;
  });
}
