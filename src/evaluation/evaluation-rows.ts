/** What an evaluation found, as rows of its Arrow tables. */

import { messagesText } from '../message.ts';
import { writeTable } from '../tables/arrow-file.ts';
import type { Row } from '../tables/columns.ts';
import type { JudgedAnswer } from './answer-prompts.ts';
import type { TaskAnswer } from './answer-tasks.ts';
import type { ChatPrompt } from './chat-prompts.ts';
import type { Overlap } from './contamination.ts';
import type { ConversationLoss } from './conversation-loss.ts';
import type { TableRow } from './evaluation-tables.ts';
import { evaluationTables, partColumns } from './evaluation-tables.ts';
import { judgedRight } from './judge.ts';
import type { AnswerSet, ProtocolResult, Seen } from './protocol.ts';
import { protocolOf } from './protocol.ts';
import type { RankingRule } from './rank-options.ts';
import { bestOption } from './rank-options.ts';
import { meanAndDeviation, winRate } from './statistics.ts';

/** What was found of all models. */
export interface Evaluation {
  readonly answerSets: readonly AnswerSet[];
  /** Answers to conversation prompts by model; empty where there are no prompts. */
  readonly answers: ReadonlyMap<string, readonly JudgedAnswer[]>;
  readonly results: readonly ProtocolResult[];
  readonly overlaps: readonly Overlap[];
  /** Losses on conversations; empty where no task has any. */
  readonly losses: readonly ConversationLoss[];
  readonly table: readonly TableRow[];
}

/** What was asked. */
interface Asked {
  readonly split: string;
  readonly seen: Seen | undefined;
  readonly prompts: readonly ChatPrompt[];
  readonly tokenizer: { readonly hash: string };
}

/** Writes the tables of an evaluation into a run folder; that of conversations where there are any. */
export async function writeEvaluation(
  fileOf: (name: string) => string,
  { answerSets, answers, results, overlaps, losses, table }: Evaluation,
  { split, seen, prompts, tokenizer }: Asked,
): Promise<void> {
  const about = { tokenizer: tokenizer.hash };
  const { tasks, answers: judgedAnswers, protocol, contamination, conversations, table: models } = evaluationTables;
  const taskRows = answerSets.flatMap((set) => {
    return set.answers.map((answer) => taskRow(answer, { model: set.model, split, shots: set.shots, seen }));
  });
  await writeTable(fileOf(tasks.path), tasks.columns, taskRows, about);
  if (answers.size > 0) {
    const columns = { ...judgedAnswers.columns, ...partColumns(prompts) };
    const answerRows = [...answers].flatMap(([name, list]) => list.map((answer) => answerRow(name, answer)));
    await writeTable(fileOf(judgedAnswers.path), columns, answerRows, about);
  }
  await writeTable(fileOf(protocol.path), protocol.columns, results.map(protocolRow));
  const overlapRows = overlaps.map(({ group, ...numbers }) => ({ task: group, ...numbers }));
  await writeTable(fileOf(contamination.path), contamination.columns, overlapRows);
  if (losses.length > 0) await writeTable(fileOf(conversations.path), conversations.columns, losses);
  await writeTable(fileOf(models.path), models.columns, table);
}

/** One line a model, in the given order. */
export function tableRows(
  models: readonly string[],
  results: readonly ProtocolResult[],
  answers: Evaluation['answers'],
): TableRow[] {
  const instructTotals = (answers.get('instruct') ?? []).map(({ judgement }) => judgement.total);
  return models.map((name) => {
    const own = results.filter(({ model }) => model === name);
    return tableRow(name, own, answers.get(name) ?? [], instructTotals);
  });
}

/** Mean score by model and task, direct questions without examples in front. */
export function taskScores(results: readonly ProtocolResult[]): Record<string, Record<string, number>> {
  const scores: Record<string, Record<string, number>> = {};
  for (const { model, task, mean, shots, kind, protocol } of results) {
    if (task === 'all' || shots > 0 || kind !== 'direct' || protocol === 'unseen_template') continue;
    scores[model] = { ...scores[model], [task]: mean };
  }
  return scores;
}

