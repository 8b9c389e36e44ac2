/**
 * Lets a checkpoint answer a prompt, or two checkpoints side by side.
 *
 *   Run      npm run generate -- data/runs/tiny/instruct --prompt "Where is the mill?"
 *            npm run generate -- data/base --raw --prompt "The mill" --samples 3 --temperature 1
 *            npm run generate -- data/runs/tiny/instruct data/runs/tiny/ppo --prompt "Good morning!" --system "Be brief."
 *   Prints   the answers on standard output, and what they cost on standard error; with --json one line an answer
 */

import { ConfigError, DataError, hasCode } from '../src/errors.ts';
import { encodePrompt, encodeRaw } from '../src/examples/instruction.ts';
import { readText } from '../src/files/text-file.ts';
import { systemSays, userSays } from '../src/message.ts';
import { seededRandom } from '../src/random.ts';
import { runMain } from '../src/run/program.ts';
import { openColumns } from '../src/run/text-columns.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { type Answered, answerAll, describeAnswer, type Question } from './use/answer.ts';
import { samplingFlags, samplingOf } from './use/sampling-flags.ts';
import { disposeSpeakers, openSpeakers, roomAfter, type Speaker, systemProblems } from './use/speaker.ts';

const flags = {
  prompt: { kind: 'text', description: 'What to answer.' },
  'prompt-file': { kind: 'path', description: 'File with the prompt, without its last line break.' },
  raw: { kind: 'switch', description: 'Go on with the text as it is, instead of asking as the model was trained.' },
  samples: { kind: 'integer', default: 1, min: 1, description: 'Answers to draw.' },
  json: { kind: 'switch', description: 'One line of JSON an answer.' },
  ...samplingFlags,
} as const satisfies Flags;

const usage = 'Usage: npm run generate -- <checkpoint> [<checkpoint 2>] --prompt "…" [options]';

type Values = ReturnType<typeof parseFlags<typeof flags>>['values'];

/** Where answers go. */
export interface Output {
  /** Answers. */
  write(text: string): void;
  /** One line about them. */
  note(line: string): void;
  /** Whether a person reads along: two checkpoints then stand side by side. */
  readonly terminal: boolean;
  /** Characters of a line. */
  readonly width: number;
}

/**
 * The command: reads flags, loads the checkpoints, answers.
 * @throws ConfigError, CheckpointError or DataError with everything that is wrong, before anything is drawn
 */
export async function generateCommand(argv: readonly string[], output: Output): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) {
    const options = ['Options:', ...flagHelp(flags)];
    return output.write(
      `Lets a checkpoint answer a prompt, or two side by side.\n\n${usage}\n\n${options.join('\n')}\n`,
    );
  }
  const prompt = readPrompt(values);
  const speakers = await openSpeakers(positionals, { backend: values.backend as 'auto', say: output.note, usage });
  try {
    const questions = questionsFor(speakers, prompt, values, output);
    if (values.json) await asJson(questions, prompt, values, output);
    else if (questions.length === 1) await alone(questions, output);
    else await sideBySide(questions, output);
  } finally {
    disposeSpeakers(speakers);
  }
}

function readPrompt({ prompt, 'prompt-file': file, raw, system }: Values): string {
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
  if (file === undefined) return prompt ?? '';
  try {
    return readText(file).replace(/\r?\n$/, '');
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EISDIR')) throw error;
    throw new DataError(`--prompt-file ${file}: there is no such file. Correct the path.`, { cause: error });
  }
}

