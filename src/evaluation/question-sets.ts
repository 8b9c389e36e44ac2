/** The questions of an evaluation: which rows and templates are asked, with how many solved examples in front. */

import { DataError } from '../errors.ts';
import { encodePrompt, encodeTarget } from '../examples/instruction.ts';
import { seededRandom } from '../random.ts';
import type { Task } from '../tasks/task.ts';
import type { Rendered } from '../tasks/template.ts';
import type { Template } from '../tasks/template-file.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { checkLengths, freeTextTokens } from './answer-tasks.ts';
import type { Seen } from './protocol.ts';
import { type TaskItem, taskItems } from './task-items.ts';

/** Questions that are asked together. */
export interface QuestionSet {
  readonly shots: number;
  readonly items: readonly TaskItem[];
  /** The same templates on validation rows, to choose one by; empty where that is off. */
  readonly dev: readonly TaskItem[];
}

export interface QuestionOptions {
  readonly split: string;
  readonly rowsPerTask: number;
  readonly templates: 'turns' | 'all';
  readonly shots: readonly number[];
  /** Whether chains of thought are asked. */
  readonly chains: boolean;
  readonly dev: { readonly split: string; readonly rowsPerTask: number };
  readonly seed: number;
  /** Shortest context of the models, and the tokens a chain of thought may take. */
  readonly room: { readonly context: number; readonly chain: number };
}

/**
 * One set for each number of shots. The same rows are asked with trained and again with other templates, so that the two
 * can be compared; tasks that were not trained are asked with all.
 *
 * @throws DataError where no task has a row of the split that can be asked, or a prompt leaves no room for its answer
 */
export function questionSets(
  tasks: readonly Task[],
  seen: Seen | undefined,
  options: QuestionOptions,
  tokenizer: Tokenizer,
): QuestionSet[] {
  const isSeen = (task: Task, template: Template): boolean =>
    seen === undefined ? template.split === 'train' : seen.templates.has(`${task.name}/${template.id}`);
  const isChain = ({ kind }: Template): boolean => options.chains && kind === 'chain_of_thought';
  const sets = options.shots.map((shots): QuestionSet => {
    // Solved examples go in front of single questions, so a dialogue is asked without any.
    const isDirect = ({ kind }: Template): boolean => kind === 'direct' || (kind === 'dialogue' && shots === 0);
    const ask = (from: { split: string; rowsPerTask: number }): TaskItem[] => {
      const choice = { ...from, templates: options.templates };
      const uses: ((task: Task, template: Template) => boolean)[] = [
        (task, template) => isDirect(template) && isSeen(task, template),
        (task, template) => isDirect(template) && !isSeen(task, template),
        (task, template) => isChain(template) && isSeen(task, template),
        (task, template) => isChain(template) && !isSeen(task, template),
      ];
      const { context, chain } = options.room;
      const render = (shots: number, freeText: number): TaskItem[] =>
        uses.flatMap((use, i) => {
          const fits = fitsIn(context, i < 2 ? { freeText } : { chain }, tokenizer);
          const random = seededRandom(options.seed, 'task rows');
          return taskItems(tasks, { ...choice, shots, uses: use, fits, random });
        });
      const plain = render(0, 0);
      const items = shots === 0 ? plain : render(shots, freeTextTokens(plain, tokenizer));
      checkLengths(items, tokenizer, options.room);
      return items;
    };
    const dev = options.dev.rowsPerTask > 0 ? ask(options.dev) : [];
    return { shots, items: ask(options), dev };
  });
  // Conversations are measured otherwise.
  if (tasks.length > 0 && sets.some(({ items }) => items.length === 0)) {
    const names = tasks.map(({ name }) => name).join(', ');
    throw new DataError(
      `split ${options.split}: no question can be asked of ${names}; expected rows with an answer. Change split or data.tasks.`,
    );
  }
  return sets;
}

/** Whether a prompt leaves room for its longest option, for the longest free text of all, or for a chain of thought. */
function fitsIn(
  context: number,
  room: { readonly freeText: number } | { readonly chain: number },
  tokenizer: Tokenizer,
): (rendered: Rendered) => boolean {
  return ({ messages, options }) => {
    const ranked = options.map((text) => encodeTarget(text, tokenizer).length + 1);
    const answer = 'chain' in room ? room.chain : Math.max(...(options.length > 0 ? ranked : [room.freeText]));
    return encodePrompt(messages, tokenizer).length + answer <= context;
  };
}
