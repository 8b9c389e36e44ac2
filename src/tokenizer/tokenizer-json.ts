/** The parts of tokenizer.json that are read here, and what they say of a tokenizer's habits. */
import { specialTokens } from './special-tokens.ts';

/** A token that is found in texts as it stands; special ones are kept out of texts altogether. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  /** Takes the white space before it (after it) with it. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

/** A normaliser, pre-tokeniser, post-processor or decoder, or a sequence of them. */
export interface Part {
  readonly type?: string;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
  readonly individual_digits?: boolean;
  readonly prepend?: string;
  readonly prepend_scheme?: string;
  readonly replacement?: string;
  readonly split?: boolean;
  readonly pattern?: { readonly Regex?: string; readonly String?: string };
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly content?: string;
  readonly start?: number;
  readonly stop?: number;
  readonly normalizers?: readonly Part[];
  readonly pretokenizers?: readonly Part[];
  readonly processors?: readonly Part[];
  readonly decoders?: readonly Part[];
  readonly single?: readonly { readonly SpecialToken?: { readonly id: string } }[];
}

export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Part | null;
  readonly pre_tokenizer: Part | null;
  readonly post_processor: Part | null;
  readonly decoder: Part | null;
  readonly model: { readonly vocab: Record<string, number> | [string, number][] };
}

/** tokenizer_config.json names its special tokens as text or as an added-token object. */
export type TokenizerConfig = Record<string, unknown>;

/** The text of a special token as tokenizer_config.json names it. */
export function tokenText(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
  return typeof text === 'string' ? text : undefined;
}

/** A part with those within it. */
export function partsOf(part: Part | null | undefined): Part[] {
  if (!part) return [];
  const within = [part.normalizers, part.pretokenizers, part.processors, part.decoders];
  return [part, ...within.flatMap((list) => (list ?? []).flatMap(partsOf))];
}

/**
 * True where a sequence begins with BOS. The family's own tokenizer decides: `add_bos_token` where it is said, else the
 * post-processor. Tokenizers trained here, known by the name of their BOS, have neither and begin with it all the same.
 */
export function beginsWithBos(json: TokenizerJson, config: TokenizerConfig, bos: string | undefined): boolean {
  if (bos === undefined) return false;
  if (bos === specialTokens.bos) return true;
  if (typeof config.add_bos_token === 'boolean') return config.add_bos_token;
  return partsOf(json.post_processor).some(({ single }) => single?.[0]?.SpecialToken?.id === bos);
}

/** True where the tokenizer puts a space in front of a text by itself (Llama 2, Mistral). */
export function prependsSpace({ normalizer, pre_tokenizer: pre }: TokenizerJson): boolean {
  if (partsOf(normalizer).some(({ type }) => type === 'Prepend')) return true;
  return partsOf(pre).some(({ type, prepend_scheme: scheme, add_prefix_space: prefix }) => {
    return type === 'Metaspace' ? (scheme ?? 'always') !== 'never' : prefix === true;
  });
}

/** The same tokenizer without the space in front: for text that goes on where other text ended. */
export function withoutPrefix(json: TokenizerJson): TokenizerJson {
  const changed = (part: Part): Part => ({
    ...part,
    ...(part.normalizers && {
      normalizers: part.normalizers.filter(({ type }) => type !== 'Prepend').map(changed),
    }),
    ...(part.pretokenizers && { pretokenizers: part.pretokenizers.map(changed) }),
    ...(part.type === 'Metaspace' && { prepend_scheme: 'never' }),
    ...(part.add_prefix_space === true && { add_prefix_space: false }),
  });
  const { normalizer, pre_tokenizer: pre } = json;
  return {
    ...json,
    normalizer: normalizer === null || normalizer.type === 'Prepend' ? null : changed(normalizer),
    pre_tokenizer: pre === null ? null : changed(pre),
  };
}
