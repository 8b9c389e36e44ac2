/** tokenizer.json from the two files of older GPT-2 and OPT repositories: vocab.json and merges.txt. */
import { DataError, errorMessage } from '../errors.ts';

/**
 * The text of a tokenizer.json with GPT-2's byte-level splitting.
 * @param vocab  text of vocab.json (OpenAI's encoder.json): token → id
 * @param merges text of merges.txt (OpenAI's vocab.bpe): a version line, then a pair a line
 * @param special texts of special tokens; those that the vocabulary lacks get the next ids
 * @param where  names the folder in errors
 * @param begin  the special token that the tokenizer puts in front of every text (OPT); none where left out
 * @throws DataError where a file is not what it should be
 */
export function gpt2TokenizerJson(
  vocab: string,
  merges: string,
  special: readonly string[],
  where: string,
  begin?: string,
): string {
  let ids: Record<string, number>;
  try {
    ids = JSON.parse(vocab) as Record<string, number>;
  } catch (error) {
    throw new DataError(`${where}/vocab.json: is not JSON (${errorMessage(error)}). Copy the file again.`, {
      cause: error,
    });
  }
  const lines = merges.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#version'));
  const bad = lines.findIndex((line) => line.split(' ').length !== 2);
  if (bad !== -1) {
    throw new DataError(
      `${where}/merges.txt: expected two parts in every line, received ${JSON.stringify(lines[bad])}. Copy the file again.`,
    );
  }
  let next = Math.max(...Object.values(ids)) + 1;
  const known = '<|endoftext|>' in ids ? ['<|endoftext|>'] : [];
  const added = [...new Set([...special, ...known])].map((content) => {
    const id = ids[content] ?? next++;
    return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  });
  const first = added.find(({ content }) => content === begin);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const model = {
    ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '' },
    ...{ fuse_unk: false, byte_fallback: false, vocab: ids, merges: lines.map((line) => line.split(' ')) },
  };
  const parts = {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: first === undefined ? byteLevel : begins(first),
    decoder: byteLevel,
    model,
  };
  return `${JSON.stringify({ version: '1.0', truncation: null, padding: null, ...parts })}\n`;
}

function begins({ id, content }: { id: number; content: string }): object {
  const text = (name: string, type: number): object => ({ Sequence: { id: name, type_id: type } });
  const single = [{ SpecialToken: { id: content, type_id: 0 } }, text('A', 0)];
  const special = { [content]: { id: content, ids: [id], tokens: [content] } };
  return { type: 'TemplateProcessing', single, pair: [...single, text('B', 1)], special_tokens: special };
}