function questionsFor(speakers: readonly Speaker[], prompt: string, values: Values, output: Output): Question[] {
  const problems: string[] = [];
  if (!values.raw) problems.push(...systemProblems(values.system, speakers));
  if (problems.length > 0) throw new DataError(problems);
  const messages = [...systemSays(values.system), ...userSays(prompt)];
  const questions = speakers.map((speaker): Question => {
    const { name, tokenizer, model } = speaker;
    const ids = values.raw ? encodeRaw(prompt, tokenizer) : encodePrompt(messages, tokenizer);
    const room = roomAfter(ids, speaker);
    const { context } = model.dimensions;
    if (ids.length === 0) problems.push(`${name}: the prompt has no tokens; expected some text. Give --prompt "…".`);
    if (room < 1) {
      problems.push(
        `${name}: the prompt is too long; expected at most ${context - 1} tokens, as the context has ${context}, ` +
          `received ${ids.length}. Shorten it.`,
      );
    }
    const sampling = samplingOf(values);
    const maxNewTokens = Math.min(sampling.maxNewTokens, Math.max(1, room));
    if (room >= 1 && maxNewTokens < sampling.maxNewTokens) {
      output.note(
        `${name}: only ${maxNewTokens} new tokens fit behind ${ids.length} of prompt in a context of ${context}.`,
      );
    }
    return {
      speaker,
      prompts: Array.from({ length: values.samples }, () => ids),
      options: { ...sampling, maxNewTokens, raw: values.raw },
      random: seededRandom(values.seed, 'generate'),
    };
  });
  if (problems.length > 0) throw new DataError(problems);
  return questions;
}

/** One checkpoint: text as it comes where there is one sample, blocks where there are several. */
async function alone(questions: readonly Question[], { write, note }: Output): Promise<void> {
  const count = questions[0]?.prompts.length ?? 0;
  const answered = await answerAll(questions, { piece: (_, __, text) => count === 1 && write(text) });
  if (count === 1) write('\n');
  else writeBlocks(answered, write);
  noteSpeed(questions, answered, note);
}

function writeBlocks(answered: readonly Answered[], write: (text: string) => void): void {
  const [{ answers } = { answers: [] }] = answered;
  answers.forEach(({ text }, i) => {
    write(`${i === 0 ? '' : '\n'}── ${i + 1} of ${answers.length}\n${text}\n`);
  });
}

/** Two checkpoints: columns on a terminal, blocks elsewhere. */
async function sideBySide(questions: readonly Question[], output: Output): Promise<void> {
  const { write, terminal, width, note } = output;
  const names = questions.map(({ speaker }) => speaker.name);
  const samples = questions[0]?.prompts.length ?? 0;
  const live = terminal && samples === 1 ? openColumns(names, width, write) : undefined;
  const answered = await answerAll(questions, {
    piece: (column, _, text) => live?.push(column, text),
    end: (column) => live?.end(column),
  });
  for (let row = 0; live === undefined && row < samples; row++) {
    const texts = answered.map(({ answers }) => answers[row]?.text ?? '');
    if (samples > 1) write(`${row === 0 ? '' : '\n'}── ${row + 1} of ${samples}\n`);
    if (terminal) writeColumns(names, texts, output);
    else texts.forEach((text, i) => void write(`[${names[i]}]\n${text}\n`));
  }
  noteSpeed(questions, answered, note);
}

function writeColumns(names: readonly string[], texts: readonly string[], { width, write }: Output): void {
  const columns = openColumns(names, width, write);
  texts.forEach((text, i) => {
    columns.push(i, text);
    columns.end(i);
  });
}

function noteSpeed(questions: readonly Question[], answered: readonly Answered[], note: (line: string) => void): void {
  answered.forEach((one, i) => {
    const { speaker, options } = questions[i] as Question;
    note(`${questions.length === 1 ? '' : `${speaker.name}: `}${describeAnswer(one, options.maxNewTokens)}`);
  });
}

async function asJson(
  questions: readonly Question[],
  prompt: string,
  values: Values,
  { write }: Output,
): Promise<void> {
  const answered = await answerAll(questions, { piece: () => undefined });
  answered.forEach(({ answers, seconds }, i) => {
    const checkpoint = questions[i]?.speaker.name;
    answers.forEach(({ text, reason, stop, ids, logProb }, sample) => {
      const asked = { ...(values.system !== '' && { system: values.system }), prompt };
      const line = {
        checkpoint,
        sample,
        seed: values.seed,
        ...asked,
        text,
        reason,
        ...(stop !== undefined && { stop }),
      };
      const cost = { tokens: ids.length, log_prob: logProb, seconds: Math.round(seconds * 1e4) / 1e4 };
      write(`${JSON.stringify({ ...line, ...cost })}\n`);
    });
  });
}

await runMain(import.meta.url, (argv) =>
  generateCommand(argv, {
    write: (text) => void process.stdout.write(text),
    note: (line) => void process.stderr.write(`${line}\n`),
    terminal: process.stdout.isTTY === true,
    width: process.stdout.columns ?? 100,
  }),
);
