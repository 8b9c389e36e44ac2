/** What models are asked: one prompt that was typed or stands in a text file, or every row of a file of one's own. */
import { ConfigError, DataError, hasCode } from '../../src/errors.ts';
import { encodePrompt, encodeRaw } from '../../src/examples/instruction.ts';
import { readText } from '../../src/files/text-file.ts';
import { holdsRows } from '../../src/import/files.ts';
import { type Conversation, systemSays, userSays } from '../../src/message.ts';
import { readFilePrompts } from '../../src/worlds/prompt-file.ts';
import { roomAfter, type Speaker, systemProblems } from './speaker.ts';

/** One prompt, with what is said before the answer. */
export interface Asked extends Conversation {
  /** "<file>-<row>"; null for the one prompt that there is. */
  readonly id: string | null;
  /** The same as one text: of the one prompt without the system's. */
  readonly prompt: string;
  /** Its ids for each model. */
  readonly ids: readonly Int32Array[];
}

/** Where prompts are named, and how they are meant. */
export interface AskedSource {
  readonly prompt: string | undefined;
  readonly 'prompt-file': string | undefined;
  readonly raw: boolean;
  /** What the system says in front of prompts that have no text of the system's; "" for nothing. */
  readonly system: string;
  readonly 'max-new-tokens': number;
}

/** A prompt as text, or the file whose rows are asked. */
export type Source = { readonly text: string } | { readonly rows: string };

/**
 * Looks at the flags; a file whose ending tells of data, a folder and a pattern are rows, any other file is one prompt.
 * @throws ConfigError where no prompt is named, or two; DataError for a missing file
 */
export function sourceOf({ prompt, 'prompt-file': file, raw, system }: AskedSource, usage: string): Source {
  if (raw && system !== '') {
    throw new ConfigError(
      '--system: expected none with --raw, which goes on with a text that nobody asks. Leave one out.',
    );
  }
  if ((prompt === undefined) === (file === undefined)) {
    throw new ConfigError(
      `expected either --prompt or --prompt-file, received ${file === undefined ? 'none' : 'both'}. ${usage}`,
    );
  }
  if (file === undefined) return { text: prompt ?? '' };
  if (holdsRows(file)) return { rows: file };
  try {
    return { text: readText(file).replace(/\r?\n$/, '') };
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    throw new DataError(`--prompt-file ${file}: there is no such file. Correct the path.`, { cause: error });
  }
}

/**
 * The prompts in the format of every model. Rows that cannot be asked are left out and named.
 * @throws DataError where a model cannot be told what the system says, the one prompt does not fit, or no row can be asked
 */
export async function readAsked(
  source: Source,
  flags: AskedSource,
  speakers: readonly Speaker[],
  note: (line: string) => void,
): Promise<Asked[]> {
  const problems = flags.raw ? [] : systemProblems(flags.system, speakers);
  if (problems.length > 0) throw new DataError(problems);
  return 'text' in source ? [askText(source.text, flags, speakers)] : readRows(source.rows, flags, speakers, note);
}

function askText(prompt: string, { raw, system }: AskedSource, speakers: readonly Speaker[]): Asked {
  const messages = [...systemSays(system), ...userSays(prompt)];
  const problems: string[] = [];
  const ids = speakers.map((speaker) => {
    const { name, tokenizer, model } = speaker;
    const own = raw ? encodeRaw(prompt, tokenizer) : encodePrompt(messages, tokenizer);
    const { context } = model.dimensions;
    if (own.length === 0) problems.push(`${name}: the prompt has no tokens; expected some text. Give --prompt "…".`);
    if (roomAfter(own, speaker) < 1) {
      problems.push(
        `${name}: the prompt is too long; expected at most ${context - 1} tokens, as the context has ${context}, ` +
          `received ${own.length}. Shorten it.`,
      );
    }
    return own;
  });
  if (problems.length > 0) throw new DataError(problems);
  return { id: null, messages, prompt, ids };
}

async function readRows(
  file: string,
  { raw, system, 'max-new-tokens': maxNewTokens }: AskedSource,
  speakers: readonly Speaker[],
  note: (line: string) => void,
): Promise<Asked[]> {
  const source = { file, raw, system, encoding: 'utf-8', badRows: 1 } as const;
  const read = await Promise.all(
    speakers.map(({ tokenizer, model }) => readFilePrompts(source, tokenizer, model.dimensions.context - maxNewTokens)),
  );
  const isSaidOfAll = (line: string): boolean => read.every(({ lines }) => lines.includes(line));
  for (const line of read[0]?.lines.filter(isSaidOfAll) ?? []) note(line);
  read.forEach(({ lines }, i) => {
    for (const line of lines) if (!isSaidOfAll(line)) note(`${speakers[i]?.name}: ${line.trim()}`);
  });
  const byId = read.map(({ prompts }) => new Map(prompts.map((prompt) => [prompt.id, prompt])));
  const asked = (read[0]?.prompts ?? []).flatMap(({ id, messages, tools, prompt }): Asked[] => {
    const ids = byId.flatMap((prompts) => prompts.get(id)?.promptIds ?? []);
    return ids.length === speakers.length ? [{ id, messages, tools, prompt, ids }] : [];
  });
  if (asked.length > 0) return asked;
  throw new DataError(`${file}: no prompt that both models can be asked; expected one at least.`);
}
