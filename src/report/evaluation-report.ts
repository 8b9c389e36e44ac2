/** The tables of an evaluation for the terminal. */
import type { Overlap } from '../evaluation/contamination.ts';
import type { ConversationLoss } from '../evaluation/conversation-loss.ts';
import type { Evaluation } from '../evaluation/evaluation-rows.ts';
import type { TableRow } from '../evaluation/evaluation-tables.ts';
import type { ProtocolResult } from '../evaluation/protocol.ts';
import { formatTable } from './table.ts';

const words: Readonly<Record<string, string>> = {
  seen_task: 'seen task, unseen row',
  unseen_template: 'unseen template',
  unseen_dataset: 'unseen dataset',
  unseen_cluster: 'unseen cluster',
  unknown: 'training data unknown',
};

/** What is said of an evaluation: its tables, with an empty line after each. */
export function evaluationLines(
  { table, results, losses, overlaps }: Pick<Evaluation, 'table' | 'results' | 'losses' | 'overlaps'>,
  words: number,
  instruct: string,
): string[] {
  const parts = [summaryLines(table), protocolLines(results), taskLines(results), conversationLines(losses)];
  return [...parts, contaminationLines(overlaps, words, instruct)].flatMap((part) => {
    return part.length === 0 ? [] : [...part, ''];
  });
}

/** One line a model: accuracies, and conversations where there are any. */
function summaryLines(table: readonly TableRow[]): string[] {
  const hasAnswers = table.some(({ gold }) => gold !== null);
  const headers = ['model', 'accuracy', 'unseen templates', 'unseen datasets', 'unseen clusters'];
  const more = ['right', 'gold', 'gold sd', 'reward', 'KL to instruct', 'length', 'win rate'];
  return formatTable(
    hasAnswers ? [...headers, ...more] : headers,
    table.map((row) => {
      const shares = [
        row.accuracy,
        row.accuracy_unseen_templates,
        row.accuracy_unseen_datasets,
        row.accuracy_unseen_clusters,
      ].map(percent);
      const digits = (value: number | null, count: number): string => value?.toFixed(count) ?? '–';
      return [
        row.model,
        ...shares,
        percent(row.right),
        digits(row.gold, 3),
        digits(row.gold_sd, 3),
        digits(row.reward, 2),
        digits(row.kl, 2),
        digits(row.length, 1),
        percent(row.win_rate),
      ];
    }),
  );
}

/** Results over all tasks by protocol, with intervals and the gain over the base model. */
function protocolLines(results: readonly ProtocolResult[]): string[] {
  return formatTable(
    ['protocol', 'kind', 'shots', 'model', 'tasks', 'questions', 'mean', 'interval', 'best on dev', 'gain over base'],
    results
      .filter(({ task }) => task === 'all')
      .map((result) => [
        words[result.protocol],
        result.kind,
        String(result.shots),
        result.model,
        String(results.filter((other) => isSameSet(other, result) && other.task !== 'all').length),
        String(result.questions),
        percent(result.mean),
        `${percent(result.low)} to ${percent(result.high)}`,
        percent(result.bestOnDev),
        result.gain === null
          ? '–'
          : `${points(result.gain.mean)} (${points(result.gain.low)} to ${points(result.gain.high)})`,
      ]),
  );
}

/** Results by task without examples in front: one column a model, the spread over templates of the last model. */
function taskLines(results: readonly ProtocolResult[]): string[] {
  const models = [...new Set(results.map(({ model }) => model))];
  const last = models.at(-1);
  const own = results.filter((result) => result.model === last && result.task !== 'all' && result.shots === 0);
  return formatTable(
    ['task', 'protocol', 'kind', ...models, `spread of ${last}`],
    own.map((result) => [
      result.task,
      words[result.protocol],
      result.kind,
      ...models.map((model) =>
        percent(
          results.find((other) => other.model === model && other.task === result.task && isSameQuestions(other, result))
            ?.mean ?? null,
        ),
      ),
      percent(result.spread),
    ]),
  );
}

/** Loss on held-out conversations by task, one column a model; nothing where there are none. */
function conversationLines(losses: readonly ConversationLoss[]): string[] {
  if (losses.length === 0) return [];
  const models = [...new Set(losses.map(({ model }) => model))];
  const first = losses.filter(({ model }) => model === models[0]);
  const lossOf = (name: string, task: string): string =>
    losses.find((one) => one.model === name && one.task === task)?.loss.toFixed(3) ?? '–';
  const table = formatTable(
    ['conversations', 'protocol', 'rows', 'tokens', ...models],
    first.map(({ task, protocol, rows, tokens }) => {
      return [task, words[protocol], rows, tokens, ...models.map((name) => lossOf(name, task))];
    }),
  );
  return ['loss on held-out conversations, in nats a token of their answers:', ...table];
}

/** That nothing can be said of the overlap with training texts, since they are not there. */
export function contaminationUnknown(instruct: string): string {
  return (
    `contamination unknown: ${instruct} has no instruct.arrow (the examples that stage 1 trained), so held-out rows were compared with nothing; ` +
    'name the run folder of stage 1 as instruct to compare them'
  );
}

/** Overlap of held-out rows with the training texts. */
function contaminationLines(overlaps: readonly Overlap[], words: number, instruct: string): string[] {
  if (overlaps.some((overlap) => overlap.touched === null)) return [contaminationUnknown(instruct)];
  if (overlaps.length === 0) return [];
  const touched = overlaps.filter((overlap) => overlap.touched !== 0);
  const title = `held-out texts that share ${words} words in a row with a training example: `;
  if (touched.length === 0) return [`${title}none`];
  const table = formatTable(
    ['task', 'texts', 'touched', 'mean overlap'],
    touched.map(({ group, texts, touched: share, overlap }) => [
      group,
      String(texts),
      percent(share),
      percent(overlap),
    ]),
  );
  return [`${title}in ${touched.length} of ${overlaps.length} tasks`, ...table];
}

function isSameSet(a: ProtocolResult, b: ProtocolResult): boolean {
  return a.model === b.model && isSameQuestions(a, b);
}

function isSameQuestions(a: ProtocolResult, b: ProtocolResult): boolean {
  return a.protocol === b.protocol && a.kind === b.kind && a.shots === b.shots;
}

function percent(share: number | null): string {
  return share === null ? '–' : `${(100 * share).toFixed(1)} %`;
}

function points(share: number): string {
  return `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)}`;
}
