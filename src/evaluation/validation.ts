/** What language models are measured on while they are trained: the loss on the targets of held-out rows, and their answers. */
import { packSequences } from '../batch/packing.ts';
import type { TokenBatch, TokenSequence } from '../batch/token-batch.ts';
import { rowBatches } from '../batch/token-batch.ts';
import { ConfigError } from '../errors.ts';
import { encodeRendered } from '../examples/encode-rendered.ts';
import { encodePrompt, encodeTarget, type OverlongPolicy } from '../examples/instruction.ts';
import type { Model } from '../model/model.ts';
import { nextTokenLoss } from '../objectives/next-token.ts';
import { seededRandom } from '../random.ts';
import { rowsOf, type Task } from '../tasks/task.ts';
import { isPromptOnly, type LearnedAnswers, renderTemplate } from '../tasks/template.ts';
import type { Template } from '../tasks/template-file.ts';
import type { TemplateKind } from '../tasks/template-schema.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { accuracyByTask, answerTasks, freeTextTokens, type TaskAnswer } from './answer-tasks.ts';
import { type TaskItem, taskItems } from './task-items.ts';

/** Held-out rows, ready to be measured. */
export interface ValidationSet {
  /** Rows whose loss is measured, packed, in batches. */
  readonly batches: readonly TokenBatch[];
  /** How many rows that are. */
  readonly rows: number;
  /** Questions with right answers, whose accuracy is measured. */
  readonly questions: readonly TaskItem[];
  /** What is not measured, in words. */
  readonly notes: readonly string[];
}

/** What is measured, and with what. */
export interface ValidationChoice {
  readonly rowsPerTask: number;
  /** Kinds of templates that are trained. */
  readonly kinds: readonly TemplateKind[];
  /** Tokens of a packed row, and what becomes of rows that are longer. */
  readonly length: number;
  readonly overlong: OverlongPolicy;
  /** Which answers of a conversation are measured: those that are learned. */
  readonly learn: LearnedAnswers;
  /** Packed rows of one forward pass. */
  readonly batch: number;
  /** The model's context, which a prompt with its answer must fit. */
  readonly context: number;
  readonly seed: number;
}

/** One measurement; null for what there is nothing to measure on. */
export interface ValidationResult {
  /** Mean over the targets' tokens, EOS included, of −log p(token), in nats. */
  readonly loss: number | null;
  /** Mean over tasks of their mean score. */
  readonly accuracy: number | null;
  readonly answers: readonly TaskAnswer[];
}

/**
 * The validation rows of the tasks, each with one trained template: direct ones, or whatever kind a task is trained with.
 * Nothing that needs weights.
 *
 * @throws DataError naming rows that cannot be rendered, or are too long where that is an error
 */
export function validationSet(tasks: readonly Task[], tokenizer: Tokenizer, choice: ValidationChoice): ValidationSet {
  const { length, overlong, learn, rowsPerTask, seed } = choice;
  const sequences: TokenSequence[] = [];
  let [measured, dropped] = [0, 0];
  const silent: string[] = [];
  for (const task of tasks) {
    const encoded = examplesOf(task, choice).map(({ where, kind, rendered }) =>
      encodeRendered(rendered, kind, tokenizer, { maxLength: length, overlong, learn, where }),
    );
    const kept = encoded.filter((pieces) => pieces.length > 0);
    dropped += encoded.length - kept.length;
    measured += kept.length;
    if (encoded.length === 0) silent.push(task.name);
    sequences.push(...kept.flat());
  }
  const asked = taskItems(tasks, {
    split: 'validation',
    rowsPerTask,
    uses: (_task, { kind, split }) => kind === 'direct' && split === 'train',
    templates: 'turns',
    shots: 0,
    fits: () => true,
    random: seededRandom(seed, 'validation'),
  });
  const questions = fittingQuestions(asked, tokenizer, choice.context);
  const batches = rowBatches(packSequences(sequences, length, tokenizer.padId), choice.batch);
  const notes: string[] = [];
  if (silent.length > 0) notes.push(`no validation row with an answer, so nothing is measured: ${silent.join(', ')}`);
  if (dropped > 0) notes.push(`${dropped} validation rows are longer than ${length} tokens, and are not measured`);
  const unasked = asked.length - questions.length;
  if (unasked > 0) notes.push(`${unasked} validation questions do not fit the model's context, and are not asked`);
  return { batches, rows: measured, questions, notes };
}

