/**
 * Lets a checkpoint answer prompts, or two checkpoints side by side.
 *
 *   Run      npm run generate -- data/runs/tiny/instruct --prompt "Where is the mill?"
 *            npm run generate -- data/base --raw --prompt "The mill" --samples 3 --temperature 1
 *            npm run generate -- data/runs/tiny/instruct data/runs/tiny/ppo --prompt "Good morning!" --system "Be brief."
 *            npm run generate -- data/runs/own/ppo --prompt-file my.jsonl --to answers.arrow
 *   Prints   the answers on standard output, and what they cost on standard error; with --json one line an answer
 */

import { existsSync } from 'node:fs';
import { DataError } from '../src/errors.ts';
import { seededRandom } from '../src/random.ts';
import { runMain } from '../src/run/program.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import type { Question } from './use/answer.ts';
import { writeAnswers } from './use/answer-table.ts';
import { type Asked, readAsked, sourceOf } from './use/asked.ts';
import { answerAndPrint, type Output } from './use/print-answers.ts';
import { samplingFlags, samplingOf } from './use/sampling-flags.ts';
import { disposeSpeakers, openSpeakers, roomAfter, type Speaker } from './use/speaker.ts';

const flags = {
  prompt: { kind: 'text', description: 'What to answer.' },
  'prompt-file': {
    kind: 'path',
    description:
      'File with what to answer: each prompt or conversation of JSONL, JSON, CSV, Parquet, Arrow, a folder or a pattern; another file is one prompt, without its last line break.',
  },
  raw: { kind: 'switch', description: 'Go on with the text as it is, instead of asking as the model was trained.' },
  samples: { kind: 'integer', default: 1, min: 1, description: 'Answers to draw to each prompt.' },
  json: { kind: 'switch', description: 'One line of JSON an answer.' },
  to: { kind: 'path', description: 'Arrow table to write the conversations with their answers to; it must not exist.' },
  ...samplingFlags,
} as const satisfies Flags;

const usage = 'Usage: npm run generate -- <checkpoint> [<checkpoint 2>] --prompt "…" [options]';

type Values = ReturnType<typeof parseFlags<typeof flags>>['values'];

/**
 * The command: reads flags, loads the checkpoints, answers.
 * @throws ConfigError, CheckpointError or DataError with everything that is wrong, before anything is drawn
 */
export async function generateCommand(argv: readonly string[], output: Output): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) {
    const options = ['Options:', ...flagHelp(flags)];
    return output.write(
      `Lets a checkpoint answer prompts, or two side by side.\n\n${usage}\n\n${options.join('\n')}\n`,
    );
  }
  const source = sourceOf(values, usage);
  const { to } = values;
  if (to !== undefined && existsSync(to)) {
    throw new DataError(`--to ${to}: is there already; expected a new file. Choose another name.`);
  }
  const speakers = await openSpeakers(positionals, { backend: values.backend as 'auto', say: output.note, usage });
  try {
    const asked = await readAsked(source, values, speakers, output.note);
    const questions = questionsFor(speakers, asked, values, output);
    const answered = await answerAndPrint(questions, asked, values, output);
    if (to === undefined) return;
    await writeAnswers(to, asked, questions, answered, { seed: values.seed, ...samplingOf(values) });
    output.note(`wrote ${to}`);
  } finally {
    disposeSpeakers(speakers);
  }
}

function questionsFor(
  speakers: readonly Speaker[],
  asked: readonly Asked[],
  values: Values,
  { note }: Output,
): Question[] {
  return speakers.map((speaker, i): Question => {
    const prompts = asked.flatMap(({ ids }) => Array.from({ length: values.samples }, () => ids[i] as Int32Array));
    const longest = prompts.reduce((most, ids) => (ids.length > most.length ? ids : most));
    const sampling = samplingOf(values);
    const maxNewTokens = Math.min(sampling.maxNewTokens, roomAfter(longest, speaker));
    if (maxNewTokens < sampling.maxNewTokens) {
      const { context } = speaker.model.dimensions;
      note(
        `${speaker.name}: only ${maxNewTokens} new tokens fit behind ${longest.length} of prompt in a context of ${context}.`,
      );
    }
    const options = { ...sampling, maxNewTokens, raw: values.raw };
    return { speaker, prompts, options, random: seededRandom(values.seed, 'generate') };
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
