/** One update of a student on packed rows, with the logits of a teacher on the same tokens. */
import type { PackedRows } from '../data/packing.ts';
import { InvariantError } from '../errors.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import type { DistillOptions } from '../objectives/distill.ts';
import { distillLoss } from '../objectives/distill.ts';

import type { Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { AdamW } from '../training/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../training/update.ts';
import { updateParameters } from '../training/update.ts';
import { disposeBatch, type NextTokenBatch, uploadRows } from './language-model.ts';

/** Means over the learned tokens of an update, in nats. */
export type DistillStats = 'kl' | 'crossEntropy';

/**
 * One update of the student on packed rows given as micro-batches. Teacher and student read the same ids; where one has
 * more rows in its embedding (padding of the vocabulary), the tokens both have are compared. The logits of the teacher
 * for all micro-batches are held until the update is done.
 * @param teacher never changed; not asked where alpha is 0
 * @throws InvariantError where no token is learned, or a number is not finite
 */
export function distillUpdate(
  models: { readonly student: Model; readonly teacher: Model },
  adam: AdamW,
  microBatches: readonly PackedRows[],
  padId: number,
  options: UpdateOptions & DistillOptions,
): UpdateResult<DistillStats> & { tokens: number } {
  const { student, teacher } = models;
  const parts = microBatches.map((rows) => {
    const batch = uploadRows(student, rows, padId);
    return { batch, known: options.alpha === 0 ? null : teacherLogits(teacher, student, batch, rows, padId) };
  });
  const tokens = parts.reduce((sum, { batch }) => sum + batch.tokens, 0);
  const losses = parts.map(({ batch, known }) => (weights: Weights) => {
    const own = logitsOf(student, weights, batch);
    const { loss, ...stats } = distillLoss(
      { student: own, teacher: known, labels: batch.labels, mask: batch.mask, count: tokens },
      options,
    );
    return { loss, stats };
  });
  try {
    if (tokens === 0)
      throw new InvariantError(`${options.where}: no token of this batch is learned; look at its loss_mask.`);
    return { ...updateParameters<DistillStats>(student.parameters, adam, losses, options), tokens };
  } finally {
    for (const { batch, known } of parts) {
      disposeBatch(batch);
      known?.dispose();
    }
  }
}

/** [count, vocab of the student] at the learned positions. */
function teacherLogits(
  teacher: Model,
  student: Model,
  { positions }: NextTokenBatch,
  rows: PackedRows,
  padId: number,
): Tensor2D {
  // Uploaded for the teacher: its positions may be made otherwise than the student's.
  const batch = uploadRows(teacher, rows, padId);
  const logits = tf.tidy(() => {
    const { hidden } = decode(teacher.dimensions, modelWeights(teacher), batch.inputs);
    const all = tokenLogits(teacher.dimensions, modelWeights(teacher), selectPositions(hidden, positions));
    return toVocabulary(all, student.dimensions.vocab);
  });
  disposeBatch(batch);
  return logits;
}

/** Rows that only pad an embedding stand for no token: they are cut off, or made impossible. */
function toVocabulary(logits: Tensor2D, vocab: number): Tensor2D {
  const [rows, width] = logits.shape;
  if (width === vocab) return logits;
  if (width > vocab) return tf.slice(logits, [0, 0], [rows, vocab]);
  return tf.concat([logits, tf.fill([rows, vocab - width], NO_TOKEN)], 1) as Tensor2D;
}

/** As a logit: a probability of 0, while differences stay finite. */
const NO_TOKEN = -1e4;

function logitsOf(model: Model, weights: Weights, batch: NextTokenBatch): Tensor2D {
  const { hidden } = decode(model.dimensions, weights, batch.inputs);
  return tokenLogits(model.dimensions, weights, selectPositions(hidden, batch.positions));
}
