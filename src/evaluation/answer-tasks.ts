/** Answers evaluation items: by ranking the options, by greedy generation, or by a vote of sampled chains of thought. */

import { generate } from '../decoding/generate.ts';
import { DataError } from '../errors.ts';
import { decodeResponse, encodePrompt, encodeTarget } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import { type Random, seededRandom } from '../random.ts';
import { readAnswer } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { bestOption, type OptionScores, type RankingRule, scoreOptions } from './rank-options.ts';
import type { TaskItem } from './task-items.ts';
import { textMetric } from './text-metrics.ts';

/** An item with the model's answer. */
export interface TaskAnswer {
  readonly item: TaskItem;
  /** The option chosen, the text written, or the answer most chains of thought end in. */
  readonly prediction: string;
  /** 1 for a right answer, 0 for a wrong one; something between for ROUGE-L, chrF and token F1. */
  readonly score: number;
  /** Whether the answer is exactly right. */
  readonly correct: boolean;
  /** Scores of each option; undefined for free text and chains of thought. */
  readonly scores: OptionScores | undefined;
  /** The text of a chain of thought that led to the prediction; empty for everything else. */
  readonly reasoning: string;
  /** Share of the sampled chains that end in the prediction; 1 where there was no vote. */
  readonly votes: number;
}

/** How to answer. */
export interface AnswerOptions {
  /** How options of different length are compared. */
  readonly ranking: RankingRule;
  /** Chains of thought: one greedy chain (1), or as many samples that vote (arXiv:2203.11171). */
  readonly chains: { readonly samples: number; readonly temperature: number; readonly maxNewTokens: number };
  readonly random: Random;
}

/** Prompts decoded side by side. */
const GENERATE_BATCH = 32;

export const plainAnswers: AnswerOptions = {
  ranking: 'sum',
  chains: { samples: 1, temperature: 1, maxNewTokens: 48 },
  random: seededRandom(0),
};

/**
 * Items with options: the best option by the rule. Free text: greedy generation, judged by the task's metric. Chains of
 * thought: the answer that the task's pattern finds in the text; with several samples the most frequent one, ties to the
 * one drawn first.
 *
 * @throws DataError naming the tasks whose prompts do not fit the model, before anything is scored
 */
export async function answerTasks(
  model: Model,
  tokenizer: Tokenizer,
  items: readonly TaskItem[],
  options: AnswerOptions = plainAnswers,
  onProgress: (done: number) => void = () => undefined,
): Promise<TaskAnswer[]> {
  checkLengths(items, tokenizer, { context: model.dimensions.context, chain: options.chains.maxNewTokens });
  const isChain = ({ kind }: TaskItem): boolean => kind === 'chain_of_thought';
  const ranked = items.filter((item) => item.options.length > 0 && !isChain(item));
  const free = items.filter((item) => item.options.length === 0 && !isChain(item));
  const answers = new Map<TaskItem, TaskAnswer>();
  const report = (share: number): void => onProgress(Math.floor(share * ranked.length));
  const scores = scoreOptions(model, tokenizer, ranked, report);
  ranked.forEach((item, i) => {
    const own = scores[i] as OptionScores;
    answers.set(item, scored(item, bestOption(item.options, own[options.ranking]), { scores: own }));
  });
  for (const [item, prediction] of await writeAnswers(model, tokenizer, free))
    answers.set(item, scored(item, prediction));
  for (const [item, chain] of await voteOnChains(model, tokenizer, items.filter(isChain), options)) {
    answers.set(item, scored(item, chain.prediction, chain));
  }
  onProgress(items.length);
  return items.map((item) => answers.get(item) as TaskAnswer);
}

function scored(item: TaskItem, prediction: string, more: Partial<TaskAnswer> = {}): TaskAnswer {
  const correct = prediction === item.answer;
  const score = item.metric === 'accuracy' ? Number(correct) : textMetric(item.metric, prediction, item.answer);
  return { item, prediction, score, correct, scores: undefined, reasoning: '', votes: 1, ...more };
}