/** The rows of a task to measure, as texts. */
function examplesOf(task: Task, { kinds, rowsPerTask, seed }: ValidationChoice) {
  const trained = task.templates.templates.filter(({ split, kind }) => split === 'train' && kinds.includes(kind));
  const direct = trained.filter(({ kind }) => kind === 'direct');
  const templates = direct.length > 0 ? direct : trained;
  if (templates.length === 0) return [];
  const withAnswer = rowsOf(task, 'validation').filter((row) => !isPromptOnly(task.templates, row));
  const rows = seededRandom(seed, `validation loss of ${task.name}`).shuffle(withAnswer);
  return rows.slice(0, rowsPerTask).flatMap((row, index) => {
    const template = templates[index % templates.length] as Template;
    const rendered = renderTemplate(task.templates, template, row);
    return rendered.target === null ? [] : [{ rendered, kind: template.kind, where: row.where }];
  });
}

/** The questions whose prompt leaves room for the answer, as `answerTasks` will ask for it. */
function fittingQuestions(items: readonly TaskItem[], tokenizer: Tokenizer, context: number): TaskItem[] {
  const freeText = freeTextTokens(items, tokenizer);
  const fitting = items.filter(({ messages, options }) => {
    const ranked = options.map((option) => encodeTarget(option, tokenizer).length + 1);
    const answer = ranked.length > 0 ? Math.max(...ranked) : freeText;
    return encodePrompt(messages, tokenizer).length + answer <= context;
  });
  // Without the longest answers there may be room for the rest.
  if (fitting.length > 0 || items.length === 0) return fitting;
  const longest = Math.max(...items.map(({ target }) => target.length));
  return fittingQuestions(
    items.filter(({ target }) => target.length < longest),
    tokenizer,
    context,
  );
}

/**
 * Refuses a measure that these rows cannot give, before anything is trained.
 * @param data where the rows come from, and what of them is held out or not, in words
 * @throws ConfigError naming the key, why, and what to do
 */
export function requireMeasure(
  best: 'loss' | 'accuracy' | 'last',
  { rows, questions, notes: unmeasured }: Pick<ValidationSet, 'rows' | 'questions' | 'notes'>,
  data: { readonly path: string; readonly notes: readonly string[] },
): void {
  const where = data.path;
  const notes = [...data.notes, ...unmeasured];
  const reason = notes.length === 0 ? 'there are no validation rows' : notes.join('; ');
  if (best === 'loss' && rows === 0) {
    throw new ConfigError(
      `evaluation.best: loss needs held-out rows, and none can be measured in ${where}: ${reason}. ` +
        'Add rows of split "validation", set evaluation.share above 0 where tasks have at least two different rows, or set evaluation.best to last.',
    );
  }
  if (best === 'accuracy' && questions.length === 0) {
    throw new ConfigError(
      `evaluation.best: accuracy needs validation rows with a direct template and a right answer to compare with, and there are none in ${where}` +
        `${unmeasured.length === 0 ? ' (metric: gold has no right answer)' : `: ${unmeasured.join('; ')}`}. Set evaluation.best to loss or last, or add such rows.`,
    );
  }
}

/** Loss and answers of a model. */
export async function measureValidation(
  model: Model,
  tokenizer: Tokenizer,
  set: ValidationSet,
): Promise<ValidationResult> {
  const { batches, rows, questions } = set;
  const answers = questions.length === 0 ? [] : await answerTasks(model, tokenizer, questions);
  return {
    loss: rows === 0 ? null : nextTokenLoss(model, batches),
    accuracy: answers.length === 0 ? null : accuracyByTask(answers).mean,
    answers,
  };
}

/** "validation  loss on 120 rows, accuracy on 96 questions of 8 tasks". */
export function describeValidation({ rows, questions }: ValidationSet): string {
  return `validation  loss on ${rows} rows, accuracy on ${questions.length} questions of ${new Set(questions.map(({ task }) => task)).size} tasks`;
}
