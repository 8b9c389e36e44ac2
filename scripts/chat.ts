/**
 * A conversation with a checkpoint, or with two side by side.
 *
 *   Run      npm run chat -- data/runs/tiny/instruct
 *            npm run chat -- data/runs/tiny/instruct data/runs/tiny/ppo --temperature 0.5
 *            printf 'Good morning!\nWhere is the mill?\n' | npm run chat -- data/runs/tiny/ppo
 *   Keys     Ctrl-C stops an answer, twice it ends the conversation; /help shows the commands
 */
import { createInterface } from 'node:readline';
import { DataError } from '../src/errors.ts';
import { seededRandom } from '../src/random.ts';
import { runMain } from '../src/run/program.ts';
import { flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { type ChatIo, openChat } from './use/chat-session.ts';
import { samplingFlags, samplingOf } from './use/sampling-flags.ts';
import { disposeSpeakers, openSpeakers, systemProblems } from './use/speaker.ts';

const usage = 'Usage: npm run chat -- <checkpoint> [<checkpoint 2>] [options]';

/** What a conversation is held through. */
export interface Streams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream & { readonly columns?: number };
  /** Whether a person sits in front. */
  readonly terminal: boolean;
  /** Prints a line that is no part of the conversation. */
  note(line: string): void;
}

/**
 * The command: reads flags, loads the checkpoints, and answers line by line until /quit, the end of the input or a
 * second Ctrl-C.
 * @throws ConfigError, CheckpointError or DataError with everything that is wrong, before the conversation begins
 */
export async function chatCommand(argv: readonly string[], streams: Streams): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, samplingFlags);
  const write = (text: string): void => void streams.output.write(text);
  if (help) {
    return write(
      `A conversation with a checkpoint, or with two side by side.\n\n${usage}\n\nOptions:\n${flagHelp(samplingFlags).join('\n')}\n`,
    );
  }
  const speakers = await openSpeakers(positionals, { backend: values.backend as 'auto', say: streams.note, usage });
  try {
    const problems = systemProblems(values.system, speakers);
    if (problems.length > 0) throw new DataError(problems);
    const randoms = speakers.map(() => seededRandom(values.seed, 'chat'));
    const conversation = openInput(streams);
    const { terminal } = streams;
    const io: ChatIo = {
      write,
      terminal,
      width: () => streams.output.columns ?? 100,
      interrupted: conversation.interrupted,
    };
    const chat = openChat(speakers, randoms, { ...samplingOf(values), system: values.system }, io);
    if (terminal) write('(/help shows the commands, Ctrl-C stops an answer)\n');
    await conversation.forEachLine((line) => chat.line(line));
  } finally {
    disposeSpeakers(speakers);
  }
}

/** Lines of the input, and Ctrl-C: once stops the answer, twice ends the conversation. */
function openInput({ input, output, terminal }: Streams) {
  const reader = createInterface({ input, ...(terminal && { output }), terminal, prompt: '> ' });
  let presses = 0;
  let closed = false;
  const onInterrupt = (): void => {
    presses += 1;
    if (presses > 1) reader.close();
    else output.write('\n(press Ctrl-C again to quit)\n');
  };
  reader.on('SIGINT', onInterrupt);
  reader.on('close', () => {
    closed = true;
  });
  return {
    interrupted: () => presses > 0 || (closed && terminal),
    forEachLine: async (take: (line: string) => Promise<boolean>): Promise<void> => {
      if (terminal) reader.prompt();
      for await (const line of reader) {
        presses = 0;
        if (!(await take(line))) break;
        if (terminal && !closed) reader.prompt();
      }
      reader.close();
    },
  };
}

await runMain(import.meta.url, (argv) =>
  chatCommand(argv, {
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true && process.stdout.isTTY === true,
    note: (line) => void process.stderr.write(`${line}\n`),
  }),
);
