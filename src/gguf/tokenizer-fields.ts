/** A tokenizer as GGUF metadata. One that llama.cpp would cut texts otherwise with is refused. */
import { CheckpointError } from '../errors.ts';
import { filesForExport } from '../tokenizer/export-files.ts';
import { flaggedTokens, specialTokensMap } from '../tokenizer/special-flags.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { AddedToken, TokenizerConfig, TokenizerJson } from '../tokenizer/tokenizer-json.ts';
import { readTokenizerJson } from '../tokenizer/tokenizer-json.ts';
import { bytePreTokenizers, preTokenizerName } from './pre-tokenizers.ts';
import { scoresOf } from './sentencepiece-scores.ts';
import type { GgufValue } from './write-gguf.ts';

/** Kinds of tokens by their number in `tokenizer.ggml.token_type`. */
const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Metadata of a tokenizer, and lines for people about what differs. */
export interface TokenizerFields {
  readonly fields: readonly (readonly [string, GgufValue])[];
  readonly notes: readonly string[];
}

/** How the vocabulary is read there: byte-level BPE by its cut, or SentencePiece by its scores. */
interface VocabularyKind {
  readonly model: 'gpt2' | 'llama';
  readonly pre: string;
  readonly more: readonly (readonly [string, GgufValue])[];
}

/**
 * The keys of a tokenizer.
 * @param rows of the model's token table; ids without a token are written as unused ones
 * @param where names the tokenizer in errors
 * @throws CheckpointError with every reason why llama.cpp would give other tokens
 */
export function tokenizerFields(tokenizer: Tokenizer, rows: number, where: string): TokenizerFields {
  const config = JSON.parse(filesForExport(tokenizer)['tokenizer_config.json']) as TokenizerConfig;
  const json = readTokenizerJson(JSON.parse(tokenizer.files['tokenizer.json']) as Record<string, unknown>, where);
  const idOf = new Map([...json.model.vocab, ...json.added.map(({ content, id }) => [content, id] as const)]);
  const added = flaggedTokens(json, config, idOf);
  const problems = unfit(json, tokenizer).map((what) => `${where}: ${what} A GGUF file of it would give other tokens.`);
  const kind = problems.length > 0 ? undefined : vocabularyKind(json, added);
  if (kind === undefined) {
    if (problems.length === 0)
      problems.push(`${where}: its merges follow no scores, which llama.cpp merges by. Use another tokenizer.`);
    throw new CheckpointError(problems);
  }
  const tokens = tokenList(json, tokenizer, added, rows);
  const strings = (value: readonly string[]): GgufValue => ({ type: 'string', value });
  const fields: (readonly [string, GgufValue])[] = [
    ['model', { type: 'string', value: kind.model }],
    ['pre', { type: 'string', value: kind.pre }],
    ['tokens', strings(tokens.map(({ text }) => text))],
    ['token_type', { type: 'int32', value: tokens.map((token) => token.kind) }],
    ...kind.more,
    ...specialFields(tokenizer, config, idOf),
  ];
  return {
    fields: [...fields.map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const), ...templateFields(config)],
    notes: differences(json, added),
  };
}

/** What of a tokenizer llama.cpp does not have, a line each. */
function unfit({ model, preTokenizers, normalizers, decoders }: TokenizerJson, { prependsSpace }: Tokenizer): string[] {
  const { settings } = model;
  if (settings.type !== 'BPE') return [`a ${settings.type} model; llama.cpp reads BPE ones for these architectures.`];
  const problems: string[] = [];
  if (settings.continuing_subword_prefix || settings.end_of_word_suffix)
    problems.push('continuing_subword_prefix and end_of_word_suffix are not known to llama.cpp.');
  const names = (parts: readonly { type: string }[]): string => parts.map(({ type }) => type).join(', ') || 'none';
  if (settings.byte_fallback) {
    const isPlain = normalizers.every((part) => part.type === 'Prepend' || isSpaceMark(part));
    if (!isPlain || !normalizers.some(isSpaceMark))
      problems.push(`normalizer: expected Prepend and Replace of spaces, received ${names(normalizers)}.`);
    // A Split at spaces finds none after they were replaced.
    const isCut = preTokenizers.some(
      (part) => part.type !== 'Split' || !('String' in part.pattern) || part.pattern.String !== ' ',
    );
    if (isCut) {
      const why = prependsSpace ? ' (llama.cpp puts a space in front of every section of a text, also before one)' : '';
      problems.push(`pre_tokenizer: expected none, received ${names(preTokenizers)}${why}.`);
    }
    return problems;
  }
  const changed = normalizers.filter(({ type }) => type !== 'NFC');
  if (changed.length > 0) problems.push(`normalizer: llama.cpp has none for BPE, received ${names(changed)}.`);
  if (preTokenizerName({ model, preTokenizers } as TokenizerJson) === undefined) {
    const known = Object.keys(bytePreTokenizers).join(', ');
    problems.push(`pre_tokenizer: ${names(preTokenizers)} is none of those that are the same in llama.cpp (${known}).`);
  }
  if (!(decoders ?? []).every(({ type }) => type === 'ByteLevel'))
    problems.push(`decoder: expected ByteLevel, received ${names(decoders ?? [])}.`);
  return problems;
}

