/** The conversation dataset: prompts of five splits, demonstrations of mixed quality for the train split. */

import type { Random } from '../../../random.ts';
import { seededRandom } from '../../../random.ts';
import { factQuestions } from './chat-fact-questions.ts';
import { askOfNote } from './chat-note-questions.ts';
import type { AnswerKind, Askable, Question } from './chat-questions.ts';
import type { Style } from './chat-responses.ts';
import { drawStyle, respond } from './chat-responses.ts';
import type { ChatSplit } from './chat-split.ts';
import { askableIn, chatDraws, splitOfFact } from './chat-split.ts';
import type { Known } from './knowledge-tasks.ts';

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
  const ask = fromNote ? askOfNote : random.pick(factQuestions);
  const question = ask(random, askable);
  const polite = fromNote ? '' : random.pick(politeness);
  return { question, prompt: `${question.note} ${polite}${question.question}`.trim() };
}

/**
 * All rows: no prompt twice, no note and no question about a fact in two splits. Train,
 * reward and ppo never ask about the people and goods of the closed-book test rows, so that these stay known from the
 * corpus alone; train does not ask about those of the validation rows either.
 */
export function buildChat(seed: number, known: Known): ChatRow[] {
  const random = seededRandom(seed, 'chat');
  // Of its own: the prompts stay as they are when the demonstrations change.
  const responseRandom = seededRandom(seed, 'chat responses');
  const prompts = new Set<string>();
  const splitOfNote = new Map<string, ChatSplit>();
  const mayAsk = (question: Question, split: ChatSplit): boolean => {
    if (question.note === '') return splitOfFact(seed, known, question) === split;
    if ((splitOfNote.get(question.note) ?? split) !== split) return false;
    splitOfNote.set(question.note, split);
    return true;
  };
  const rows: ChatRow[] = [];
  for (const [split, count] of chatDraws) {
    const askable = askableIn(split, known);
    const first = rows.filter((row) => row.split === split).length;
    for (let index = first; index < first + count; ) {
      const { question, prompt } = drawPrompt(random, askable, index);
      if (prompts.has(prompt) || !mayAsk(question, split)) continue;
      prompts.add(prompt);
      const style = split === 'train' ? drawStyle(responseRandom) : '';
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
        response: style === '' ? '' : respond(responseRandom, question, style, askable),
        style,
      });
      index++;
    }
  }
  return rows;
}
