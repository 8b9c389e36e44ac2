/** Prompts of one's own files as a model reads them, without a judge. */
import { DataError } from '../errors.ts';
import type { ChatPrompt } from '../evaluation/chat-prompts.ts';
import { firstProblems } from '../evaluation/chat-prompts.ts';
import { encodePrompt } from '../examples/instruction.ts';
import type { Encoding } from '../import/encodings.ts';
import { type PromptRow, readPromptRows } from '../import/prompt-rows.ts';
import { messagesText } from '../message.ts';
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
}

/** Prompts of all splits, each once, and what is said of them. */
export interface FilePrompts {
  readonly prompts: readonly (ChatPrompt & { readonly split: string })[];
  readonly lines: readonly string[];
}

/**
 * Reads the prompts. A prompt that stands there twice is kept once; one that the model's format cannot hold (text of
 * special tokens, a system text that the template refuses) is left out as rows are that cannot be used. Both are counted.
 *
 * @param limit most tokens a prompt may have
 * @throws DataError as `readPromptRows`, where more prompts than `badRows` allows do not fit the format, and naming those
 *   that are too long
 */
export async function readFilePrompts(source: PromptFile, tokenizer: Tokenizer, limit: number): Promise<FilePrompts> {
  const { rows, lines } = await readPromptRows({ ...source, path: source.file });
  const prompts = new Map<string, FilePrompts['prompts'][number]>();
  const [same, unfit]: [Counted, Counted] = [newCount(), newCount()];
  const tooLong: string[] = [];
  for (const row of rows) {
    const key = JSON.stringify(row.content.map(({ role, content }) => [role, content]));
    if (prompts.has(key)) {
      countAt(same, row.where);
      continue;
    }
    const promptIds = idsOf(row, source.raw, tokenizer);
    if (promptIds instanceof DataError) {
      countAt(unfit, `${row.where}: ${promptIds.problems[0]}`);
      continue;
    }
    if (promptIds.length > limit) {
      tooLong.push(
        `${row.where}: the prompt has ${promptIds.length} tokens; expected at most ${limit}. Shorten or remove it, or lower sampling.maxNewTokens.`,
      );
    }
    const prompt = messagesText(row.content);
    prompts.set(key, { id: row.id, split: row.split, prompt, promptIds, judge: null });
  }
  if (tooLong.length > 0) throw new DataError(firstProblems(tooLong, source.file));
  checkFormat(source, unfit, rows.length);
  const notes = [
    counted('the same prompt again, kept once', same),
    counted('left out: cannot be written in the model’s format', unfit),
  ];
  return { prompts: [...prompts.values()], lines: [...lines, ...notes.flat()] };
}

function newCount(): Counted {
  return { count: 0, first: [] };
}

/** The ids of a prompt, or why there are none. A text to go on with stands after BOS. */
function idsOf({ content }: PromptRow, raw: boolean, tokenizer: Tokenizer): Int32Array | DataError {
  if (raw) {
    const begin = tokenizer.bosId === null ? [] : [tokenizer.bosId];
    return Int32Array.of(...begin, ...tokenizer.encode(messagesText(content)));
  }
  try {
    return encodePrompt(content, tokenizer);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return error;
  }
}

function checkFormat({ file, badRows }: PromptFile, unfit: Counted, rows: number): void {
  if (unfit.count === 0 || (unfit.count < rows && unfit.count <= badRows * rows)) return;
  throw new DataError([
    `${file}: ${unfit.count} of ${rows} prompts cannot be written in the model's format; expected no more than prompts.badRows ${badRows} allows.`,
    ...unfit.first.map((place) => `  ${place}`),
  ]);
}

function counted(what: string, found: Counted): string[] {
  return found.count === 0 ? [] : [`  ${what}  ${countAndPlaces(found)}`];
}
