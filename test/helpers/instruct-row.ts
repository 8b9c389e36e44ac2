/** A row of instruct.arrow for tests that care for its tokens. */
import type { InstructRow } from '../../src/examples/instruction-table.ts';

/** @param learned the loss mask, of the ids' length */
export function instructRow(ids: Int32Array, learned: Int32Array, cut = 0): InstructRow {
  return {
    input_ids: ids,
    loss_mask: learned,
    part: 'plain',
    task: 'trade',
    cluster: 'qa',
    template_id: 'plain',
    kind: 'direct',
    shots: 0,
    row_id: 'a',
    split: 'train',
    prompt: 'a',
    target: 'b',
    options: ['b', 'c'],
    cut_tokens: cut,
  };
}
