/** The conversation prompts of the valley, each with the gold scorer as its judge. */

import { join } from 'node:path';
import type { JudgedPrompt } from '../../evaluation/chat-prompts.ts';
import { taskPrompts } from '../../evaluation/chat-prompts.ts';
import type { Task } from '../../tasks/task.ts';
import type { TaskRow } from '../../tasks/task-rows.ts';
import { loadTasks } from '../../tasks/tasks.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { goldJudge, goldRequest } from './gold.ts';
import { readLexicon } from './lexicon.ts';

/** Where the conversations are. */
export interface ValleyPrompts {
  /** Folder with `chat.jsonl` and `lexicon.json`. */
  readonly tables: string;
  /** Folder with `chat.yaml`. */
  readonly templates: string;
  readonly split: string;
}

/**
 * Loads the prompts of a split of chat.jsonl.
 * @param limit most tokens a prompt may have
 * @throws DataError for missing or wrong files, rows that the gold scorer cannot read, and as `taskPrompts`
 */
export function loadValleyPrompts(
  { tables, templates, split }: ValleyPrompts,
  tokenizer: Tokenizer,
  limit: number,
): JudgedPrompt[] {
  const task = loadTasks(tables, templates, ['chat'])[0] as Task;
  const lexicon = readLexicon(join(tables, 'lexicon.json'));
  const judgeOf = ({ fields, where }: TaskRow) => goldJudge(goldRequest(fields, lexicon, where));
  return taskPrompts(task, split, judgeOf, tokenizer, limit);
}
