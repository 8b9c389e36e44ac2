/** Rendered evaluation items: which rows of which tasks, with which templates and how many solved examples in front. */

import type { Message } from '../message.ts';
import type { Random } from '../random.ts';
import { renderFewShot } from '../tasks/few-shot.ts';
import type { Task } from '../tasks/task.ts';
import { rowsOf } from '../tasks/task.ts';
import type { TaskRow } from '../tasks/task-rows.ts';
import type { Rendered } from '../tasks/template.ts';
import type { Template } from '../tasks/template-file.ts';
import type { TaskMetric, TemplateKind } from '../tasks/template-schema.ts';

/** One question with its right answer. */
export interface TaskItem {
  readonly task: string;
  readonly cluster: string;
  readonly metric: Exclude<TaskMetric, 'gold'>;
  readonly template: string;
  readonly kind: TemplateKind;
  readonly rowId: string;
  /** Solved examples in front of the question. */
  readonly shots: number;
  /** The conversation up to the question; more than one message for a dialogue. */
  readonly messages: readonly Message[];
  /** What training would teach to write. */
  readonly target: string;
  /** The right answer: the target, or what a chain of thought is to end in. */
  readonly answer: string;
  /** Answers to rank; empty for free text. */
  readonly options: readonly string[];
  /** How a chain of thought's answer is found in its text. */
  readonly answerPattern: string;
}

/** What to ask. */
export interface ItemChoice {
  readonly split: string;
  readonly rowsPerTask: number;
  /** Which templates to use. */
  readonly uses: (task: Task, template: Template) => boolean;
  /** turns: each row with one template; all: each row with each. */
  readonly templates: 'turns' | 'all';
  /** Solved examples to put in front, from the train split; as many as fit. */
  readonly shots: number;
  /** Whether a prompt of this length can be asked. */
  readonly fits: (rendered: Rendered) => boolean;
  readonly random: Random;
}

/**
 * Renders up to `rowsPerTask` rows of a split for each task, templates in turn or all of them. Conversations (scored by
 * a judge) and prompts without an answer are left out.
 */
export function taskItems(tasks: readonly Task[], choice: ItemChoice): TaskItem[] {
  return tasks.flatMap((task) => {
    const { metric } = task;
    if (metric === 'gold') return [];
    const templates = task.templates.templates.filter((template) => choice.uses(task, template));
    // A generator of its own: the same rows are asked whatever is drawn for other tasks, with and without examples.
    const random = choice.random.fork(task.name);
    const rows = random.shuffle(rowsOf(task, choice.split)).slice(0, choice.rowsPerTask);
    const examples = choice.shots === 0 ? [] : rowsOf(task, 'train');
    return rows.flatMap((row, index) => {
      const turn = templates[index % Math.max(1, templates.length)];
      const asked = choice.templates === 'all' ? templates : turn === undefined ? [] : [turn];
      const shots = drawShots(
        examples.filter((example) => example !== row),
        choice.shots,
        random,
      );
      return asked.flatMap((template) => item(task, metric, template, row, shots, choice.fits));
    });
  });
}

function item(
  task: Task,
  metric: Exclude<TaskMetric, 'gold'>,
  template: Template,
  row: TaskRow,
  drawn: readonly TaskRow[],
  fits: ItemChoice['fits'],
): TaskItem[] {
  const examples = template.kind === 'dialogue' ? [] : drawn;
  const { rendered, shots } = renderFewShot(task.templates, template, row, examples, fits);
  const { messages, target, options } = rendered;
  // Only a chain of thought says more than its answer; every other text is judged as a whole.
  const answer = template.kind === 'chain_of_thought' ? rendered.answer : target;
  if (target === null || answer === null) return [];
  const from = { task: task.name, cluster: task.cluster, metric, template: template.id, kind: template.kind };
  const answerPattern = task.templates.answer_pattern;
  return [{ ...from, rowId: row.id, shots, messages, target, answer, options, answerPattern }];
}

function drawShots(rows: readonly TaskRow[], count: number, random: Random): TaskRow[] {
  const drawn = new Set<TaskRow>();
  while (drawn.size < Math.min(count, rows.length)) drawn.add(random.pick(rows));
  return [...drawn];
}
