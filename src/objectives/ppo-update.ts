/** PPO's two updates on rows of a rollout: the policy by the clipped surrogate, the critic by the clipped value loss. */

import type { ResponseBatch } from '../batch/response-batch.ts';
import { responseCells, takeCells } from '../batch/response-batch.ts';
import type { AdamW } from '../execution/adamw.ts';
import type { UpdateOptions, UpdateResult } from '../execution/eager-update.ts';
import type { LossStep } from '../execution/gradient.ts';
import { updateStep } from '../execution/update-step.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { scores, tokenHead } from '../model/heads.ts';
import { inputArrays, inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, pick, vector } from '../tensor/host-arrays.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { logProbsOf } from './log-probabilities.ts';
import { clippedPolicyLoss, clippedValueLoss } from './ppo-clip.ts';

/** Rows of a rollout; the arrays are [batch · response] like `batch.ids`. */
export interface PpoRows {
  readonly batch: ResponseBatch;
  readonly oldLogProbs: Float32Array;
  readonly oldValues: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

/** Decoder inputs, `count`, and vectors [cells] of response tokens. */
function rolloutArrays({ dimensions }: Model, rows: PpoRows, count: number): HostArrays {
  const { batch } = rows;
  const cells = responseCells(batch);
  const take = (values: Int32Array | Float32Array) => vector(takeCells(values, cells));
  return {
    ...inputArrays(dimensions, batch.tokens),
    predictors: take(batch.predictors),
    tokens: take(batch.ids),
    responseMask: vector(cells.mask),
    oldLogProbs: take(rows.oldLogProbs),
    oldValues: take(rows.oldValues),
    advantages: take(rows.advantages),
    returns: take(rows.returns),
    count: number(count),
  };
}

/** What the losses read beside log-probabilities or values. */
function rolloutTensors(arrays: Tensors) {
  return {
    responseMask: pick<Tensor1D>(arrays, 'responseMask'),
    oldLogProbs: pick<Tensor1D>(arrays, 'oldLogProbs'),
    oldValues: pick<Tensor1D>(arrays, 'oldValues'),
    advantages: pick<Tensor1D>(arrays, 'advantages'),
    returns: pick<Tensor1D>(arrays, 'returns'),
  };
}

/** Hidden states that predict the response tokens: [cells, d_model]. */
function predictorStates({ dimensions, recompute = false }: Model, weights: Weights, arrays: Tensors): Tensor2D {
  const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays), [], { recompute });
  return selectPositions(hidden, pick(arrays, 'predictors'));
}

async function update<Name extends string>(
  model: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions,
  step: LossStep<Name>,
): Promise<UpdateResult<Name>> {
  const count = microBatches.reduce((sum, { batch }) => sum + batch.mask.reduce((total, flag) => total + flag, 0), 0);
  const arrays = microBatches.map((rows) => rolloutArrays(model, rows, count));
  return updateStep(model.parameters, adam, step, arrays, options);
}

/**
 * One update of the policy on a minibatch, given as micro-batches.
 * @param temperature of the rollout: log-probabilities are taken at the one the tokens were drawn at
 */
export async function policyUpdate(
  policy: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions & { clipRange: number; temperature: number },
): Promise<UpdateResult<'approxKl' | 'clipFraction' | 'ratio'>> {
  const { clipRange, temperature } = options;
  return update(policy, adam, microBatches, options, {
    key: `policy, clip ${clipRange}, temperature ${temperature}`,
    terms: (weights, arrays) => {
      const head = tokenHead(policy.dimensions, weights);
      const logProbs = logProbsOf(predictorStates(policy, weights, arrays), head, pick(arrays, 'tokens'), temperature);
      const { loss, ...stats } = clippedPolicyLoss(
        logProbs,
        rolloutTensors(arrays),
        clipRange,
        pick<Scalar>(arrays, 'count'),
      );
      return { loss, stats };
    },
  });
}

/** One update of the critic on a minibatch, given as micro-batches. */
export async function valueUpdate(
  critic: Model,
  adam: AdamW,
  microBatches: readonly PpoRows[],
  options: UpdateOptions & { clipRange: number },
): Promise<UpdateResult<'clipFraction'>> {
  const { clipRange } = options;
  return update(critic, adam, microBatches, options, {
    key: `value, clip ${clipRange}`,
    terms: (weights, arrays) => {
      const values = scores(weights, predictorStates(critic, weights, arrays));
      const { loss, ...stats } = clippedValueLoss(
        values,
        rolloutTensors(arrays),
        clipRange,
        pick<Scalar>(arrays, 'count'),
      );
      return { loss, stats };
    },
  });
}
