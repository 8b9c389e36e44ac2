/** Reads log-probabilities, values and scores off frozen models: forward passes only. */

import type { ResponseBatch } from '../batch/response-batch.ts';
import { gridMask, putCells } from '../batch/response-batch.ts';
import { read } from '../execution/read.ts';
import { scores, tokenHead } from '../model/heads.ts';
import { inputArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { statesAt } from '../model/states.ts';
import { logProbsAndEntropyOf, logProbsOf } from '../objectives/log-probabilities.ts';
import { pick, vector } from '../tensor/host-arrays.ts';
import type { Tensor1D, Tensor2D } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';

/**
 * Runs a reader over the states that predict the response tokens.
 * @returns an array or several, [count] each as `batch.cells`
 */
function readTokens(
  model: Model,
  batch: ResponseBatch,
  key: string,
  reader: (weights: Weights, states: Tensor2D, tokens: Tensor1D) => Tensor1D,
): Float32Array[] {
  const given = {
    ...inputArrays(model.dimensions, batch.tokens),
    at: vector(batch.predictors),
    tokens: vector(batch.targets),
  };
  const found = read(model, key, given, (weights, arrays) =>
    reader(weights, statesAt(model, weights, arrays, 'at'), pick(arrays, 'tokens')),
  );
  const count = batch.cells.length;
  return Array.from({ length: found.length / count }, (_, i) => found.subarray(i * count, (i + 1) * count));
}

/**
 * log π(token | prompt, earlier tokens) of every response token at a temperature.
 * @returns [sequences · response], 0 where no token is
 */
export function responseLogProbs(model: Model, batch: ResponseBatch, temperature: number): Float32Array {
  const [logProbs] = readTokens(model, batch, `log-probabilities at ${temperature}`, (weights, states, tokens) =>
    logProbsOf(states, tokenHead(model.dimensions, weights), tokens, temperature),
  );
  return putCells(logProbs as Float32Array, batch);
}

/**
 * The same, with the entropy of the distribution each token was drawn from, in one forward pass.
 * @returns both [sequences · response], 0 where no token is, in nats
 */
export function responseLogProbsAndEntropy(
  model: Model,
  batch: ResponseBatch,
  temperature: number,
): { logProbs: Float32Array; entropy: Float32Array } {
  const [logProbs, entropy] = readTokens(model, batch, `entropy at ${temperature}`, (weights, states, tokens) =>
    logProbsAndEntropyOf(states, tokenHead(model.dimensions, weights), tokens, temperature),
  ) as [Float32Array, Float32Array];
  return { logProbs: putCells(logProbs, batch), entropy: putCells(entropy, batch) };
}

/**
 * The critic's value of the state before every response token: its output less `offset`.
 * @returns [sequences · response], 0 where no token is
 */
export function responseValues(critic: Model, batch: ResponseBatch, offset = 0): Float32Array {
  const [outputs] = readTokens(critic, batch, 'values', scores) as [Float32Array];
  return putCells(
    outputs.map((value) => value - offset),
    batch,
  );
}

/**
 * The reward model's raw score of each sequence: read at its last token by a score head, or, of a reward model that is a
 * language model, the mean log-probability of the response's tokens in nats.
 * @returns [sequences]
 */
export function responseScores(rewardModel: Model, batch: ResponseBatch): Float32Array {
  if (rewardModel.head === 'tokens') return meanLogProbs(rewardModel, batch);
  const given = { ...inputArrays(rewardModel.dimensions, batch.tokens), last: vector(batch.last) };
  return read(rewardModel, 'scores', given, (weights, arrays) =>
    scores(weights, statesAt(rewardModel, weights, arrays, 'last')),
  );
}

function meanLogProbs(model: Model, batch: ResponseBatch): Float32Array {
  const { sequences, response } = batch.grid;
  const logProbs = responseLogProbs(model, batch, 1);
  const mask = gridMask(batch);
  return Float32Array.from({ length: sequences }, (_, line) => {
    const cells = [line * response, (line + 1) * response] as const;
    const add = (sum: number, value: number): number => sum + value;
    return logProbs.subarray(...cells).reduce(add, 0) / mask.subarray(...cells).reduce(add, 0);
  });
}