/** The step that writes spaces as "▁". */
function isSpaceMark(part: TokenizerJson['normalizers'][number]): boolean {
  return part.type === 'Replace' && 'String' in part.pattern && part.pattern.String === ' ' && part.content === '▁';
}

function vocabularyKind(json: TokenizerJson, added: readonly AddedToken[]): VocabularyKind | undefined {
  const { model, normalizers } = json;
  if (model.settings.type === 'BPE' && model.settings.byte_fallback) {
    const found = new Set(added.map(({ content }) => content));
    const scores = scoresOf(model, (token) => !found.has(token) && !isByte(token));
    if (scores === undefined) return undefined;
    const value = normalizers.some(({ type }) => type === 'Prepend');
    return {
      model: 'llama',
      pre: 'default',
      more: [
        ['scores', { type: 'float32', value: [...scores] }],
        ['add_space_prefix', { type: 'bool', value }],
      ],
    };
  }
  const merges = model.merges.map(([left, right]) => `${left} ${right}`);
  return { model: 'gpt2', pre: preTokenizerName(json) ?? '', more: [['merges', { type: 'string', value: merges }]] };
}

function isByte(token: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(token);
}

interface ListedToken {
  readonly text: string;
  readonly kind: number;
}

/** Every row of the token table. A PAD that was added here and that the table has no row for is no token of the file. */
function tokenList(
  { model }: TokenizerJson,
  { addedPad, padId }: Tokenizer,
  added: readonly AddedToken[],
  rows: number,
): ListedToken[] {
  const tokens: ListedToken[] = Array.from({ length: rows }, (_, id) => ({ text: `[PAD${id}]`, kind: KIND.unused }));
  const { settings } = model;
  const isSentencePiece = settings.type === 'BPE' && settings.byte_fallback;
  const unknown = isSentencePiece ? settings.unk_token : undefined;
  for (const [text, id] of model.vocab) {
    tokens[id] = { text, kind: isSentencePiece && isByte(text) ? KIND.byte : KIND.normal };
  }
  for (const { content, id, special } of added) {
    // Those that are no special tokens are looked for in texts before spaces are replaced.
    const text = special ? content : content.replaceAll('▁', ' ');
    const kind = special ? KIND.control : KIND.userDefined;
    tokens[id] = { text, kind: content === unknown ? KIND.unknown : kind };
  }
  if (addedPad) tokens[padId] = { text: `[PAD${padId}]`, kind: KIND.unused };
  return tokens.slice(0, rows);
}

function specialFields(
  { bosId, eosId, padId, addedPad }: Tokenizer,
  config: TokenizerConfig,
  idOf: ReadonlyMap<string, number>,
): [string, GgufValue][] {
  const names = specialTokensMap(config);
  const named = (kind: string): number | undefined => idOf.get(names[`${kind}_token`] ?? '');
  const end = named('eos') ?? eosId;
  const ids: [string, number | null | undefined][] = [
    // Where there is none llama.cpp would take token 11.
    ['bos', bosId ?? named('bos') ?? end],
    ['eos', end],
    ['eot', eosId === end ? null : eosId],
    ['unknown', named('unk')],
    ['padding', addedPad ? null : padId],
  ];
  const fields = ids.flatMap(([kind, value]): [string, GgufValue][] => {
    return typeof value === 'number' ? [[`${kind}_token_id`, { type: 'uint32', value }]] : [];
  });
  return [
    ...fields,
    ['add_bos_token', { type: 'bool', value: bosId !== null }],
    ['add_eos_token', { type: 'bool', value: false }],
  ];
}

/** The chat template; of several that have names the one called "default" stands under the key itself. */
function templateFields({ chat_template: template }: TokenizerConfig): [string, GgufValue][] {
  const key = 'tokenizer.chat_template';
  if (typeof template === 'string') return [[key, { type: 'string', value: template }]];
  const named = Array.isArray(template)
    ? (template as { name: string; template: string }[]).map((one) => [one.name, one.template] as const)
    : Object.entries((template ?? {}) as Record<string, string>);
  return named.map(([name, value]) => [name === 'default' ? key : `${key}.${name}`, { type: 'string', value }]);
}

/** What llama.cpp does not do, where that changes tokens of some texts only. */
function differences({ normalizers }: TokenizerJson, added: readonly AddedToken[]): string[] {
  const notes: string[] = [];
  if (normalizers.some(({ type }) => type === 'NFC'))
    notes.push('llama.cpp does not bring texts into Unicode’s NFC first, as this tokenizer does');
  const flagged = added.filter(({ lstrip, rstrip, single_word: word }) => lstrip || rstrip || word);
  if (flagged.length > 0) {
    const list = flagged.map(({ content }) => JSON.stringify(content)).join(', ');
    notes.push(`llama.cpp does not know lstrip, rstrip and single_word, which these tokens have: ${list}`);
  }
  return notes;
}
