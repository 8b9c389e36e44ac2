/** The parts of tokenizer.json as schemas: every field of every part is read here, or refused by name. */
import { z } from 'zod';

const character = z.string().refine((text) => [...text].length === 1, 'expected one character');
const count = z.number().int().min(0);
const flag = (fallback: boolean) =>
  z
    .boolean()
    .nullish()
    .transform((value) => value ?? fallback);

/** What a Split or Replace looks for: a regular expression of Oniguruma, or a text as it stands. */
const pattern = z.union([z.strictObject({ Regex: z.string() }), z.strictObject({ String: z.string() })]);
export type Pattern = z.infer<typeof pattern>;

const replace = z.strictObject({ type: z.literal('Replace'), pattern, content: z.string() });

/** Steps that change a text before it is cut. */
export const normalizer = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('BertNormalizer'),
    clean_text: z.boolean(),
    handle_chinese_chars: z.boolean(),
    strip_accents: z.boolean().nullish().describe('As `lowercase` where it is null.'),
    lowercase: z.boolean(),
  }),
  z.strictObject({ type: z.literal('ByteLevel') }),
  z.strictObject({ type: z.literal('Lowercase') }),
  z.strictObject({ type: z.literal('NFC') }),
  z.strictObject({ type: z.literal('NFD') }),
  z.strictObject({ type: z.literal('NFKC') }),
  z.strictObject({ type: z.literal('NFKD') }),
  z.strictObject({ type: z.literal('Nmt') }),
  z.strictObject({
    type: z.literal('Precompiled'),
    precompiled_charsmap: z.string().nullish().describe('SentencePiece’s map in base64; null changes nothing.'),
  }),
  z.strictObject({ type: z.literal('Prepend'), prepend: z.string() }),
  replace,
  z.strictObject({ type: z.literal('Strip'), strip_left: z.boolean(), strip_right: z.boolean() }),
  z.strictObject({ type: z.literal('StripAccents') }),
]);
export type Normalizer = z.infer<typeof normalizer>;

const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
/** What becomes of the places where a pattern is found. */
export type SplitBehavior = (typeof behaviors)[number];

const metaspace = z
  .strictObject({
    type: z.literal('Metaspace'),
    replacement: character,
    prepend_scheme: z.enum(['always', 'first', 'never']).optional().describe('"always" where it is missing.'),
    split: flag(true),
    add_prefix_space: z.boolean().nullish().describe('Of older files: false is "never".'),
    str_rep: z.string().nullish().describe('Of older files; it is the replacement.'),
  })
  .refine(
    ({ add_prefix_space: prefix, prepend_scheme: scheme }) => prefix !== false || (scheme ?? 'never') === 'never',
    'add_prefix_space: false contradicts the prepend_scheme',
  )
  .transform(({ add_prefix_space: prefix, prepend_scheme: scheme, ...rest }) => ({
    ...rest,
    prepend_scheme: scheme ?? (prefix === false ? 'never' : 'always'),
  }));
const byteLevel = z.strictObject({
  type: z.literal('ByteLevel'),
  add_prefix_space: z.boolean().default(true),
  trim_offsets: z.boolean().default(true).describe('Of offsets only, which are not read here.'),
  use_regex: z.boolean().default(true),
});

/** Steps that cut a text into words, which the model cuts into tokens one by one. */
export const preTokenizer = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('BertPreTokenizer') }),
  byteLevel,
  z.strictObject({ type: z.literal('CharDelimiterSplit'), delimiter: character }),
  z.strictObject({ type: z.literal('Digits'), individual_digits: z.boolean() }),
  z.strictObject({ type: z.literal('FixedLength'), length: count.min(1).default(5) }),
  metaspace,
  z.strictObject({ type: z.literal('Punctuation'), behavior: z.enum(behaviors).default('Isolated') }),
  z.strictObject({ type: z.literal('Split'), pattern, behavior: z.enum(behaviors), invert: z.boolean() }),
  z.strictObject({ type: z.literal('Whitespace') }),
  z.strictObject({ type: z.literal('WhitespaceSplit') }),
]);
export type PreTokenizer = z.infer<typeof preTokenizer>;