async function writeAnswers(
  model: Model,
  tokenizer: Tokenizer,
  items: readonly TaskItem[],
): Promise<[TaskItem, string][]> {
  const maxNewTokens = freeTextTokens(items, tokenizer);
  const prompts = items.map(({ messages }) => encodePrompt(messages, tokenizer));
  const greedy = { temperature: 0, topK: 0, topP: 1, maxNewTokens, batchSize: GENERATE_BATCH };
  const drawn = await generate(model, prompts, greedy, tokenizer, seededRandom(0));
  return drawn.map(({ ids }, i) => [items[i] as TaskItem, decodeResponse(ids, tokenizer).trim()]);
}

/** Tokens that every free text may take: those of the longest right one, EOS and one to spare included. */
export function freeTextTokens(items: readonly TaskItem[], tokenizer: Tokenizer): number {
  return items.reduce((most, { target, options, kind }) => {
    const isFree = options.length === 0 && kind !== 'chain_of_thought';
    return isFree ? Math.max(most, encodeTarget(target, tokenizer).length + 2) : most;
  }, 1);
}

interface Chain {
  readonly prediction: string;
  readonly reasoning: string;
  readonly votes: number;
}

async function voteOnChains(
  model: Model,
  tokenizer: Tokenizer,
  items: readonly TaskItem[],
  { chains, random }: AnswerOptions,
): Promise<[TaskItem, Chain][]> {
  const prompts = items.map(({ messages }) => encodePrompt(messages, tokenizer));
  const temperature = chains.samples > 1 ? chains.temperature : 0;
  const { maxNewTokens } = chains;
  const sampling = { temperature, topK: 0, topP: 1, maxNewTokens, batchSize: GENERATE_BATCH };
  const texts: string[][] = [];
  for (let sample = 0; sample < Math.max(1, chains.samples); sample++) {
    const drawn = await generate(model, prompts, sampling, tokenizer, random);
    texts.push(drawn.map(({ ids }) => decodeResponse(ids, tokenizer)));
  }
  return items.map((item, i) => {
    const own = texts.map((sample) => sample[i] ?? '');
    const found = own.map((text) => readAnswer({ answer_pattern: item.answerPattern }, text));
    const prediction = majority(found);
    const agreeing = found.filter((answer) => answer !== null && answer === prediction);
    return [
      item,
      {
        prediction: prediction ?? '',
        reasoning: own[found.indexOf(prediction)] ?? own[0] ?? '',
        votes: agreeing.length / found.length,
      },
    ];
  });
}

/** The most frequent answer, the earliest of equals; chains without an answer do not vote, and null is for none that has. */
export function majority(answers: readonly (string | null)[]): string | null {
  const counts = new Map<string, number>();
  for (const answer of answers) if (answer !== null) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  const most = Math.max(0, ...counts.values());
  return [...counts].find(([, count]) => count === most)?.[0] ?? null;
}

/**
 * @param room the model's context, and the tokens that a chain of thought may take
 * @throws DataError naming the tasks with a prompt that leaves no room for its answer
 */
export function checkLengths(
  items: readonly TaskItem[],
  tokenizer: Tokenizer,
  room: { readonly context: number; readonly chain: number },
): void {
  const freeText = freeTextTokens(items, tokenizer);
  const problems = new Set<string>();
  for (const { task, messages, options, kind } of items) {
    const ranked = options.map((option) => encodeTarget(option, tokenizer).length + 1);
    const answer = kind === 'chain_of_thought' ? room.chain : Math.max(...(options.length > 0 ? ranked : [freeText]));
    if (encodePrompt(messages, tokenizer).length + answer <= room.context) continue;
    problems.add(
      `${task}: a prompt with its answer does not fit the model's context of ${room.context} tokens. ` +
        'Use a model with a longer context, or leave the task out.',
    );
  }
  if (problems.size > 0) throw new DataError([...problems]);
}

/** Mean score of each task, and their unweighted mean (every task counts the same). */
export function accuracyByTask(answers: readonly TaskAnswer[]): { tasks: Map<string, number>; mean: number } {
  const sums = new Map<string, { score: number; all: number }>();
  for (const { item, score } of answers) {
    const sum = sums.get(item.task) ?? { score: 0, all: 0 };
    sums.set(item.task, { score: sum.score + score, all: sum.all + 1 });
  }
  const tasks = new Map([...sums].map(([task, { score, all }]) => [task, score / all]));
  const mean = [...tasks.values()].reduce((sum, value) => sum + value, 0) / Math.max(1, tasks.size);
  return { tasks, mean };
}
