/** tokenizer.json from the two files of older GPT-2 and OPT repositories: vocab.json and merges.txt. */
import { DataError, errorMessage } from '../errors.ts';
import { BYTE_LEVEL } from './tokenizer-files.ts';
import type { AddedToken } from './tokenizer-json.ts';

/** The files of a folder, as texts, and what else it says of its tokens. */
export interface Gpt2Files {
  /** vocab.json (OpenAI's encoder.json): token → id. */
  readonly vocab: string;
  /** merges.txt (OpenAI's vocab.bpe): a version line, then a pair a line; lines may end as Windows ends them. */
  readonly merges: string;
  /** Texts of special tokens; those that neither the vocabulary nor `added` has get the next ids. */
  readonly special: readonly string[];
  /** Tokens that were added to the vocabulary, with their ids. */
  readonly added?: readonly AddedToken[];
  /** The special token that the tokenizer puts in front of every text (OPT); none where left out. */
  readonly begin?: string | undefined;
}

/**
 * The text of a tokenizer.json with GPT-2's byte-level splitting.
 * @param where names the folder in errors
 * @throws DataError where a file is not what it should be
 */
export function gpt2TokenizerJson(
  { vocab, merges, special, added: given = [], begin }: Gpt2Files,
  where: string,
): string {
  let ids: Record<string, number>;
  try {
    ids = JSON.parse(vocab) as Record<string, number>;
  } catch (error) {
    throw new DataError(`${where}/vocab.json: is not JSON (${errorMessage(error)}). Copy the file again.`, {
      cause: error,
    });
  }
  const lines = merges.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#version'));
  const bad = lines.findIndex((line) => line.split(' ').length !== 2);
  if (bad !== -1) {
    throw new DataError(
      `${where}/merges.txt: expected two parts in every line, received ${JSON.stringify(lines[bad])}. Copy the file again.`,
    );
  }
  const added = addedTokens(ids, special, given, where);
  const first = added.find(({ content }) => content === begin);
  const model = {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    vocab: ids,
    merges: lines.map((line) => line.split(' ')),
  };
  const parts = {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: BYTE_LEVEL,
    post_processor: first === undefined ? BYTE_LEVEL : begins(first),
    decoder: BYTE_LEVEL,
    model,
  };
  return `${JSON.stringify({ version: '1.0', truncation: null, padding: null, ...parts })}\n`;
}

/** Added tokens in the order of their ids: those that are given, then special ones, at ids of their own where they have none. */
function addedTokens(
  ids: Readonly<Record<string, number>>,
  special: readonly string[],
  given: readonly AddedToken[],
  where: string,
): AddedToken[] {
  const taken = new Map(Object.entries(ids).map(([content, id]) => [id, content]));
  const found = new Map<string, AddedToken>();
  for (const token of given) {
    const { id, content } = token;
    const other = taken.get(id) ?? content;
    if (other !== content || (ids[content] ?? id) !== id) {
      const [one, two] = [content, other].map((text) => JSON.stringify(text));
      const theirs = other === content ? `${ids[content]} in vocab.json` : `so has ${two}`;
      throw new DataError(
        `${where}: the added token ${one} has id ${id}, and ${theirs}; expected an id of its own. Copy the files of one revision.`,
      );
    }
    taken.set(id, content);
    found.set(content, { ...token, special: token.special || special.includes(content) });
  }
  let next = Math.max(...taken.keys()) + 1;
  const known = '<|endoftext|>' in ids ? ['<|endoftext|>'] : [];
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  for (const content of [...special, ...known]) {
    if (!found.has(content)) found.set(content, { id: ids[content] ?? next++, content, ...flags });
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

function begins({ id, content }: { id: number; content: string }): object {
  const text = (name: string, type: number): object => ({ Sequence: { id: name, type_id: type } });
  const single = [{ SpecialToken: { id: content, type_id: 0 } }, text('A', 0)];
  const special = { [content]: { id: content, ids: [id], tokens: [content] } };
  return { type: 'TemplateProcessing', single, pair: [...single, text('B', 1)], special_tokens: special };
}