/** A line of `tasks.arrow`. */
function taskRow(
  answer: TaskAnswer,
  about: { model: string; split: string; shots: number; seen: Seen | undefined },
): Row<typeof evaluationTables.tasks.columns> {
  const { item, scores } = answer;
  const list = (rule: RankingRule): Float32Array => Float32Array.from(scores?.[rule] ?? []);
  const best = (rule: RankingRule): string => (scores === undefined ? '' : bestOption(item.options, scores[rule]));
  return {
    model: about.model,
    task: item.task,
    cluster: item.cluster,
    row_id: item.rowId,
    split: about.split,
    template: item.template,
    kind: item.kind,
    protocol: protocolOf(about.seen, item),
    shots_asked: about.shots,
    shots: item.shots,
    prompt: messagesText(item.messages),
    target: item.answer,
    prediction: answer.prediction,
    score: answer.score,
    correct: answer.correct,
    metric: item.metric,
    reasoning: answer.reasoning,
    votes: answer.votes,
    options: item.options,
    log_probs: list('sum'),
    log_probs_per_token: list('per_token'),
    log_probs_per_character: list('per_character'),
    mutual_information: list('mutual_information'),
    by_sum: best('sum'),
    by_token: best('per_token'),
    by_character: best('per_character'),
    by_mutual_information: best('mutual_information'),
  };
}

/** A line of `answers.arrow`. */
export function answerRow(
  model: string,
  answer: JudgedAnswer,
): Row<typeof evaluationTables.answers.columns & ReturnType<typeof partColumns>> {
  const { prompt, response, judgement, reward, kl, length, ended } = answer;
  return {
    model,
    prompt: prompt.prompt,
    response,
    gold: judgement.total,
    reward,
    kl,
    length,
    ended,
    ...Object.fromEntries(Object.entries(judgement.parts).map(([name, value]) => [`gold_${name}`, value])),
  };
}

/** A line of `protocol.arrow`. */
function protocolRow(result: ProtocolResult): Row<typeof evaluationTables.protocol.columns> {
  const { gain, bestOnDev, ...rest } = result;
  return {
    ...rest,
    best_on_dev: bestOnDev,
    gain: gain?.mean ?? null,
    gain_low: gain?.low ?? null,
    gain_high: gain?.high ?? null,
  };
}

/**
 * The line of a model: its questions without examples in front, and its conversations where there are any.
 * @param instructTotals what the judge says of the instruct model's answers to the same prompts
 */
function tableRow(
  model: string,
  results: readonly ProtocolResult[],
  answers: readonly JudgedAnswer[],
  instructTotals: readonly number[],
): TableRow {
  const overall = (...wanted: string[]): number | null => {
    const found = results.find(
      (result) =>
        wanted.includes(result.protocol) && result.task === 'all' && result.kind === 'direct' && result.shots === 0,
    );
    return found?.mean ?? null;
  };
  const own = answers.map(({ judgement }) => judgement.total);
  const rights = answers.map(({ judgement }) => judgedRight(judgement));
  const mean = (values: readonly number[]): number | null =>
    values.length === 0 ? null : meanAndDeviation(values).mean;
  return {
    model,
    accuracy: overall('seen_task', 'unknown'),
    accuracy_unseen_templates: overall('unseen_template'),
    accuracy_unseen_datasets: overall('unseen_dataset'),
    accuracy_unseen_clusters: overall('unseen_cluster'),
    gold: mean(own),
    gold_sd: own.length === 0 ? null : meanAndDeviation(own).deviation,
    right: rights.includes(null) ? null : mean(rights.map(Number)),
    reward: mean(answers.map(({ reward }) => reward)),
    kl: mean(answers.map(({ kl }) => kl)),
    length: mean(answers.map(({ length }) => length)),
    win_rate: own.length === 0 ? null : winRate(own, instructTotals),
  };
}
