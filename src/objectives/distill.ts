/** Knowledge distillation: a student learns a teacher's distribution of the next token beside the right one. */
import type { TokenBatch } from '../batch/token-batch.ts';
import type { Loss, MicroBatch } from '../execution/objective.ts';
import { read } from '../execution/read.ts';
import { tokenLogits } from '../model/heads.ts';
import type { Model } from '../model/model.ts';
import { statesAt } from '../model/states.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { maskedCrossEntropy, maskedSum } from './cross-entropy.ts';
import { layOutRows, nextToken } from './next-token.ts';

/** The mix of the two losses. */
export interface DistillOptions {
  /** Weight of the teacher: 1 learns from it alone, 0 from the data alone. */
  readonly alpha: number;
  /** Divides the logits of both; above 1, unlikely tokens weigh more. */
  readonly temperature: number;
}

/** The two models. */
export interface StudentAndTeacher {
  readonly student: Model;
  /** Never changed. */
  readonly teacher: Model;
}

/** Rows as both models read them: the positions of the teacher may be made otherwise than the student's. */
export interface DistillRows extends MicroBatch {
  readonly teacher: HostArrays;
}

/** Packed rows laid out for both; host arrays alone, so it may be done while a step runs. */
export function layOutForBoth({ student, teacher }: StudentAndTeacher, rows: TokenBatch): DistillRows {
  return { ...layOutRows(student, rows), teacher: layOutRows(teacher, rows).arrays };
}

/**
 * Rows with the logits of the teacher at the learned positions: what `distillation` learns from. Teacher and student read
 * the same ids; where one has more rows in its embedding (padding of the vocabulary), the tokens both have are compared.
 */
export function askTeacher({ student, teacher }: StudentAndTeacher, rows: DistillRows): MicroBatch {
  const { vocab } = student.dimensions;
  const values = read(teacher, `teacher of ${vocab}`, rows.teacher, (weights, arrays) =>
    toVocabulary(logitsOf(teacher, weights, arrays), vocab),
  );
  return { count: rows.count, arrays: { ...rows.arrays, teacher: { shape: [values.length / vocab, vocab], values } } };
}

/** The student's objective, on rows that a teacher was asked about; where alpha is 0 it need not be. */
export function distillation({ alpha, temperature }: DistillOptions): Loss<'kl' | 'crossEntropy'> {
  return {
    key: `distill, alpha ${alpha}, temperature ${temperature}`,
    unit: nextToken.unit,
    terms: (student, weights, arrays) => {
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
}

function logitsOf(model: Model, weights: Weights, arrays: Tensors): Tensor2D {
  return tokenLogits(model.dimensions, weights, statesAt(model, weights, arrays, 'learned'));
}

/** As a logit: a probability of 0, while differences stay finite. */
const NO_TOKEN = -1e4;

/** Rows that only pad an embedding stand for no token: they are cut off, or made impossible. */
function toVocabulary(logits: Tensor2D, vocab: number): Tensor2D {
  const [rows, width] = logits.shape;
  if (width === vocab) return logits;
  if (width > vocab) return tf.slice(logits, [0, 0], [rows, vocab]);
  return tf.concat([logits, tf.fill([rows, vocab - width], NO_TOKEN)], 1) as Tensor2D;
}

/** The loss and its two parts, each a mean over learned tokens, in nats. */
export interface DistillLoss {
  /** alpha · T² · KL + (1 − alpha) · cross-entropy */
  readonly loss: Scalar;
  /** KL(teacher ‖ student) at the temperature; 0 where alpha is. */
  readonly kl: Scalar;
  readonly crossEntropy: Scalar;
}

/** What one batch's loss is computed from. */
export interface DistillTensors {
  /** [rows, vocab] of the student, differentiated. */
  readonly student: Tensor2D;
  /** [rows, vocab] of the teacher, a constant; null where alpha is 0. */
  readonly teacher: Tensor2D | null;
  /** [rows] int32, the right tokens. */
  readonly labels: Tensor1D;
  /** [rows], 1 on learned tokens. */
  readonly mask: Tensor1D;
  /** Learned tokens of all micro-batches of this update. */
  readonly count: number | Scalar;
}

/**
 * alpha · T² · KL(teacher ‖ student at temperature T) + (1 − alpha) · cross-entropy. T² keeps the gradient of the first
 * part as large as that of the second, whatever T is.
 * @see Hinton et al. 2015, arXiv:1503.02531, section 2; Sanh et al. 2019 (DistilBERT), arXiv:1910.01108, for the mix
 */
export function distillLoss(batch: DistillTensors, { alpha, temperature }: DistillOptions): DistillLoss {
  const { student, teacher, labels, mask, count } = batch;
  const crossEntropy = maskedCrossEntropy(student, labels, mask, count);
  if (teacher === null || alpha === 0) {
    return { loss: tf.mul(crossEntropy, 1 - alpha), kl: tf.scalar(0), crossEntropy };
  }
  const kl = maskedSum(teacherKl(student, teacher, temperature), mask, count);
  const loss = tf.add(tf.mul(kl, alpha * temperature * temperature), tf.mul(crossEntropy, 1 - alpha)) as Scalar;
  return { loss, kl, crossEntropy };
}

/**
 * KL(softmax(teacher / T) ‖ softmax(student / T)) of each row, in nats. Differentiable in the student's logits:
 * (softmax(student / T) − softmax(teacher / T)) / T.
 * @param student [rows, vocab]
 * @param teacher [rows, vocab]
 * @returns [rows]
 */
function teacherKl(student: Tensor2D, teacher: Tensor2D, temperature: number): Tensor1D {
  const op = tf.customGrad((...inputs: unknown[]) => {
    const [logits, save] = inputs as [Tensor2D, (tensors: Tensor[]) => void];
    const studentLog = logSoftmax(tf.div(logits, temperature));
    const teacherLog = logSoftmax(tf.div(teacher, temperature));
    const teacherP = tf.exp(teacherLog);
    const value = tf.sum(tf.mul(teacherP, tf.sub(teacherLog, studentLog)), 1);
    save([tf.div(tf.sub(tf.exp(studentLog), teacherP), temperature)]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(saved[0] as Tensor2D, tf.expandDims(dy, 1)),
    };
  });
  return op(student) as Tensor1D;
}

function logSoftmax(logits: Tensor2D): Tensor2D {
  const shifted = tf.sub(logits, tf.max(logits, 1, true));
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
}
