/** The Arrow tables of an evaluation: every question, every conversation, results by protocol, overlap, one line a model. */
import type { Column, Row } from '../tables/columns.ts';
import { bool, float32, float32List, float64, int32, nullable, utf8, utf8List } from '../tables/columns.ts';
import type { ChatPrompt } from './chat-prompts.ts';

/** Columns of `tasks.arrow`. */
const taskColumns = {
  model: utf8('Which checkpoint answered: base, instruct or the name of a policy.'),
  task: utf8('Dataset of the row.'),
  cluster: utf8('Cluster of the dataset.'),
  row_id: utf8('Id of the row in its dataset.'),
  split: utf8('Split of the row.'),
  template: utf8('Template it was rendered with.'),
  kind: utf8('Kind of the template: direct, chain_of_thought or dialogue.'),
  protocol: utf8('seen_task, unseen_template, unseen_dataset, unseen_cluster; unknown where the training data are.'),
  shots_asked: int32('Solved examples that were asked for.'),
  shots: int32('Solved examples that fit in front of the question.'),
  prompt: utf8('Rendered prompt, examples and earlier turns included.'),
  target: utf8('Right answer.'),
  prediction: utf8('Answer of the model.'),
  score: float32('From 0 to 1 by the metric of the task.'),
  correct: bool('Whether prediction and target are equal.'),
  metric: utf8('How the answer is judged.'),
  reasoning: utf8('The chain of thought behind the prediction; empty for other kinds.'),
  votes: float32('Share of the sampled chains of thought that end in the prediction.'),
  options: utf8List('Answers that were ranked; empty for free text.'),
  log_probs: float32List('log p(option, EOS | prompt) of each option, in nats.'),
  log_probs_per_token: float32List('The same divided by the tokens.'),
  log_probs_per_character: float32List('The same divided by the characters.'),
  mutual_information: float32List('The same minus log p(option, EOS | empty prompt).'),
  by_sum: utf8('Best option by the sum.'),
  by_token: utf8('Best option per token.'),
  by_character: utf8('Best option per character.'),
  by_mutual_information: utf8('Best option by mutual information.'),
};

/** Columns of `answers.arrow`, beside those of `partColumns`. */
export const answerColumns = {
  model: utf8('Which checkpoint answered: base, instruct or the name of a policy.'),
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  gold: float32('Total of the judge in [0, 1].'),
  reward: float32('Normalised reward-model score.'),
  kl: float32('Σ_t log π − log π_instruct over the answer, in nats.'),
  length: int32('Tokens of the answer, EOS included.'),
  ended: bool('Whether EOS was drawn.'),
};

/** The columns of the parts of a judgement, as "gold_<part>"; none where no prompt has a judge. */
export function partColumns(prompts: readonly ChatPrompt[]): Record<`gold_${string}`, Column<number>> {
  const parts = prompts.find(({ judge }) => judge !== null)?.judge?.parts ?? {};
  return Object.fromEntries(Object.entries(parts).map(([name, says]) => [`gold_${name}`, float32(says)]));
}

/** Columns of `protocol.arrow`. */
const protocolColumns = {
  model: utf8('Checkpoint.'),
  protocol: utf8('seen_task, unseen_template, unseen_dataset, unseen_cluster or unknown.'),
  kind: utf8('Kind of the templates.'),
  shots: int32('Solved examples in front of the question.'),
  task: utf8('Dataset, or "all" for the mean over datasets.'),
  cluster: utf8('Its cluster.'),
  questions: int32('Questions asked.'),
  templates: int32('Templates they were asked with.'),
  mean: float64('Mean score.'),
  low: float64('Lower end of its bootstrap interval.'),
  high: float64('Upper end.'),
  spread: nullable(float64('Standard deviation of the means of single templates.')),
  best_on_dev: nullable(float64('Score with the template that was best on validation rows.')),
  gain: nullable(float64('Mean difference to the base model on the same questions.')),
  gain_low: nullable(float64('Lower end of its bootstrap interval.')),
  gain_high: nullable(float64('Upper end.')),
};

/** Columns of `contamination.arrow`. */
const contaminationColumns = {
  task: utf8('Dataset.'),
  texts: int32('Held-out texts compared: fields of rows with at least as many words.'),
  touched: nullable(float64('Share of them with any n-gram of the training texts; null where these are unknown.')),
  overlap: nullable(
    float64('Mean share of their n-grams that stand in the training texts; null where these are unknown.'),
  ),
};

/** Columns of `conversations.arrow`. */
const conversationLossColumns = {
  model: utf8('Checkpoint.'),
  task: utf8('Dataset.'),
  cluster: utf8('Its cluster.'),
  protocol: utf8('seen_task, unseen_dataset, unseen_cluster or unknown.'),
  rows: int32('Conversations measured.'),
  tokens: int32('Tokens of their answers, with those that end them.'),
  loss: float64('Mean of −log p(token) over these tokens, in nats.'),
};

/** Columns of `table.arrow`: one line a model. */
const tableColumns = {
  model: utf8('Checkpoint.'),
  accuracy: nullable(
    float64('Mean over trained tasks of the score on unseen rows, trained templates, no examples in front.'),
  ),
  accuracy_unseen_templates: nullable(float64('The same tasks with templates that were never trained.')),
  accuracy_unseen_datasets: nullable(float64('Tasks that were not trained, of clusters that were.')),
  accuracy_unseen_clusters: nullable(float64('Tasks of clusters that were not trained.')),
  gold: nullable(float64('Mean total of the judge over the answers to conversation prompts.')),
  gold_sd: nullable(float64('Standard deviation of that total.')),
  right: nullable(float64('Share of these answers that the judge calls right; null where it does not tell.')),
  reward: nullable(float64('Mean normalised reward-model score.')),
  kl: nullable(float64('Mean KL to the instruct model a response, in nats.')),
  length: nullable(float64('Mean tokens of an answer.')),
  win_rate: nullable(
    float64('Fraction of prompts whose answer beats the instruct model’s by the judge; ties count half.'),
  ),
};
export type TableRow = Row<typeof tableColumns>;

/** The tables of an evaluation, by their role among a stage's outputs. */
export const evaluationTables = {
  tasks: { path: 'tasks.arrow', holds: 'every question with every model’s answer', columns: taskColumns },
  answers: {
    path: 'answers.arrow',
    holds: 'every model’s answers to the conversation prompts, with their scores',
    kind: 'judged answers',
    columns: answerColumns,
    moreColumns: '`gold_<part>` for each part that the judge tells',
    written: 'where prompts are given',
  },
  protocol: { path: 'protocol.arrow', holds: 'results by protocol, with intervals', columns: protocolColumns },
  contamination: {
    path: 'contamination.arrow',
    holds: 'overlap of held-out rows with training examples',
    columns: contaminationColumns,
  },
  conversations: {
    path: 'conversations.arrow',
    holds: 'every model’s loss on held-out conversations',
    columns: conversationLossColumns,
    written: 'where tasks are conversations',
  },
  table: { path: 'table.arrow', holds: 'one line a model', kind: 'evaluation table', columns: tableColumns },
} as const;
