/** The prompts that a configuration names: the one file that says whose judge comes with them. */

import { DataError } from '../errors.ts';
import type { ChatPrompt, JudgedPrompt } from '../evaluation/chat-prompts.ts';
import { inputsOf } from '../import/recognized-rows.ts';
import { splitOfWordAlone } from '../import/split-names.ts';
import { seededRandom } from '../random.ts';
import type { RunFolder } from '../run/run-folder.ts';
import { holdOutShare } from '../tasks/hold-out-share.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readFilePrompts } from './prompt-file.ts';
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

/** What a configuration says of the prompts of PPO. */
interface PolicySource {
  readonly prompts: PolicyPrompts;
  readonly heldOut?: PolicyPrompts | undefined;
  readonly evaluation: { readonly prompts: number; readonly share: number };
  readonly run: { readonly seed: number };
}

/** Prompts to train on and prompts to measure with. */
export interface PolicyPromptSets {
  readonly prompts: readonly ChatPrompt[];
  readonly heldOut: readonly ChatPrompt[];
  /** What files were taken for, what was left out, and how prompts were held out. */
  readonly lines: readonly string[];
}

/**
 * Loads the prompts of PPO: of files, without a judge, or those of `loadJudgedPrompts`. Where no held-out prompts are named
 * they are those of split validation or, where the file has none, a share by seed; none of them is trained on.
 *
 * @param limit most tokens a prompt may have
 * @throws DataError as `readFilePrompts` and `loadJudgedPrompts`, for a split without prompts, and where none would be left
 *   to train on
 */
export async function loadPolicyPrompts(
  { prompts: source, heldOut: named, evaluation, run }: PolicySource,
  tokenizer: Tokenizer,
  limit: number,
): Promise<PolicyPromptSets> {
  const own = await openPrompts(source, tokenizer, limit);
  const prompts = own.ofSplit(source.split);
  if (named !== undefined) {
    const isSame = source.file !== undefined && source.file === named.file && source.raw === named.raw;
    const other = isSame ? own : await openPrompts(named, tokenizer, limit);
    const heldOut = other.ofSplit(named.split).slice(0, evaluation.prompts);
    const lines = isSame ? own.lines : [...own.lines, ...other.lines];
    if (source.file === undefined) return { prompts, heldOut, lines };
    return withoutHeldOut(source.file, { prompts, heldOut, lines });
  }
  const validation = source.split === 'validation' ? [] : own.ofSplit('validation', false);
  if (validation.length > 0) {
    const heldOut = validation.slice(0, evaluation.prompts);
    return { prompts, heldOut, lines: [...own.lines, `held out: ${heldOut.length} prompts of split validation`] };
  }
  const share = Math.min(evaluation.share, evaluation.prompts / prompts.length);
  const keys = prompts.map(({ prompt }) => prompt);
  const held = holdOutShare(keys, share, seededRandom(run.seed, 'held-out prompts'));
  const heldOut = prompts.filter((_, i) => held.has(i));
  const line = `held out by run.seed: ${heldOut.length} of ${prompts.length} prompts (evaluation.share)`;
  return withoutHeldOut(source.file ?? '', { prompts, heldOut, lines: [...own.lines, line] }, false);
}

/** Prompts of a source, by split. */
interface OpenPrompts {
  /** @throws DataError where there are none, unless `isNeeded` is false */
  ofSplit(split: string, isNeeded?: boolean): readonly ChatPrompt[];
  readonly lines: readonly string[];
}

async function openPrompts(source: PolicyPrompts, tokenizer: Tokenizer, limit: number): Promise<OpenPrompts> {
  const { file, tables = '', templates = '' } = source;
  if (file === undefined) {
    return { ofSplit: (split) => loadJudgedPrompts({ tables, templates, split }, tokenizer, limit), lines: [] };
  }
  const { prompts, lines } = await readFilePrompts({ ...source, file }, tokenizer, limit);
  const ofSplit: OpenPrompts['ofSplit'] = (split, isNeeded = true) => {
    const word = splitOfWordAlone(split) ?? split;
    const found = prompts.filter((prompt) => prompt.split === word);
    if (found.length > 0 || !isNeeded) return found;
    const known = [...new Set(prompts.map((prompt) => prompt.split))].sort().join(', ');
    throw new DataError(`${file}: no rows of split "${split}"; expected prompts, found splits ${known}.`);
  };
  return { ofSplit, lines };
}

/** Takes what is held out of what is trained on. */
function withoutHeldOut(file: string, sets: PolicyPromptSets, isSaid = true): PolicyPromptSets {
  const held = new Set(sets.heldOut.map(({ prompt }) => prompt));
  const prompts = sets.prompts.filter(({ prompt }) => !held.has(prompt));
  if (prompts.length === 0 || held.size === 0) {
    throw new DataError(
      `${file}: ${sets.prompts.length} different prompts; expected some to train on and others to hold out. Add prompts.`,
    );
  }
  const both = sets.prompts.length - prompts.length;
  if (both === 0 || !isSaid) return { ...sets, prompts };
  return { ...sets, prompts, lines: [...sets.lines, `left out of training: ${both} prompts that are held out`] };
}

/** Records the files of prompts as inputs of a run, as "file", "tables" and "templates" after `prefix`. */
export async function recordPrompts(
  folder: Pick<RunFolder, 'recordInput'>,
  prefix: string,
  { file, ...folders }: Partial<PolicyPrompts>,
): Promise<void> {
  const files = file === undefined ? [] : inputsOf(file);
  for (const path of files) await folder.recordInput(`${prefix}file${files.length === 1 ? '' : ` ${path}`}`, path);
  for (const kind of ['tables', 'templates'] as const) {
    if (folders[kind] !== undefined) await folder.recordInput(`${prefix}${kind}`, folders[kind]);
  }
}
