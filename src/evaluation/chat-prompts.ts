/** Conversation prompts with what the gold scorer needs to judge an answer. */
import { join } from 'node:path';
import { DataError, hasCode } from '../errors.ts';
import { encodePrompt } from '../examples/instruction.ts';
import { readText } from '../files/text-file.ts';
import { readJsonLines } from '../tables/jsonl.ts';
import type { Task } from '../tasks/tasks.ts';
import { loadTasks, rowsOf } from '../tasks/tasks.ts';
import { renderTemplate } from '../tasks/template.ts';
import { findUnread, unreadProblems } from '../tasks/unread-fields.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { GoldRequest } from './gold.ts';
import { goldRequest, parseGoldLexicon } from './gold.ts';

/** One prompt. */
export interface ChatPrompt {
  readonly id: string;
  readonly prompt: string;
  /** BOS, prompt, line break. */
  readonly promptIds: Int32Array;
  /** Read by the gold scorer alone: nothing that is trained sees it. Null where there is no gold. */
  readonly gold: GoldRequest | null;
}

/** A prompt whose answers the gold scorer can judge. */
export interface JudgedPrompt extends ChatPrompt {
  readonly gold: GoldRequest;
}

/** Where prompts come from. */
export interface PromptSource {
  /** Folder with `chat.jsonl` and `lexicon.json`. */
  readonly seed: string;
  /** Folder with `chat.yaml`. */
  readonly templates: string;
  readonly split: string;
}

/**
 * Loads the prompts of a split, rendered with the trained templates in turn.
 * @param limit most tokens a prompt may have
 * @throws DataError for missing or wrong files, a split without rows, or naming every prompt that is too long
 */
export function loadChatPrompts(source: PromptSource, tokenizer: Tokenizer, limit: number): JudgedPrompt[] {
  const task = loadTasks(source.seed, source.templates, ['chat'])[0] as Task;
  const lexicon = readLexicon(join(source.seed, 'lexicon.json'));
  const templates = task.templates.templates.filter(({ kind, split }) => kind === 'direct' && split === 'train');
  const rows = rowsOf(task, source.split);
  if (rows.length === 0) throw new DataError(`${task.path}: no rows of split "${source.split}"; expected prompts.`);
  const problems: string[] = [];
  const prompts = rows.map((row, index): JudgedPrompt => {
    const template = templates[index % templates.length];
    if (template === undefined) throw new DataError(`${task.templates.path}: no template to train on.`);
    const { prompt } = renderTemplate(task.templates, template, row);
    const promptIds = encodePrompt(prompt, tokenizer);
    if (promptIds.length > limit) {
      problems.push(
        `${row.where}: the prompt has ${promptIds.length} tokens and the context leaves ${limit} beside the response. ` +
          'Lower sampling.maxNewTokens or use a model with a longer context.',
      );
    }
    return { id: row.id, prompt, promptIds, gold: goldRequest(row.fields, lexicon, row.where) };
  });
  if (problems.length > 0) throw new DataError(firstOf(problems, task.path));
  return prompts;
}

/** Prompts of a file of one's own. */
export interface PromptFile {
  readonly file: string;
  readonly split: string;
  /** The response goes on with the text as it is. */
  readonly raw: boolean;
}

/**
 * Loads the prompts of a split of a JSONL file: rows with prompt and split, and perhaps id.
 * @throws DataError naming every line that has no prompt, no split or a prompt that is too long, parts of conversations
 *   beside the prompts, or a split without rows
 */
export function loadPromptFile(source: PromptFile, tokenizer: Tokenizer, limit: number): ChatPrompt[] {
  const { file, split, raw } = source;
  const lines = readJsonLines(file, 'your own program');
  const remedy = 'Write it into the prompts, or remove the field.';
  const problems = unreadProblems(findUnread(file, lines), [], () => remedy);
  const prompts: ChatPrompt[] = [];
  for (const { where, fields } of lines) {
    const { prompt, split: own, id } = fields;
    if (typeof prompt !== 'string' || prompt.trim() === '')
      problems.push(`${where}: no "prompt"; expected text, received ${show(prompt)}. Mend or remove the line.`);
    // A row that is of no split would be passed over without a word, whichever is asked for.
    else if (typeof own !== 'string')
      problems.push(`${where}: no "split"; expected text, as "${split}", received ${show(own)}. Mend the line.`);
    else if (own === split) {
      const begin = tokenizer.bosId === null ? [] : [tokenizer.bosId];
      const promptIds = raw ? Int32Array.of(...begin, ...tokenizer.encode(prompt)) : encodePrompt(prompt, tokenizer);
      if (promptIds.length > limit)
        problems.push(`${where}: the prompt has ${promptIds.length} tokens; expected at most ${limit}. Shorten it.`);
      prompts.push({ id: String(id ?? where), prompt, promptIds, gold: null });
    }
  }
  if (problems.length > 0) throw new DataError(firstOf(problems, file));
  if (prompts.length === 0) {
    const known = [...new Set(lines.map(({ fields }) => String(fields.split)))].sort().join(', ');
    throw new DataError(`${file}: no rows of split "${split}"; expected prompts, found splits ${known}.`);
  }
  return prompts;
}

/** The first ten problems, and how many there are in all. */
function firstOf(problems: readonly string[], file: string): string[] {
  if (problems.length <= 10) return [...problems];
  return [...problems.slice(0, 10), `${file}: ${problems.length} problems in all; expected none. Mend these first.`];
}

function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/**
 * Loads the prompts of PPO: of a file, or conversations of the valley with what the gold scorer needs.
 * @throws DataError as `loadPromptFile` and `loadChatPrompts`
 */
export function loadPolicyPrompts(
  source: { readonly [Key in keyof (PromptSource & PromptFile)]?: (PromptSource & PromptFile)[Key] | undefined } & {
    readonly split: string;
  },
  tokenizer: Tokenizer,
  limit: number,
): ChatPrompt[] {
  const { file, seed = '', templates = '', split, raw = false } = source;
  if (file !== undefined) return loadPromptFile({ file, split, raw }, tokenizer, limit);
  return loadChatPrompts({ seed, templates, split }, tokenizer, limit);
}

/** A line of figures: "held out  150 prompts, longest 31 tokens". */
export function describePrompts(name: string, prompts: readonly ChatPrompt[]): string {
  const longest = prompts.reduce((most, { promptIds }) => Math.max(most, promptIds.length), 0);
  return `${name}  ${prompts.length} prompts, longest ${longest} tokens`;
}

function readLexicon(path: string): ReturnType<typeof parseGoldLexicon> {
  try {
    return parseGoldLexicon(readText(path), path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new DataError(
      `${path}: there is no such file; expected the words of the world. Run node --import tsx scripts/build-seed.ts.`,
    );
  }
}
