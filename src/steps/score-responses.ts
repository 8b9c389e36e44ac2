/** Reads log-probabilities, values and scores off frozen models: forward passes only. */
import { decode, selectPositions } from '../model/decoder.ts';
import { scores, tokenHead } from '../model/heads.ts';
import { inputArrays, inputsFrom } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { logProbsAndEntropyOf, logProbsOf } from '../objectives/log-probabilities.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { readStep } from './read-step.ts';
import type { ResponseBatch } from './response-batch.ts';

/** Decoder inputs, and `predictors` and `tokens` [batch · response], or `last` [batch]. */
function scoringArrays({ dimensions }: Model, batch: ResponseBatch, at: 'predictors' | 'last'): HostArrays {
  const inputs = inputArrays(dimensions, batch.tokens);
  if (at === 'last') return { ...inputs, last: vector(batch.last) };
  return { ...inputs, predictors: vector(batch.predictors), tokens: vector(batch.ids) };
}

/** Runs a reader over the hidden states at chosen positions. */
function read(
  model: Model,
  batch: ResponseBatch,
  at: 'predictors' | 'last',
  key: string,
  reader: (weights: Weights, states: Tensor2D, arrays: Tensors) => Tensor1D,
): Float32Array {
  const { dimensions } = model;
  return readStep(model, key, scoringArrays(model, batch, at), (weights, arrays) => {
    const { hidden } = decode(dimensions, weights, inputsFrom(dimensions, arrays));
    return reader(weights, selectPositions(hidden, pick(arrays, at)), arrays);
  });
}

/**
 * log π(token | prompt, earlier tokens) of every response token at a temperature.
 * @returns [batch · response], 0 where masked
 */
export function responseLogProbs(model: Model, batch: ResponseBatch, temperature: number): Float32Array {
  const values = read(model, batch, 'predictors', `log-probabilities at ${temperature}`, (weights, states, arrays) =>
    logProbsOf(states, tokenHead(model.dimensions, weights), pick(arrays, 'tokens'), temperature),
  );
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
  const both = read(model, batch, 'predictors', `entropy at ${temperature}`, (weights, states, arrays) =>
    logProbsAndEntropyOf(states, tokenHead(model.dimensions, weights), pick(arrays, 'tokens'), temperature),
  );
  const size = batch.ids.length;
  return { logProbs: masked(both.subarray(0, size), batch), entropy: masked(both.subarray(size), batch) };
}

function masked(values: Float32Array, batch: ResponseBatch): Float32Array {
  return values.map((value, i) => (batch.mask[i] ? value : 0));
}

/**
 * The critic's value of the state before every response token: its output less `offset`.
 * @returns [batch · response], 0 where masked
 */
export function responseValues(critic: Model, batch: ResponseBatch, offset = 0): Float32Array {
  const outputs = read(critic, batch, 'predictors', 'values', scores);
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
  return read(rewardModel, batch, 'last', 'scores', scores);
}
