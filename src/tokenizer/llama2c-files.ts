/** The files of a Hugging Face tokenizer from the pieces and scores of a llama2.c or SentencePiece vocabulary. */
import { DataError } from '../errors.ts';
import { sentencePieceParts } from './sentencepiece-files.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';

/** A piece as it is spelled, with spaces for "▁", and its score: the best pair is merged first. */
export interface ScoredPiece {
  readonly text: string;
  readonly score: number;
}

/** What ids 0, 1 and 2 are in every vocabulary of Llama 2's kind, then the bytes. */
const FIRST = ['<unk>', '<s>', '</s>'];
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** Flags of the special tokens. */
const SPECIAL = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };

/** tokenizer_config.json, but for the length of the context. */
const CONFIG = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  model_max_length: 0,
  unk_token: '<unk>',
  bos_token: '<s>',
  eos_token: '</s>',
  clean_up_tokenization_spaces: false,
  model_input_names: ['input_ids', 'attention_mask'],
};

/**
 * A byte-pair tokenizer with byte fallback, built as transformers' converter for Llama 2 builds it: merges are all pairs of
 * pieces that make a piece, best score first. It gives the ids of run.c for texts without "▁" (which means a space here).
 * There is no PAD in it, as the model has no row for one: `loadTokenizer` adds it, and the model grows.
 * @param pieces in the order of their ids: unknown, BOS, EOS, 256 bytes, then the rest
 * @param contextLength written as `model_max_length`
 * @param where names the vocabulary in errors
 * @throws DataError where the pieces are not in that order
 * @see transformers convert_slow_tokenizer.py, LlamaConverter
 */
export function llama2cTokenizerFiles(
  pieces: readonly ScoredPiece[],
  contextLength: number,
  where: string,
): TokenizerFiles {
  const tokens = pieces.map(({ text }, id) => FIRST[id] ?? text.replaceAll(' ', '▁'));
  const wrong = BYTES.findIndex((byte, i) => tokens[FIRST.length + i] !== byte);
  if (wrong !== -1) {
    throw new DataError(
      `${where}: piece ${FIRST.length + wrong}: expected the byte ${BYTES[wrong]}, received ` +
        `${JSON.stringify(tokens[FIRST.length + wrong] ?? 'no piece')}. Use a vocabulary with byte fallback, as llama2.c writes them.`,
    );
  }
  const tokenizer = sentencePieceParts({
    tokens,
    scores: pieces.map(({ score }) => score),
    isPiece: (id) => id >= FIRST.length + BYTES.length,
    added: FIRST.map((content, id) => ({ content, id, ...SPECIAL })),
    unknown: '<unk>',
    begin: { id: 1, text: '<s>' },
    prependsSpace: true,
  });
  const config = { ...CONFIG, model_max_length: contextLength };
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}
