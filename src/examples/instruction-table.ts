/** The table of instruction examples (instruct.arrow): tokens, masks, where each example comes from, and its statistics. */
import { DataError } from '../errors.ts';
import { openTableWriter } from '../tables/arrow-writer.ts';
import { int32, int32List, type Row, utf8, utf8List } from '../tables/columns.ts';
import { type Counted, countAt } from '../tables/tally.ts';
import type { LearnedAnswers } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { checkUnknown, countUnknown } from './unknown-tokens.ts';

/** Columns of `instruct.arrow`. */
export const instructColumns = {
  input_ids: int32List('Token ids: BOS, then for each turn prompt and line break, response, EOS.'),
  loss_mask: int32List('1 on the tokens that are learned: responses and their EOS; 0 on BOS and prompts.'),
  part: utf8('Part of the mixture the example was drawn for.'),
  task: utf8('Dataset the row comes from.'),
  cluster: utf8('Cluster of the dataset.'),
  template_id: utf8('Template the row was rendered with.'),
  kind: utf8(
    'Kind of the template: direct, inverted, chain_of_thought or dialogue; of rows of files conversation or text.',
  ),
  shots: int32('Solved examples in front of the question; nothing is learned from them.'),
  row_id: utf8('Id of the row in its dataset.'),
  split: utf8('Split of the row: train, validation or test.'),
  prompt: utf8('Rendered prompt with examples and earlier turns, without the line break after it.'),
  target: utf8('Rendered target.'),
  options: utf8List('Answers to rank; empty for free text.'),
  cut_tokens: int32('Tokens that were cut off to make the example fit; 0 for nearly all.'),
};

export type InstructRow = Row<typeof instructColumns>;

/** An example that was left out because it is too long. */
export interface DroppedExample {
  /** "path:line" of its row. */
  readonly droppedFrom: string;
}

/** Figures of a tokenized table, kept in its metadata under "statistics" as JSON. */
export interface TokenStatistics {
  readonly examples: number;
  readonly tokens: number;
  /** Tokens with loss. */
  readonly trainableTokens: number;
  readonly longest: number;
  readonly truncated: number;
  /** Left out because they were too long. */
  readonly dropped: number;
  /** The first rows of those; not in tables of older versions. */
  readonly firstDropped?: readonly string[];
  /** Whose target was cut, and EOS with it. */
  readonly withoutEos: number;
  /** Learned tokens that stand for text the vocabulary lacks; left out where there are none. */
  readonly unknownTokens?: number;
  /** Without any token to learn from; none are written, so this is 0 in a file of ours. */
  readonly fullyMasked: number;
}

/**
 * Writes `instruct.arrow` row by row. The tokenizer's hash goes into the schema, so that readers can refuse another.
 *
 * @param rows  examples in order, with those that were dropped
 * @param learn which answers of conversations are learned, which goes into the schema too
 * @throws DataError where an example has nothing to learn, or more than a tenth of all learned tokens are unknown; whatever `rows` throws. Nothing is written then
 */
export async function writeInstruct(
  path: string,
  rows: Iterable<InstructRow | DroppedExample>,
  tokenizer: Tokenizer,
  learn?: LearnedAnswers,
): Promise<TokenStatistics> {
  const about = { tokenizer: tokenizer.hash, ...(learn !== undefined && { learn }) };
  const table = await openTableWriter(path, instructColumns, about);
  const sum = { examples: 0, tokens: 0, trainableTokens: 0, longest: 0, truncated: 0, withoutEos: 0 };
  const dropped: Counted = { count: 0, first: [] };
  let unknownTokens = 0;
  try {
    for (const row of rows) {
      if ('droppedFrom' in row) {
        countAt(dropped, row.droppedFrom);
        continue;
      }
      const { input_ids: ids, loss_mask: mask } = row;
      const learned = mask.reduce((count, flag) => count + flag, 0);
      if (learned === 0) throw new DataError(`${path}: row ${sum.examples}: nothing would be learned. Remove the row.`);
      const unknown = countUnknown(ids, mask, tokenizer);
      if (unknown > 0 && tokenizer.decode(Array.from(ids).filter((_, i) => mask[i] === 1)).trim() === '') {
        throw new DataError(
          `${path}: row ${sum.examples} (${row.task}, ${row.row_id}): the vocabulary lacks all of the target ` +
            `${JSON.stringify(row.target.slice(0, 60))}, so nothing would be learned. Remove the row, or use another tokenizer.`,
        );
      }
      unknownTokens += unknown;
      sum.examples++;
      sum.tokens += ids.length;
      sum.trainableTokens += learned;
      sum.longest = Math.max(sum.longest, ids.length);
      if (row.cut_tokens > 0) sum.truncated++;
      // A text in pieces ends once.
      if (row.kind !== 'text' && !endsInEos(row, tokenizer.eosId)) sum.withoutEos++;
      table.append(row);
    }
    checkUnknown(path, unknownTokens, sum.trainableTokens, tokenizer);
    const unknown = unknownTokens > 0 ? { unknownTokens } : {};
    const statistics = { ...sum, ...unknown, dropped: dropped.count, firstDropped: dropped.first, fullyMasked: 0 };
    await table.close({ statistics: JSON.stringify(statistics) });
    return statistics;
  } finally {
    table.discard();
  }
}

/** Whether what is learned last ends with EOS; a chat template may write a line break after it. */
function endsInEos({ input_ids: ids, loss_mask: mask }: InstructRow, eosId: number): boolean {
  for (let i = ids.length - 1; i >= 0 && (mask[i] === 1 || i === ids.length - 1); i--)
    if (ids[i] === eosId) return true;
  return false;
}

/** The figures in words, for terminals: "24,000 examples, 1,234,567 tokens (23 % learned), longest 151, …". */
export function describeStatistics(statistics: TokenStatistics): string {
  const { examples, tokens, trainableTokens, longest, truncated, dropped, firstDropped = [], withoutEos } = statistics;
  const { unknownTokens = 0 } = statistics;
  const count = (value: number): string => value.toLocaleString('en-US');
  const parts = [
    `${count(examples)} examples`,
    `${count(tokens)} tokens (${Math.round((100 * trainableTokens) / Math.max(1, tokens))} % learned)`,
    `longest ${count(longest)}`,
  ];
  if (truncated > 0) parts.push(`${count(truncated)} truncated`);
  const places = firstDropped.length > 0 ? `, first at ${firstDropped.join(', ')}` : '';
  if (dropped > 0) parts.push(`${count(dropped)} dropped (too long${places})`);
  if (unknownTokens > 0) parts.push(`${count(unknownTokens)} learned tokens UNKNOWN to the vocabulary`);
  if (withoutEos > 0) parts.push(`${count(withoutEos)} WITHOUT EOS: their targets were cut`);
  return parts.join(', ');
}
