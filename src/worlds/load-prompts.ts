/** The prompts that a configuration names: the one file that says whose judge comes with them. */

import type { ChatPrompt, JudgedPrompt } from '../evaluation/chat-prompts.ts';
import { loadPromptFile } from '../evaluation/chat-prompts.ts';
import type { RunFolder } from '../run/run-folder.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { JudgedPrompts, PolicyPrompts } from './prompts-section.ts';
import { loadValleyPrompts } from './valley/prompts.ts';

/**
 * Loads prompts that all have a judge.
 * @param limit most tokens a prompt may have
 * @throws DataError as `loadValleyPrompts`
 */
export function loadJudgedPrompts(source: JudgedPrompts, tokenizer: Tokenizer, limit: number): JudgedPrompt[] {
  return loadValleyPrompts(source, tokenizer, limit);
}

/**
 * Loads the prompts of PPO: of a file, without a judge, or those of `loadJudgedPrompts`.
 * @param limit most tokens a prompt may have
 * @throws DataError as `loadPromptFile` and `loadJudgedPrompts`
 */
export function loadPolicyPrompts(
  { file, raw, tables = '', templates = '', split }: PolicyPrompts,
  tokenizer: Tokenizer,
  limit: number,
): ChatPrompt[] {
  if (file !== undefined) return loadPromptFile({ file, split, raw }, tokenizer, limit);
  return loadJudgedPrompts({ tables, templates, split }, tokenizer, limit);
}

/** Records the files of prompts as inputs of a run, as "file", "tables" and "templates" after `prefix`. */
export async function recordPrompts(
  folder: Pick<RunFolder, 'recordInput'>,
  prefix: string,
  source: Partial<PolicyPrompts>,
): Promise<void> {
  for (const kind of ['file', 'tables', 'templates'] as const) {
    if (source[kind] !== undefined) await folder.recordInput(`${prefix}${kind}`, source[kind]);
  }
}
