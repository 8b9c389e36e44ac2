/** Examples that PPO's policy goes on learning beside a rollout, PPO-ptx: their section, and their rows in an order of their own. */

import { z } from 'zod';
import type { TokenBatch } from '../batch/token-batch.ts';
import { CheckpointError, ConfigError, DataError } from '../errors.ts';
import type { CursorState } from '../examples/cursor.ts';
import { createCursor } from '../examples/cursor.ts';
import { openPacked } from '../examples/tokenized-packed.ts';
import { readTable } from '../tables/arrow-file.ts';
import { utf8 } from '../tables/columns.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Kind } from './declaration.ts';
import type { Parent } from './parents.ts';
import { filePath } from './sections.ts';

export const PretrainingMix = z.strictObject({
  examples: filePath(
    'Tokenized examples of a stage-1 run, its instruct.arrow; null for those of the run that made the policy.',
  )
    .nullable()
    .default(null),
  tasks: z.array(z.string()).min(1).optional().describe('Tasks whose examples are learned; all when left out.'),
  coefficient: z
    .number()
    .nonnegative()
    .default(1)
    .describe('γ: what the gradient of the mean next-token loss is multiplied with; 0 measures that loss alone.'),
  rows: z.int().positive().default(8).describe('Packed rows an update of the policy.'),
  length: z.int().positive().default(160).describe('Tokens of a packed row.'),
});
export type PretrainingMix = z.infer<typeof PretrainingMix>;

/** Rows drawn endlessly, every one once a pass. */
export interface MixedRows {
  readonly coefficient: number;
  /** Those of the next update. */
  next(): TokenBatch;
  /** For a checkpoint. */
  state(): CursorState;
}

/** An open table of examples. */
export interface OpenMix {
  readonly path: string;
  /** For people. */
  readonly lines: readonly string[];
  /** From a seed, or where a checkpoint was. */
  start(from: number | CursorState): MixedRows;
  close(): void;
}

/** What the examples are in declarations. */
const EXAMPLES: Kind = 'instruction examples';

/**
 * Opens the examples; nothing where there is no section.
 * @param context tokens that the policy reads at most
 * @throws ConfigError where rows are longer than that; CheckpointError where the policy's run has no examples and the section
 *   names none; DataError where the file is missing or damaged, was made with another tokenizer, has no examples or none of
 *   a task, or one is longer than a row
 */
export function openPretrainingMix(
  section: PretrainingMix | undefined,
  policy: Pick<Parent, 'path' | 'manifest'>,
  context: number,
  tokenizer: Tokenizer,
): OpenMix | undefined {
  if (section === undefined) return undefined;
  const { examples, tasks, coefficient, rows, length } = section;
  if (length > context) {
    throw new ConfigError(
      `pretrainingMix.length: expected at most ${context}, which the policy reads; received ${length}.`,
    );
  }
  const path = examples ?? examplesBeside(policy);
  const data = openPacked(path, tokenizer, length, rows, ofOtherTasks(path, tasks));
  return {
    path,
    lines: [
      `mix  ${data.examples} examples of ${path} in ${data.units} packed rows of ${length} tokens; ${rows} an update, γ ${coefficient}`,
    ],
    start: (from) => {
      const cursor = createCursor(data.units, from, 'pretraining mix');
      return { coefficient, next: () => data.take(cursor.next(rows)), state: cursor.state };
    },
    close: data.close,
  };
}

function examplesBeside({ path, manifest }: Pick<Parent, 'path' | 'manifest'>): string {
  const output = manifest?.outputs.find(({ kind }) => kind === EXAMPLES);
  if (output !== undefined) return `${path}/${output.path}`;
  throw new CheckpointError(
    `pretrainingMix.examples: expected the instruct.arrow of a stage-1 run; policy ${path} has no ${EXAMPLES} beside it. Name a table.`,
  );
}

/** Positions of the examples that are not mixed in. */
function ofOtherTasks(path: string, tasks: readonly string[] | undefined): ReadonlySet<number> {
  if (tasks === undefined) return new Set();
  const columns = { task: utf8('Dataset the row comes from.') };
  const { rows } = readTable(path, columns, 'node --import tsx stages/1-instruct.ts');
  const known = [...new Set(rows.map(({ task }) => task))].sort();
  const unknown = tasks.filter((task) => !known.includes(task));
  if (unknown.length > 0) {
    throw new DataError(
      `pretrainingMix.tasks: ${path} has no examples of ${unknown.join(', ')}; expected some of ${known.join(', ')}.`,
    );
  }
  return new Set(rows.flatMap(({ task }, position) => (tasks.includes(task) ? [] : [position])));
}
