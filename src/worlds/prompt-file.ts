/** Prompts of one's own files as a model reads them, without a judge. */
import { DataError } from '../errors.ts';
import type { ChatPrompt } from '../evaluation/chat-prompts.ts';
import { fitRows } from '../examples/fit-rows.ts';
import { encodePrompt, encodeRaw } from '../examples/instruction.ts';
import type { Encoding } from '../import/encodings.ts';
import { type PromptRow, readPromptRows } from '../import/prompt-rows.ts';
import { type Conversation, messagesText, systemSays } from '../message.ts';
import { type Counted, countAndPlaces, countAt } from '../tables/tally.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** Where the prompts are, and how they are meant. */
export interface PromptFile {
  /** A file, a folder or a pattern. */
  readonly file: string;
  /** The response goes on with the text as it is. */
  readonly raw: boolean;
  readonly encoding: Encoding;
  /** Largest share of the rows that may be unusable. */
  readonly badRows: number;
  /** What the system says in front of prompts that have no text of the system's; nothing where left out. */
  readonly system?: string;
}

/** One prompt of a file, with the conversation that is asked: it ends with the message of the user or of a tool. */
export interface FilePrompt extends ChatPrompt, Conversation {
  readonly split: string;
}

/** Prompts of all splits, each once, and what is said of them. */
export interface FilePrompts {
  readonly prompts: readonly FilePrompt[];
  readonly lines: readonly string[];
}

/**
 * Reads the prompts. A prompt that stands there twice is kept once; one that the model cannot be asked (text of special
 * tokens, a system text or tools that the template refuses, too long) is left out as rows are that cannot be used. All are counted.
 *
 * @param limit most tokens a prompt may have
 * @throws DataError as `readPromptRows`, and where more prompts than `badRows` allows cannot be asked
 */
export async function readFilePrompts(source: PromptFile, tokenizer: Tokenizer, limit: number): Promise<FilePrompts> {
  const { file: path, badRows, system = '' } = source;
  const { rows, lines } = await readPromptRows({ ...source, path });
  const asked = new Map<string, PromptRow>();
  const same: Counted = { count: 0, first: [] };
  const own: Counted = { count: 0, first: [] };
  for (const row of rows) {
    const key = JSON.stringify(row.content);
    if (asked.has(key)) countAt(same, row.where);
    else asked.set(key, row);
  }
  const write = ({ id, split, where, content }: PromptRow): FilePrompt => {
    const { tools } = content;
    const hasSystem = content.messages[0]?.role === 'system';
    if (system !== '' && hasSystem) countAt(own, where);
    const messages = hasSystem ? content.messages : [...systemSays(system), ...content.messages];
    const prompt = messagesText(messages, tools);
    const promptIds = source.raw ? encodeRaw(prompt, tokenizer) : encodePrompt(messages, tokenizer, where, tools);
    if (promptIds.length > limit) {
      throw new DataError(
        `${where}: the prompt has ${promptIds.length} tokens; expected at most ${limit}, so that an answer fits the context`,
      );
    }
    return { id, split, messages, tools, prompt, promptIds, judge: null };
  };
  const fit = fitRows([...asked.values()], write, { path, badRows, limitKey: 'prompts.badRows' });
  const counts = { 'the same prompt again, kept once': same, 'system text of its own, kept': own };
  const notes = Object.entries(counts).flatMap(([what, found]) =>
    found.count === 0 ? [] : [`  ${what}  ${countAndPlaces(found)}`],
  );
  return { prompts: fit.fitted, lines: [...lines, ...notes, ...fit.lines] };
}
