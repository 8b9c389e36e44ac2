/** Reads log-probabilities, values and scores off frozen models: forward passes only. */

import type { ResponseBatch } from '../batch/response-batch.ts';
import { responseCells, takeCells } from '../batch/response-batch.ts';
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
 * @returns an array or several, [batch · response] each, 0 where masked
 */
function readTokens(
  model: Model,
  batch: ResponseBatch,
  key: string,
  reader: (weights: Weights, states: Tensor2D, tokens: Tensor1D) => Tensor1D,
): Float32Array[] {
  const cells = responseCells(batch);
  const given = {
    ...inputArrays(model.dimensions, batch.tokens),
    at: vector(takeCells(batch.predictors, cells)),
    tokens: vector(takeCells(batch.ids, cells)),
  };
  const found = read(model, key, given, (weights, arrays) =>
    reader(weights, statesAt(model, weights, arrays, 'at'), pick(arrays, 'tokens')),
  );
  const count = cells.cells.length;
  return Array.from({ length: found.length / count }, (_, array) => {
    const values = new Float32Array(batch.ids.length);
    cells.cells.forEach((cell, i) => {
      if (cells.mask[i] === 1) values[cell] = found[array * count + i] as number;
    });
    return values;
  });
}

/**
 * log π(token | prompt, earlier tokens) of every response token at a temperature.
 * @returns [batch · response], 0 where masked
 */
export function responseLogProbs(model: Model, batch: ResponseBatch, temperature: number): Float32Array {
  const [logProbs] = readTokens(model, batch, `log-probabilities at ${temperature}`, (weights, states, tokens) =>
    logProbsOf(states, tokenHead(model.dimensions, weights), tokens, temperature),
  );
  return logProbs as Float32Array;
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
  const [logProbs, entropy] = readTokens(model, batch, `entropy at ${temperature}`, (weights, states, tokens) =>
    logProbsAndEntropyOf(states, tokenHead(model.dimensions, weights), tokens, temperature),
  ) as [Float32Array, Float32Array];
  return { logProbs, entropy };
}

/**
 * The critic's value of the state before every response token: its output less `offset`.
 * @returns [batch · response], 0 where masked
 */
export function responseValues(critic: Model, batch: ResponseBatch, offset = 0): Float32Array {
  const [outputs] = readTokens(critic, batch, 'values', scores) as [Float32Array];
  return outputs.map((value, cell) => (batch.mask[cell] ? value - offset : 0));
}

/**
 * The reward model's raw score of each sequence, read at its last token.
 * @returns [batch]
 */
export function responseScores(rewardModel: Model, batch: ResponseBatch): Float32Array {
  const given = { ...inputArrays(rewardModel.dimensions, batch.tokens), last: vector(batch.last) };
  return read(rewardModel, 'scores', given, (weights, arrays) =>
    scores(weights, statesAt(rewardModel, weights, arrays, 'last')),
  );
}
