/** Lets one or two models answer, token by token in turns, and measures how fast each is. */

import { type StopReason, type StreamOptions, streamAnswers } from '../../src/decoding/stream-answers.ts';
import type { Random } from '../../src/random.ts';
import type { Speaker } from './speaker.ts';

/** What one model is asked. */
export interface Question {
  readonly speaker: Speaker;
  /** Token ids of each prompt; they are answered side by side. */
  readonly prompts: readonly Int32Array[];
  readonly options: StreamOptions;
  readonly random: Random;
}

/** One answer. */
export interface Answer {
  readonly text: string;
  readonly reason: StopReason | 'interrupted';
  readonly stop: string | undefined;
  readonly ids: readonly number[];
  /** Sum of the tokens' log-probabilities, in nats. */
  readonly logProb: number;
}

/** All answers of one model, with the seconds it took. */
export interface Answered {
  readonly answers: readonly Answer[];
  readonly seconds: number;
}

/** What to do while answers are being written. */
export interface Listener {
  /** New text of a model's row. */
  piece(question: number, row: number, text: string): void;
  /** A row is finished. */
  end?(question: number, row: number): void;
  /** True once the answers shall stop. */
  interrupted?(): boolean;
}

/** Asks all questions; models take turns, one token of every row each. */
export async function answerAll(questions: readonly Question[], listener: Listener): Promise<Answered[]> {
  const open = questions.map((question) => openQuestion(question));
  let running = open.map((_, index) => index);
  while (running.length > 0) {
    if (listener.interrupted?.() === true) break;
    const going: number[] = [];
    for (const index of running) if (await open[index]?.step(index, listener)) going.push(index);
    running = going;
  }
  return Promise.all(open.map(({ close }) => close()));
}

function openQuestion({ speaker, prompts, options, random }: Question) {
  const stream = streamAnswers(speaker.model, speaker.tokenizer, prompts, options, random);
  const texts = prompts.map(() => '');
  const answers: (Answer | undefined)[] = prompts.map(() => undefined);
  let seconds = 0;
  const next = async () => {
    const began = performance.now();
    const result = await stream.next();
    seconds += (performance.now() - began) / 1000;
    return result;
  };
  return {
    /** Draws one token; false once all rows are finished. */
    step: async (index: number, listener: Listener): Promise<boolean> => {
      const result = await next();
      if (result.done) return false;
      const { row, text, answer } = result.value;
      texts[row] += text;
      if (text !== '') listener.piece(index, row, text);
      if (answer !== undefined) {
        const { logProbs, ...rest } = answer;
        answers[row] = { ...rest, logProb: logProbs.reduce((sum, logProb) => sum + logProb, 0) };
        listener.end?.(index, row);
      }
      return true;
    },
    /** Frees what decoding holds; rows that were interrupted keep the text they have. */
    close: async (): Promise<Answered> => {
      await stream.return([]);
      const cut = { reason: 'interrupted', stop: undefined, ids: [], logProb: Number.NaN } as const;
      return { answers: answers.map((answer, row) => answer ?? { ...cut, text: texts[row] ?? '' }), seconds };
    },
  };
}

/** Why an answer ended and how fast it came: "12 tokens, 80 tokens/s; ended by itself". */
export function describeAnswer({ answers, seconds }: Answered, maxNewTokens: number): string {
  const tokens = answers.reduce((sum, { ids }) => sum + ids.length, 0);
  const speed = `${tokens} tokens in ${seconds.toFixed(2)} s, ${(tokens / Math.max(seconds, 1e-9)).toFixed(0)} tokens/s`;
  const reasons = answers.map(({ reason, stop }) => {
    if (reason === 'end') return 'ended by itself';
    if (reason === 'stop') return `stopped at ${JSON.stringify(stop)}`;
    return reason === 'length' ? `stopped at the limit of ${maxNewTokens} tokens` : 'interrupted';
  });
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const why = [...counts].map(([reason, count]) => (answers.length === 1 ? reason : `${count} ${reason}`));
  return `${speed}; ${why.join(', ')}`;
}