/** Steps that turn tokens into text again. */
export const decoder = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('BPEDecoder'), suffix: z.string() }),
  z.strictObject({ type: z.literal('ByteFallback') }),
  byteLevel,
  z.strictObject({ type: z.literal('Fuse') }),
  metaspace,
  replace,
  z.strictObject({ type: z.literal('Strip'), content: character, start: count, stop: count }),
  z.strictObject({ type: z.literal('WordPiece'), prefix: z.string(), cleanup: z.boolean() }),
]);
export type Decoder = z.infer<typeof decoder>;

const piece = z.union([
  z.strictObject({ SpecialToken: z.strictObject({ id: z.string(), type_id: count }) }),
  z.strictObject({ Sequence: z.strictObject({ id: z.enum(['A', 'B']), type_id: count }) }),
]);
const marked = z.tuple([z.string(), count]);
const around = { sep: marked, cls: marked };

/** What is put around a whole text; here only the begin of a sequence is taken from it. */
export const postProcessor = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('BertProcessing'), ...around }),
  byteLevel,
  z.strictObject({
    type: z.literal('RobertaProcessing'),
    ...around,
    trim_offsets: z.boolean(),
    add_prefix_space: z.boolean(),
  }),
  z.strictObject({
    type: z.literal('TemplateProcessing'),
    single: z.array(piece),
    pair: z.array(piece),
    special_tokens: z.record(
      z.string(),
      z.strictObject({ id: z.string(), ids: z.array(count), tokens: z.array(z.string()) }),
    ),
  }),
]);
export type PostProcessor = z.infer<typeof postProcessor>;

const optional = z
  .string()
  .nullish()
  .transform((text) => text ?? undefined);

/** The model's settings; `vocab` and `merges` are long and are read by themselves. */
export const modelSettings = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('BPE'),
    dropout: z.literal(0, 'a dropout of merges cuts texts at random; expected 0 or null').nullish(),
    unk_token: optional,
    continuing_subword_prefix: optional,
    end_of_word_suffix: optional,
    fuse_unk: flag(false),
    byte_fallback: flag(false),
    ignore_merges: flag(false),
  }),
  z.strictObject({ type: z.literal('Unigram'), unk_id: count.nullish(), byte_fallback: flag(false) }),
  z.strictObject({ type: z.literal('WordLevel'), unk_token: z.string() }),
  z.strictObject({
    type: z.literal('WordPiece'),
    unk_token: z.string(),
    continuing_subword_prefix: z.string(),
    max_input_chars_per_word: count,
  }),
]);
export type ModelSettings = z.infer<typeof modelSettings>;

/** A token that is found in texts as it stands; special ones are kept out of texts altogether. */
export const addedToken = z
  .strictObject({
    id: count,
    content: z.string().min(1),
    single_word: z.boolean().default(false).describe('Found as a whole word only.'),
    lstrip: z.boolean().default(false).describe('Takes the white space before it with it.'),
    rstrip: z.boolean().default(false).describe('Takes the white space after it with it.'),
    normalized: z
      .boolean()
      .optional()
      .describe('Looked for in the normalised text. As not `special` where it is missing.'),
    special: z.boolean().default(false),
  })
  .transform(({ normalized, special, ...rest }) => ({ ...rest, special, normalized: normalized ?? !special }));

/** Length and direction to cut or fill a text to. transformers sets both anew with every call, and we with none. */
const withoutEffect = z.looseObject({}).nullish();

/** tokenizer.json, but for its parts. */
export const wholeFile = z.strictObject({
  version: z.literal('1.0').nullish(),
  truncation: withoutEffect,
  padding: withoutEffect,
  added_tokens: z.array(z.unknown()),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model: z.looseObject({}),
});
