/** Prompts that are answered, each with the judge of its answers where it has one. */
import { DataError } from '../errors.ts';
import { encodePrompt } from '../examples/instruction.ts';
import { messagesText } from '../message.ts';
import type { Task } from '../tasks/task.ts';
import { rowsOf } from '../tasks/task.ts';
import type { TaskRow } from '../tasks/task-rows.ts';
import { renderTemplate } from '../tasks/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Judge } from './judge.ts';

/** One prompt. */
export interface ChatPrompt {
  readonly id: string;
  readonly prompt: string;
  /** BOS, prompt, line break. */
  readonly promptIds: Int32Array;
  /** Judges the answers; nothing that is trained sees it. Null where the prompt has no judge. */
  readonly judge: Judge | null;
}

/** A prompt that has a judge. */
export interface JudgedPrompt extends ChatPrompt {
  readonly judge: Judge;
}

/**
 * The prompts of a split of a task, rendered with the trained templates in turn.
 * @param judgeOf the judge of a row's answers; throws DataError for a row that it cannot read
 * @param limit most tokens a prompt may have
 * @throws DataError for a split without rows, or naming every prompt that is too long
 */
export function taskPrompts(
  task: Task,
  split: string,
  judgeOf: (row: TaskRow) => Judge,
  tokenizer: Tokenizer,
  limit: number,
): JudgedPrompt[] {
  const templates = task.templates.templates.filter(
    (template) => template.kind === 'direct' && template.split === 'train',
  );
  const rows = rowsOf(task, split);
  if (rows.length === 0) throw new DataError(`${task.path}: no rows of split "${split}"; expected prompts.`);
  const problems: string[] = [];
  const prompts = rows.map((row, index): JudgedPrompt => {
    const template = templates[index % templates.length];
    if (template === undefined) throw new DataError(`${task.templates.path}: no template to train on.`);
    const { messages } = renderTemplate(task.templates, template, row);
    const promptIds = encodePrompt(messages, tokenizer);
    if (promptIds.length > limit) {
      problems.push(
        `${row.where}: the prompt has ${promptIds.length} tokens and the context leaves ${limit} beside the response. ` +
          'Lower sampling.maxNewTokens or use a model with a longer context.',
      );
    }
    return { id: row.id, prompt: messagesText(messages), promptIds, judge: judgeOf(row) };
  });
  if (problems.length > 0) throw new DataError(firstProblems(problems, task.path));
  return prompts;
}

/** The first ten problems, and how many there are in all. */
function firstProblems(problems: readonly string[], file: string): string[] {
  if (problems.length <= 10) return [...problems];
  return [...problems.slice(0, 10), `${file}: ${problems.length} problems in all; expected none. Mend these first.`];
}

/** A line of figures: "held out  150 prompts, longest 31 tokens". */
export function describePrompts(name: string, prompts: readonly ChatPrompt[]): string {
  return `${name}  ${prompts.length} prompts, longest ${longestPrompt(prompts)} tokens`;
}

/** Tokens of the longest prompt. */
export function longestPrompt(prompts: readonly ChatPrompt[]): number {
  return prompts.reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
}
