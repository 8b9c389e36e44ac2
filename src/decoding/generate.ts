/** Responses to many prompts. */
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { GenerateOptions, StopIds } from './decode-steps.ts';
import { decodeSteps, isStop } from './decode-steps.ts';
import type { DrawnToken } from './sample-token.ts';

/** One response. */
export interface Response {
  /** Token ids, EOS (or another stop id) included where it was drawn. */
  readonly ids: Int32Array;
  /** True where EOS (or another stop id) was drawn. */
  readonly ended: boolean;
  /** log-probability of each token when it was drawn, at the sampling temperature, before penalty and filters. */
  readonly logProbs: Float32Array;
}

/**
 * Answers every prompt, in the order of the prompts.
 * @param prompts token ids of each prompt
 * @throws ConfigError where a prompt and its response do not fit the model's context
 */
export async function generate(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): Promise<Response[]> {
  const responses = new Array<Response>(prompts.length);
  for await (const { prompt, response } of generateEach(model, prompts, options, stop, random)) {
    responses[prompt] = response;
  }
  return responses;
}

/** The same, each response as soon as it has ended, with the index of its prompt. */
export async function* generateEach(
  model: Model,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  stop: StopIds,
  random: Random,
): AsyncGenerator<{ prompt: number; response: Response }, void> {
  const tokens = prompts.map((): DrawnToken[] => []);
  for await (const { drawn } of decodeSteps(model, prompts, options, stop, random)) {
    for (const { prompt, token } of drawn) {
      const own = tokens[prompt] as DrawnToken[];
      own.push(token);
      const ended = isStop(token.id, stop);
      if (!ended && own.length < options.maxNewTokens) continue;
      const ids = Int32Array.from(own, ({ id }) => id);
      yield { prompt, response: { ids, ended, logProbs: Float32Array.from(own, ({ logProb }) => logProb) } };
    }
  }
}
