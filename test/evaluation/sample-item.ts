/** Questions for tests. */

import type { TaskItem } from '../../src/evaluation/task-items.ts';
import { talk } from '../helpers/messages.ts';

/** A question with its right answer; it has a metric that fits, and everything else can be replaced. */
export function taskItem(prompt: string, target: string, changes: Partial<TaskItem> = {}): TaskItem {
  return {
    ...{ task: 'trade', cluster: 'qa', template: 'plain', kind: 'direct', rowId: prompt, shots: 0 },
    ...{ messages: talk(prompt), target, answer: target, options: [], answerPattern: 'The answer is (.+?)\\.?$' },
    metric: (changes.options ?? []).length > 0 ? 'accuracy' : 'exact_match',
    ...changes,
  };
}
