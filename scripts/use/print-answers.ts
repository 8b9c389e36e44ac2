/** Asks models, and prints their answers: as they come, side by side, below their conversations, or as JSON. */
import { openColumns } from '../../src/run/text-columns.ts';
import { type Answered, answerAll, describeAnswer, type Question } from './answer.ts';
import type { Asked } from './asked.ts';
import { messageLines, painter } from './show-messages.ts';

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

/** What of the command line says how answers are printed. */
interface PrintedValues {
  readonly json: boolean;
  readonly raw: boolean;
  readonly samples: number;
  readonly seed: number;
  readonly system: string;
}

/** Answers, and prints what fits the purpose: lines of JSON, conversations of a file, or the answers to one prompt. */
export async function answerAndPrint(
  questions: readonly Question[],
  asked: readonly Asked[],
  values: PrintedValues,
  output: Output,
): Promise<Answered[]> {
  if (values.json) return asJson(questions, asked, values, output);
  const isFile = asked.some(({ id }) => id !== null);
  const answer = isFile ? () => asConversations(questions, asked, output) : questions.length === 1 ? alone : sideBySide;
  const answered = await answer(questions, output);
  noteSpeed(questions, answered, output.note);
  return answered;
}

/** One checkpoint: text as it comes where there is one sample, blocks where there are several. */
async function alone(questions: readonly Question[], { write }: Output): Promise<Answered[]> {
  const count = questions[0]?.prompts.length ?? 0;
  const answered = await answerAll(questions, { piece: (_, __, text) => count === 1 && write(text) });
  if (count === 1) write('\n');
  else writeBlocks(answered, write);
  return answered;
}

function writeBlocks(answered: readonly Answered[], write: (text: string) => void): void {
  const [{ answers } = { answers: [] }] = answered;
  answers.forEach(({ text }, i) => {
    write(`${i === 0 ? '' : '\n'}── ${i + 1} of ${answers.length}\n${text}\n`);
  });
}

/** Two checkpoints: columns on a terminal, blocks elsewhere. */
async function sideBySide(questions: readonly Question[], output: Output): Promise<Answered[]> {
  const { write, terminal, width } = output;
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
  return answered;
}

/** Rows of a file in their order, each as soon as all its answers are there: the conversation, then the answers. */
async function asConversations(
  questions: readonly Question[],
  asked: readonly Asked[],
  { write, terminal }: Output,
): Promise<Answered[]> {
  const paint = painter(terminal);
  const samples = (questions[0]?.prompts.length ?? 0) / asked.length;
  const texts = questions.map(({ prompts }) => prompts.map(() => ''));
  const open = asked.map(() => questions.length * samples);
  let next = 0;
  const writeNext = (): void => {
    const { id, messages, prompt } = asked[next] as Asked;
    const answers = questions.flatMap(({ speaker }, question) =>
      Array.from({ length: samples }, (_, sample) => {
        const labels = [
          ...(questions.length > 1 ? [speaker.name] : []),
          ...(samples > 1 ? [`${sample + 1} of ${samples}`] : []),
        ];
        return { name: labels.join(', '), content: texts[question]?.[next * samples + sample] ?? '' };
      }),
    );
    const spoken = answers.map((answer) => ({ role: 'assistant', ...answer }) as const);
    const isRaw = questions[0]?.options.raw === true;
    const lines = isRaw
      ? answers.map(({ content }) => prompt + content)
      : messageLines([...messages, ...spoken], paint);
    write(`${next === 0 ? '' : '\n'}── ${id}\n${lines.join('\n')}\n`);
    next++;
  };
  return answerAll(questions, {
    piece: (question, row, text) => {
      const own = texts[question] as string[];
      own[row] += text;
    },
    end: (_, row) => {
      (open[Math.floor(row / samples)] as number)--;
      while (open[next] === 0) writeNext();
    },
  });
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
  asked: readonly Asked[],
  values: PrintedValues,
  { write }: Output,
): Promise<Answered[]> {
  const answered = await answerAll(questions, { piece: () => undefined });
  answered.forEach(({ answers, seconds }, i) => {
    const checkpoint = questions[i]?.speaker.name;
    answers.forEach(({ text, reason, stop, ids, logProb }, row) => {
      const { id, messages, tools, prompt } = asked[Math.floor(row / values.samples)] as Asked;
      const isFile = id !== null;
      const spoken = { messages: [...messages, { role: 'assistant', content: text }], tools };
      const line = {
        checkpoint,
        ...(isFile && { id }),
        sample: row % values.samples,
        seed: values.seed,
        ...(!isFile && values.system !== '' && { system: values.system }),
        prompt,
        ...(isFile && !values.raw && spoken),
        text,
        reason,
        ...(stop !== undefined && { stop }),
      };
      const cost = { tokens: ids.length, log_prob: logProb, seconds: Math.round(seconds * 1e4) / 1e4 };
      write(`${JSON.stringify({ ...line, ...cost })}\n`);
    });
  });
  return answered;
}
