/** tokenizer.json of a SentencePiece vocabulary of kind BPE: what its scores say, as merges, built as transformers' converters do. */
import type { AddedToken } from './tokenizer-json.ts';

/** A vocabulary with "▁" for spaces. */
export interface SentencePieceVocabulary {
  /** In the order of their ids. */
  readonly tokens: readonly string[];
  /** The pair whose piece has the highest score is joined first. */
  readonly scores: ArrayLike<number>;
  /** Whether a token is found by joining: bytes, unknown and special ones are not. */
  readonly isPiece: (id: number) => boolean;
  readonly added: readonly AddedToken[];
  /** Texts of special tokens. */
  readonly unknown: string | null;
  /** What is put in front of every text. */
  readonly begin: { readonly id: number; readonly text: string } | null;
  /** A text begins with a space, whatever it begins with. */
  readonly prependsSpace: boolean;
}

/** The model in tokenizer.json, but for its vocabulary and merges. */
const MODEL = {
  type: 'BPE',
  dropout: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: true,
  byte_fallback: true,
  ignore_merges: false,
};

/**
 * The parts of tokenizer.json.
 * @see transformers convert_slow_tokenizer.py, LlamaConverter, GemmaConverter and generate_merges
 */
export function sentencePieceParts(vocabulary: SentencePieceVocabulary): Record<string, unknown> {
  const { tokens, added, unknown, begin, prependsSpace } = vocabulary;
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (!ids.has(token)) ids.set(token, id);
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const decoders = [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: prependsSpace ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, spaces] } : spaces,
    pre_tokenizer: null,
    post_processor: begin === null ? null : beginProcessor(begin),
    decoder: {
      type: 'Sequence',
      decoders: prependsSpace ? [...decoders, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : decoders,
    },
    model: { ...MODEL, unk_token: unknown, vocab: Object.fromEntries(ids), merges: mergesOf(vocabulary, ids) },
  };
}

/** What puts a token in front of every text. */
export function beginProcessor({ id, text }: { readonly id: number; readonly text: string }): Record<string, unknown> {
  return {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: text, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [text]: { id: text, ids: [id], tokens: [text] } },
  };
}

interface Merge {
  readonly pair: [string, string];
  readonly score: number;
  readonly left: number;
  readonly right: number;
}

/** Every way to make a piece of two others, best score first; of equal ones those whose parts stand first. */
function mergesOf(
  { tokens, scores, isPiece }: SentencePieceVocabulary,
  ids: ReadonlyMap<string, number>,
): [string, string][] {
  const found: Merge[] = [];
  for (const [id, token] of tokens.entries()) {
    if (!isPiece(id)) continue;
    let cut = 0;
    for (const character of token) {
      cut += character.length;
      if (cut === token.length) break;
      const pair: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const [left, right] = [ids.get(pair[0]), ids.get(pair[1])];
      if (left !== undefined && right !== undefined) found.push({ pair, score: scores[id] ?? 0, left, right });
    }
  }
  return found.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right).map(({ pair }) => pair);
}
