/** A conversation with one or two models: turns, what of them fits the context, and the commands that change it. */

import { DataError, UserError } from '../../src/errors.ts';
import { encodePrompt, withoutFirstTurn } from '../../src/examples/instruction.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { type Message, systemSays, userSays } from '../../src/message.ts';
import type { Random } from '../../src/random.ts';
import { openColumns } from '../../src/run/text-columns.ts';
import { closest } from '../../src/yaml/suggest.ts';
import { type Answered, answerAll, describeAnswer, type Question } from './answer.ts';
import { roomAfter, type Speaker, systemProblems } from './speaker.ts';

/** How the models answer; `/temperature` and `/system` change it. */
export interface ChatSettings {
  /** What the system says in front of every question; "" for nothing. */
  system: string;
  readonly maxNewTokens: number;
  temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly stops: readonly string[];
}

/** Where a conversation comes from and goes to. */
export interface ChatIo {
  write(text: string): void;
  /** Whether a person sits in front: text then streams, two models stand side by side, and costs are shown. */
  readonly terminal: boolean;
  width(): number;
  /** True once the answer being written shall stop. */
  interrupted(): boolean;
}

/** A running conversation. */
export interface Chat {
  /** Takes one line: a command or what is said. False once the conversation is over. */
  line(text: string): Promise<boolean>;
}

/** One model with its side of the conversation: questions and answers in turn. */
interface Side {
  readonly speaker: Speaker;
  readonly random: Random;
  messages: Message[];
  /** Oldest turns that did not fit when it was last asked. */
  leftOut: number;
}

const commands = {
  '/reset': 'forget the conversation',
  '/undo': 'take the last question and its answers back',
  '/system':
    'what the system says, from the next question on: /system Be brief. Alone it shows the text, /system "" takes it out',
  '/save': 'write the conversation to a file of JSON lines: /save chat.jsonl',
  '/temperature': 'how freely to answer, 0 for the likeliest words: /temperature 0.5',
  '/help': 'show this list',
  '/quit': 'end the conversation',
} as const;

/** Starts a conversation with the models; every model has its own answers in its history. */
export function openChat(
  speakers: readonly Speaker[],
  randoms: readonly Random[],
  settings: ChatSettings,
  io: ChatIo,
): Chat {
  const sides = speakers.map(
    (speaker, i): Side => ({ speaker, random: randoms[i] as Random, messages: [], leftOut: 0 }),
  );
  return {
    line: async (text) => {
      const said = text.trim();
      if (said === '/quit' || said === '/exit') return false;
      if (said.startsWith('/')) await obey(said, sides, settings, io);
      else if (said !== '') await answer(said, sides, settings, io);
      return true;
    },
  };
}

async function obey(said: string, sides: readonly Side[], settings: ChatSettings, io: ChatIo): Promise<void> {
  const [command = '', ...rest] = said.split(/\s+/);
  const argument = rest.join(' ');
  const reply = (text: string): void => io.write(`(${text})\n`);
  if (command === '/help') {
    for (const [name, meaning] of Object.entries(commands)) io.write(`  ${name.padEnd(14)}${meaning}\n`);
  } else if (command === '/reset') {
    for (const side of sides) Object.assign(side, { messages: [], leftOut: 0 });
    reply('the conversation is forgotten');
  } else if (command === '/undo') {
    const [question] = sides.map(({ messages }) => messages.splice(-2)[0]);
    reply(question === undefined ? 'there is nothing to take back' : `taken back: ${question.content}`);
  } else if (command === '/temperature') {
    const value = Number(argument);
    if (argument === '' || !Number.isFinite(value) || value < 0) {
      return reply(`/temperature: expected a number of at least 0, received "${argument}"`);
    }
    settings.temperature = value;
    reply(`temperature ${value}`);
  } else if (command === '/system') reply(changeSystem(said.slice(command.length).trim(), sides, settings));
  else if (command === '/save') reply(await save(argument, sides, settings.system));
  else {
    const near = closest(command, Object.keys(commands));
    reply(`${command}: there is no such command. ${near === undefined ? 'See /help' : `Did you mean ${near}?`}`);
  }
}

/** Shows the system text, or takes another one where every model's template can say it. */
function changeSystem(text: string, sides: readonly Side[], settings: ChatSettings): string {
  if (text === '') return settings.system === '' ? 'there is no system text' : `system: ${settings.system}`;
  const system = text === '""' ? '' : text;
  const problems = systemProblems(
    system,
    sides.map(({ speaker }) => speaker),
  );
  if (problems.length > 0) return `${problems.join(' ')} The system text stays as it was`;
  settings.system = system;
  return system === '' ? 'no system text from the next question on' : `system, from the next question on: ${system}`;
}

