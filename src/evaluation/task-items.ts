/** Rendered evaluation items: which rows of which tasks, with which templates. */
import type { Task, TaskRow } from '../data/tasks.ts';
import { rowsOf } from '../data/tasks.ts';
import { renderTemplate } from '../data/template.ts';
import type { Random } from '../random.ts';

/** One question with its right answer. */
export interface TaskItem {
  readonly task: string;
  readonly cluster: string;
  readonly metric: 'accuracy' | 'exact_match';
  readonly template: string;
  /** `train`: a template seen in training; `unseen`: one held out. */
  readonly templates: 'train' | 'unseen';
  readonly prompt: string;
  readonly target: string;
  /** Answers to rank; empty for free text. */
  readonly options: readonly string[];
}

/**
 * Renders up to `rowsPerTask` rows of a split for each task with a right answer, each row with one template of the asked
 * kind, templates taken in turn. Inverted templates and conversation (scored by gold, not by accuracy) are left out.
 */
export function taskItems(
  tasks: readonly Task[],
  choice: { split: string; rowsPerTask: number; templates: 'train' | 'unseen'; random: Random },
): TaskItem[] {
  return tasks.flatMap((task) => {
    const { metric } = task;
    if (metric === 'gold') return [];
    const templates = task.templates.templates.filter(({ inverted, split }) => !inverted && split === choice.templates);
    const rows = choice.random.shuffle(rowsOf(task, choice.split)).slice(0, choice.rowsPerTask);
    return rows.flatMap((row: TaskRow, index): TaskItem[] => {
      const template = templates[index % templates.length];
      if (template === undefined) return [];
      const { input, target, options } = renderTemplate(task.templates, template, row);
      const where = {
        task: task.name,
        cluster: task.cluster,
        metric,
        template: template.id,
        templates: choice.templates,
      };
      return [{ ...where, prompt: input, target: target ?? '', options }];
    });
  });
}
