/** Answers evaluation items: by ranking the options, or by greedy generation and exact match. */
import { decodeResponse, encodePrompt, encodeTarget } from '../data/instruction.ts';
import { DataError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import { generate } from '../rollout/generate.ts';
import type { PromptResponse } from '../steps/response-batch.ts';
import { responseBatch } from '../steps/response-batch.ts';
import { responseLogProbs } from '../steps/score-responses.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { TaskItem } from './task-items.ts';

/** An item with the model's answer. */
export interface TaskAnswer {
  readonly item: TaskItem;
  readonly prediction: string;
  readonly correct: boolean;
  /** log p(option, EOS | prompt) of each option, in nats; empty for free text. */
  readonly optionLogProbs: readonly number[];
}

/** Sequences scored side by side. */
const SCORE_BATCH = 32;

/**
 * Items with options: the option with the highest sum of token log-probabilities, EOS included (T0's rule,
 * arXiv:2110.08207 section 5). Free text: greedy generation, right when equal to the target after trimming.
 * @throws DataError naming the tasks whose prompts do not fit the model, before anything is scored
 */
export function answerTasks(
  model: Model,
  tokenizer: Tokenizer,
  items: readonly TaskItem[],
  onProgress: (done: number) => void = () => undefined,
): TaskAnswer[] {
  const answers = new Map<TaskItem, TaskAnswer>();
  const ranked = items.filter(({ options }) => options.length > 0);
  const sequences = ranked.flatMap(({ task, prompt, options }) => {
    const promptIds = encodePrompt(prompt, tokenizer);
    return options.map((option) => ({
      task,
      promptIds,
      responseIds: Int32Array.of(...encodeTarget(option, tokenizer), tokenizer.eosId),
    }));
  });
  const { context } = model.dimensions;
  const long = sequences.filter(({ promptIds, responseIds }) => promptIds.length + responseIds.length > context);
  if (long.length > 0) {
    throw new DataError(
      [...new Set(long.map(({ task }) => task))].map(
        (task) =>
          `${task}: a prompt with its options does not fit the model's context of ${context} tokens. Use a model with a longer context, or leave the task out.`,
      ),
    );
  }
  const scores = sequenceLogProbs(model, sequences, tokenizer.padId, (share) =>
    onProgress(Math.floor(share * ranked.length)),
  );
  let at = 0;
  for (const item of ranked) {
    const optionLogProbs = scores.slice(at, at + item.options.length);
    at += item.options.length;
    const prediction = item.options[optionLogProbs.indexOf(Math.max(...optionLogProbs))] ?? '';
    answers.set(item, { item, prediction, correct: prediction === item.target, optionLogProbs });
  }
  const free = items.filter(({ options }) => options.length === 0);
  const longest = Math.max(1, ...free.map(({ target }) => encodeTarget(target, tokenizer).length + 2));
  const prompts = free.map(({ prompt }) => encodePrompt(prompt, tokenizer));
  const greedy = { temperature: 0, topK: 0, topP: 1, maxNewTokens: longest, batchSize: SCORE_BATCH };
  generate(model, prompts, greedy, tokenizer, seededRandom(0)).forEach(({ ids }, index) => {
    const item = free[index] as TaskItem;
    const prediction = decodeResponse(ids, tokenizer).trim();
    answers.set(item, { item, prediction, correct: prediction === item.target.trim(), optionLogProbs: [] });
  });
  onProgress(items.length);
  return items.map((item) => answers.get(item) as TaskAnswer);
}

/** Sum of response log-probabilities of each sequence, batched with sequences of like length. */
function sequenceLogProbs(
  model: Model,
  sequences: readonly PromptResponse[],
  padId: number,
  onProgress: (share: number) => void,
): number[] {
  const length = (i: number): number => {
    const { promptIds, responseIds } = sequences[i] as PromptResponse;
    return promptIds.length + responseIds.length;
  };
  const order = sequences.map((_, i) => i).sort((a, b) => length(a) - length(b) || a - b);
  const sums = new Array<number>(sequences.length).fill(0);
  for (let at = 0; at < order.length; at += SCORE_BATCH) {
    const part = order.slice(at, at + SCORE_BATCH);
    const batch = responseBatch(
      part.map((i) => sequences[i] as PromptResponse),
      padId,
    );
    const logProbs = responseLogProbs(model, batch, 1);
    part.forEach((i, row) => {
      sums[i] = logProbs
        .subarray(row * batch.response, (row + 1) * batch.response)
        .reduce((sum, value) => sum + value, 0);
    });
    onProgress((at + part.length) / order.length);
  }
  return sums;
}

/** Fraction of right answers for each task, and their unweighted mean (every task counts the same). */
export function accuracyByTask(answers: readonly TaskAnswer[]): { tasks: Map<string, number>; mean: number } {
  const counts = new Map<string, { right: number; all: number }>();
  for (const { item, correct } of answers) {
    const count = counts.get(item.task) ?? { right: 0, all: 0 };
    counts.set(item.task, { right: count.right + (correct ? 1 : 0), all: count.all + 1 });
  }
  const tasks = new Map([...counts].map(([task, { right, all }]) => [task, right / all]));
  const mean = [...tasks.values()].reduce((sum, value) => sum + value, 0) / Math.max(1, tasks.size);
  return { tasks, mean };
}
