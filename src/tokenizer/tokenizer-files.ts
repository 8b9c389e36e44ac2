/** Writes a learned vocabulary as the two Hugging Face files, `tokenizer.json` and `tokenizer_config.json`. */
import type { BpeVocabulary } from './bpe-training.ts';
import { specialTokens } from './special-tokens.ts';

/** The texts of the two files that make a tokenizer folder. */
export interface TokenizerFiles {
  'tokenizer.json': string;
  'tokenizer_config.json': string;
}

/**
 * A byte-level BPE tokenizer as Hugging Face stores it: loads in `tokenizers`, in transformers' `AutoTokenizer` and here.
 * No post-processor adds BOS or EOS: the code that builds a sequence places them, so that every loss mask is exact.
 *
 * @param contextLength written as `model_max_length`
 */
export function tokenizerFiles({ tokens, merges }: BpeVocabulary, contextLength: number): TokenizerFiles {
  const addedTokens = Object.values(specialTokens).map((content) => ({
    id: tokens.indexOf(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizer = byteLevelParts({
    tokens,
    merges,
    added: addedTokens,
    normalizer: null,
    cut: BYTE_LEVEL,
    begin: null,
    ignoresMerges: false,
  });
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: contextLength,
    pad_token: specialTokens.pad,
    bos_token: specialTokens.bos,
    eos_token: specialTokens.eos,
    clean_up_tokenization_spaces: false,
    model_input_names: ['input_ids', 'attention_mask'],
  };
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}

/** Bytes as characters; as the cut of a text, GPT-2's own. */
export const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

/** What byte-level BPE tokenizers differ in, in the terms of tokenizer.json. */
export interface ByteLevelVocabulary {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly string[])[];
  readonly added: readonly object[];
  readonly normalizer: object | null;
  /** The pre-tokenizer. */
  readonly cut: object | undefined;
  /** The post-processor. */
  readonly begin: object | null;
  readonly ignoresMerges: boolean;
}

/** The parts of tokenizer.json of a byte-level BPE tokenizer. */
export function byteLevelParts(vocabulary: ByteLevelVocabulary): Record<string, unknown> {
  const { tokens, merges, added, normalizer, cut, begin, ignoresMerges } = vocabulary;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer,
    pre_tokenizer: cut,
    post_processor: begin,
    decoder: BYTE_LEVEL,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoresMerges,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
