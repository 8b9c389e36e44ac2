/** The conversation dataset: prompts of four splits, demonstrations of mixed quality for the train split. */

import type { Random } from '../../src/random.ts';
import { seededRandom } from '../../src/random.ts';
import { factQuestions } from './chat-fact-questions.ts';
import { noteQuestions } from './chat-note-questions.ts';
import type { AnswerKind, Askable, Question } from './chat-questions.ts';
import type { Style } from './chat-responses.ts';
import { drawStyle, respond } from './chat-responses.ts';
import { goods, people } from './facts.ts';
import type { Known } from './knowledge-tasks.ts';

export const chatCounts = { train: 1600, reward: 2400, ppo: 500, test: 150 } as const;
export type ChatSplit = keyof typeof chatCounts;

/** One prompt; `response` and `style` are empty outside the train split. */
export interface ChatRow {
  readonly id: string;
  readonly split: ChatSplit;
  readonly kind: string;
  readonly prompt: string;
  readonly note: string;
  readonly question: string;
  readonly subject: readonly string[];
  readonly answer_key: readonly (readonly string[])[];
  readonly answer_kind: AnswerKind;
  readonly response: string;
  readonly style: Style | '';
}

const politeness = ['', '', '', 'Excuse me. ', 'Good day. ', 'Tell me, please. '];

function drawPrompt(random: Random, askable: Askable, index: number): { question: Question; prompt: string } {
  const fromNote = index % 2 === 0;
  const question = random.pick(fromNote ? noteQuestions : factQuestions)(random, askable);
  const polite = fromNote ? '' : random.pick(politeness);
  return { question, prompt: `${question.note} ${polite}${question.question}`.trim() };
}

/**
 * All rows, no prompt twice. The train split asks only about the people and goods that the closed-book tasks train on,
 * so that their held-out facts stay known from the corpus alone; the other splits ask about everybody.
 */
export function buildChat(seed: number, known: Known): ChatRow[] {
  const random = seededRandom(seed, 'chat');
  const seen = new Set<string>();
  const everybody: Askable = { people, goods };
  const trained: Askable = { people: known.people.train, goods: known.goods.train };
  const rows: ChatRow[] = [];
  for (const [split, count] of Object.entries(chatCounts) as [ChatSplit, number][]) {
    for (let index = 0; index < count; ) {
      const { question, prompt } = drawPrompt(random, split === 'train' ? trained : everybody, index);
      if (seen.has(prompt)) continue;
      seen.add(prompt);
      const style = split === 'train' ? drawStyle(random) : '';
      rows.push({
        id: `chat-${split}-${String(index).padStart(4, '0')}`,
        split,
        kind: question.kind,
        prompt,
        note: question.note,
        question: question.question,
        subject: question.subject,
        answer_key: question.answerKey,
        answer_kind: question.answerKind,
        response: style === '' ? '' : respond(random, question, style),
        style,
      });
      index++;
    }
  }
  return rows;
}
