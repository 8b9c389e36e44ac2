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
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
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
