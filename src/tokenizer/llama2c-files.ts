/** The files of a Hugging Face tokenizer from the pieces and scores of a llama2.c or SentencePiece vocabulary. */
import { DataError } from '../errors.ts';
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

/** What happens to a text before and after the model, in tokenizer.json. */
const PIPELINE = {
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
};

/** The model in tokenizer.json, but for its vocabulary and merges. */
const MODEL = {
  type: 'BPE',
  dropout: null,
  unk_token: '<unk>',
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: true,
  byte_fallback: true,
  ignore_merges: false,
};

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
 * @see transformers convert_slow_tokenizer.py, LlamaConverter and generate_merges
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
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (!ids.has(token)) ids.set(token, id);
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: FIRST.map((content, id) => ({ content, id, ...SPECIAL })),
    ...PIPELINE,
    model: { ...MODEL, vocab: Object.fromEntries(ids), merges: mergesOf(pieces, tokens, ids) },
  };
  const config = { ...CONFIG, model_max_length: contextLength };
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}

/** Every way to make a piece of two others, best score first; of equal ones those whose parts stand first. */
function mergesOf(
  pieces: readonly ScoredPiece[],
  tokens: readonly string[],
  ids: ReadonlyMap<string, number>,
): [string, string][] {
  const found: { pair: [string, string]; order: number[] }[] = [];
  for (let id = FIRST.length + BYTES.length; id < tokens.length; id++) {
    const characters = [...(tokens[id] ?? '')];
    const score = pieces[id]?.score ?? 0;
    for (let cut = 1; cut < characters.length; cut++) {
      const pair: [string, string] = [characters.slice(0, cut).join(''), characters.slice(cut).join('')];
      const [left, right] = [ids.get(pair[0]), ids.get(pair[1])];
      if (left !== undefined && right !== undefined) found.push({ pair, order: [-score, left, right] });
    }
  }
  const compare = (a: number[], b: number[]): number => {
    const i = a.findIndex((value, k) => value !== b[k]);
    return i === -1 ? 0 : (a[i] ?? 0) - (b[i] ?? 0);
  };
  return found.sort((a, b) => compare(a.order, b.order)).map(({ pair }) => pair);
}