/** One line a model, in the form that imports read. */
async function save(path: string, sides: readonly Side[], system: string): Promise<string> {
  if (path === '') return '/save: expected a file name, such as /save chat.jsonl';
  if (sides.every(({ messages }) => messages.length === 0)) return 'there is nothing to save yet';
  const lines = sides.map(({ speaker, messages }, i) => {
    return JSON.stringify({
      id: `chat-${i + 1}`,
      checkpoint: speaker.name,
      messages: [...systemSays(system), ...messages],
    });
  });
  try {
    await atomicWrite(path, `${lines.join('\n')}\n`);
  } catch (error) {
    // A conversation is not to be lost for a misspelt folder.
    return error instanceof UserError || error instanceof Error ? `not saved: ${error.message}` : 'not saved';
  }
  return `saved to ${path}`;
}

async function answer(said: string, sides: readonly Side[], settings: ChatSettings, io: ChatIo): Promise<void> {
  const questions: Question[] = [];
  for (const side of sides) {
    const question = questionFor(said, side, settings, io);
    if (question === undefined) return;
    questions.push(question);
  }
  const answered = sides.length === 1 ? await streamOne(questions, io) : await streamBoth(questions, sides, io);
  const answers = answered.map((one) => one.answers[0]);
  const isStopped = answers.some((one) => one?.reason === 'interrupted');
  // A question without an answer would only confuse the next one.
  const isKept = !isStopped || answers.every((one) => one?.text !== '');
  answers.forEach((one, i) => {
    if (isKept) sides[i]?.messages.push(...userSays(said), { role: 'assistant', content: one?.text ?? '' });
  });
  if (isStopped) io.write(isKept ? '(stopped)\n' : '(stopped; the question is taken back)\n');
  else if (io.terminal) noteCosts(questions, answered, io);
}

/** What a model is asked: as many of the latest turns as leave room for an answer; why it cannot be, where it cannot. */
function promptFor(said: string, { speaker, messages }: Side, { system, maxNewTokens }: ChatSettings) {
  try {
    let asked: readonly Message[] = [...systemSays(system), ...messages, ...userSays(said)];
    for (let skipped = 0; ; skipped++) {
      const ids = encodePrompt(asked, speaker.tokenizer);
      const shorter = withoutFirstTurn(asked);
      if (shorter === null || roomAfter(ids, speaker) >= maxNewTokens) return { ids, skipped };
      asked = shorter;
    }
  } catch (error) {
    // A conversation is not to be lost for a line that cannot be said in the model's template.
    if (!(error instanceof DataError)) throw error;
    return { problem: error.message };
  }
}

/** One line as a question; undefined, and a note, where it cannot be asked. */
function questionFor(said: string, side: Side, settings: ChatSettings, io: ChatIo): Question | undefined {
  const { speaker, random } = side;
  const { context } = speaker.model.dimensions;
  const found = promptFor(said, side, settings);
  if (found.problem !== undefined) {
    io.write(`(${found.problem} Or see /undo and /reset)\n`);
    return undefined;
  }
  const { ids, skipped } = found;
  const room = roomAfter(ids, speaker);
  const name = io.terminal ? '' : `${speaker.name}: `;
  if (room < 1) {
    io.write(`(${name}this is too long: ${ids.length} tokens, and the context has ${context}. Shorten it)\n`);
    return undefined;
  }
  if (skipped > side.leftOut) {
    const oldest = skipped === 1 ? 'the oldest turn is' : `the oldest ${skipped} turns are`;
    io.write(`(${name}the context of ${context} tokens is full: ${oldest} left out)\n`);
  }
  side.leftOut = skipped;
  const { system: _, ...drawn } = settings;
  const maxNewTokens = Math.min(settings.maxNewTokens, room);
  return { speaker, prompts: [ids], options: { ...drawn, maxNewTokens }, random };
}

async function streamOne(questions: readonly Question[], io: ChatIo): Promise<Answered[]> {
  const answered = await answerAll(questions, { piece: (_, __, text) => io.write(text), interrupted: io.interrupted });
  io.write('\n');
  return answered;
}

/** Columns on a terminal; a block a model elsewhere. */
async function streamBoth(questions: readonly Question[], sides: readonly Side[], io: ChatIo): Promise<Answered[]> {
  const names = sides.map(({ speaker }) => speaker.name);
  const columns = io.terminal ? openColumns(names, io.width(), io.write) : undefined;
  const answered = await answerAll(questions, {
    piece: (column, _, text) => columns?.push(column, text),
    interrupted: io.interrupted,
  });
  answered.forEach(({ answers }, i) => {
    columns?.end(i);
    if (columns === undefined) io.write(`[${names[i]}] ${answers[0]?.text ?? ''}\n`);
  });
  return answered;
}

function noteCosts(questions: readonly Question[], answered: readonly Answered[], io: ChatIo): void {
  answered.forEach((one, i) => {
    const { speaker, prompts, options } = questions[i] as Question;
    const used = (prompts[0]?.length ?? 0) + (one.answers[0]?.ids.length ?? 0);
    const context = `${used} of ${speaker.model.dimensions.context} tokens of context`;
    io.write(
      `(${questions.length === 1 ? '' : `${speaker.name}: `}${describeAnswer(one, options.maxNewTokens)}; ${context})\n`,
    );
  });
}
