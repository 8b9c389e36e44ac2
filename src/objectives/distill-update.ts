/** One update of a student on packed rows, with the logits of a teacher on the same tokens. */
import type { TokenBatch } from '../batch/token-batch.ts';
import { InvariantError } from '../errors.ts';
import type { AdamW } from '../execution/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../execution/eager-update.ts';
import type { LossStep } from '../execution/gradient.ts';
import { readStep } from '../execution/read-step.ts';
import { updateStep } from '../execution/update-step.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import { inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { HostArray, HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { DistillOptions } from './distill.ts';
import { distillLoss } from './distill.ts';
import type { NextTokenBatch } from './next-token.ts';
import { nextTokenBatches } from './next-token.ts';

/** Means over the learned tokens of an update, in nats. */
export type DistillStats = 'kl' | 'crossEntropy';

/** Rows as both models read them: the positions of the teacher may be made otherwise than the student's. */
export interface DistillBatch {
  readonly student: NextTokenBatch;
  readonly teacher: NextTokenBatch;
}

/** Micro-batches of packed rows laid out for both; made of host arrays alone, so it may be done while a step runs. */
export function distillBatches(
  { student, teacher }: Models,
  microBatches: readonly TokenBatch[],
  padId: number,
): DistillBatch[] {
  const taught = nextTokenBatches(teacher, microBatches, padId);
  return nextTokenBatches(student, microBatches, padId).map((batch, i) => {
    return { student: batch, teacher: taught[i] as NextTokenBatch };
  });
}

interface Models {
  readonly student: Model;
  readonly teacher: Model;
}

/**
 * One update of the student on micro-batches. Teacher and student read the same ids; where one has more rows in its
 * embedding (padding of the vocabulary), the tokens both have are compared. The logits of the teacher for all
 * micro-batches are held until the update is done.
 * @param teacher never changed; not asked where alpha is 0
 * @throws InvariantError where no token is learned, or a number is not finite
 */
export async function distillUpdate(
  { student, teacher }: Models,
  adam: AdamW,
  microBatches: readonly DistillBatch[],
  options: UpdateOptions & DistillOptions,
): Promise<UpdateResult<DistillStats> & { tokens: number }> {
  const { alpha, temperature } = options;
  const tokens = microBatches.reduce((sum, batch) => sum + batch.student.tokens, 0);
  if (tokens === 0) {
    throw new InvariantError(`${options.where}: no token of this batch is learned; look at its loss_mask.`);
  }
  const parts = microBatches.map((batch) => ({
    ...batch.student.arrays,
    count: number(tokens),
    ...(alpha > 0 && { teacher: teacherLogits(teacher, student, batch.teacher.arrays) }),
  }));
  const step: LossStep<DistillStats> = {
    key: `distill, alpha ${alpha}, temperature ${temperature}`,
    terms: (weights, arrays) => {
      const { loss, ...stats } = distillLoss(
        {
          student: logitsOf(student, weights, arrays),
          teacher: alpha > 0 ? pick<Tensor2D>(arrays, 'teacher') : null,
          labels: pick(arrays, 'labels'),
          mask: pick(arrays, 'mask'),
          count: pick<Scalar>(arrays, 'count'),
        },
        { alpha, temperature },
      );
      return { loss, stats };
    },
  };
  return { ...(await updateStep(student.parameters, adam, step, parts, options)), tokens };
}

/** [count, vocab of the student] at the learned positions. */
function teacherLogits(teacher: Model, student: Model, arrays: HostArrays): HostArray {
  const { vocab } = student.dimensions;
  const count = (arrays.learned as HostArray).values.length;
  const values = readStep(teacher, `teacher of ${vocab}`, arrays, (weights, tensors) =>
    toVocabulary(logitsOf(teacher, weights, tensors), vocab),
  );
  return { shape: [count, vocab], values };
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

function logitsOf({ dimensions }: Model, weights: Weights, arrays: Tensors): Tensor2D {
  const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays));
  return tokenLogits(dimensions, weights, selectPositions(hidden, pick(arrays, 'learned')));
}
