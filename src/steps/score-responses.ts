/** Reads log-probabilities, values and scores off frozen models: forward passes only. */
import { decode, selectPositions } from '../model/decoder.ts';
import { scores, tokenHead } from '../model/heads.ts';
import type { DecoderInputs } from '../model/inputs.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import { logProbsAndEntropyOf, logProbsOf } from '../objectives/log-probabilities.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import type { ResponseBatch } from './response-batch.ts';

/** Runs a reader over the hidden states of a batch and brings its result to the host. */
function read(
  model: Model,
  batch: ResponseBatch,
  reader: (weights: Weights, hidden: Tensor2D) => Tensor1D,
): Float32Array {
  const inputs: DecoderInputs = decoderInputs(model.dimensions, batch.tokens);
  // Not returned from the tidy: it would look for tensors among all of the numbers.
  let result = new Float32Array();
  tf.tidy(() => {
    const weights = modelWeights(model);
    const { hidden } = decode(model.dimensions, weights, inputs);
    result = reader(weights, hidden).dataSync() as Float32Array<ArrayBuffer>;
  });
  disposeInputs(inputs);
  return result;
}

/**
 * log π(token | prompt, earlier tokens) of every response token at a temperature.
 * @returns [batch · response], 0 where masked
 */
export function responseLogProbs(model: Model, batch: ResponseBatch, temperature: number): Float32Array {
  const values = read(model, batch, (weights, hidden) => {
    const head = tokenHead(model.dimensions, weights);
    return logProbsOf(predictorStates(batch, hidden), head, tf.tensor1d(batch.ids, 'int32'), temperature);
  });
  return masked(values, batch);
}

/**
 * The same, with the entropy of the distribution each token was drawn from, in one forward pass.
 * @returns both [batch · response], 0 where masked, in nats
 */
export function responseLogProbsAndEntropy(
  model: Model,
  batch: ResponseBatch,
  temperature: number,
): { logProbs: Float32Array; entropy: Float32Array } {
  const both = read(model, batch, (weights, hidden) => {
    const head = tokenHead(model.dimensions, weights);
    const ids = tf.tensor1d(batch.ids, 'int32');
    return logProbsAndEntropyOf(predictorStates(batch, hidden), head, ids, temperature);
  });
  const size = batch.ids.length;
  return { logProbs: masked(both.subarray(0, size), batch), entropy: masked(both.subarray(size), batch) };
}

/** Hidden states that predict each response token: [batch · response, d_model]. */
function predictorStates(batch: ResponseBatch, hidden: Tensor2D): Tensor2D {
  return selectPositions(hidden, tf.tensor1d(batch.predictors, 'int32'));
}

function masked(values: Float32Array, batch: ResponseBatch): Float32Array {
  return values.map((value, i) => (batch.mask[i] ? value : 0));
}

/**
 * The critic's value of the state before every response token: its output less `offset`.
 * @returns [batch · response], 0 where masked
 */
export function responseValues(critic: Model, batch: ResponseBatch, offset = 0): Float32Array {
  const outputs = read(critic, batch, (weights, hidden) => {
    return scores(weights, selectPositions(hidden, tf.tensor1d(batch.predictors, 'int32')));
  });
  return masked(
    outputs.map((value) => value - offset),
    batch,
  );
}

/**
 * The reward model's raw score of each sequence, read at its last token.
 * @returns [batch]
 */
export function responseScores(rewardModel: Model, batch: ResponseBatch): Float32Array {
  return read(rewardModel, batch, (weights, hidden) => {
    return scores(weights, selectPositions(hidden, tf.tensor1d(batch.last, 'int32')));
  });
}
