/** Answers as a table: every conversation with the answer behind it. */
import { writeTable } from '../../src/tables/arrow-file.ts';
import { float64, int32, utf8 } from '../../src/tables/columns.ts';
import { conversationColumns, messageRows } from '../../src/tables/message-column.ts';
import type { Answered, Question } from './answer.ts';
import type { Asked } from './asked.ts';

const idColumns = {
  id: utf8('File and row of the prompt; "prompt" for the one that was named.'),
  checkpoint: utf8('The model that answered.'),
  sample: int32('Number of the answer to this prompt, from 0 on.'),
};
const resultColumns = {
  response: utf8('The answer.'),
  reason: utf8('Why the answer ended: end (its end token), stop (a stop text) or length (the limit of tokens).'),
  length: int32('Tokens that were drawn, the end token included.'),
  log_prob: float64('Sum of the log-probabilities of these tokens at the temperature, in nats.'),
};
/** A column "prompt" beside the messages would be taken for the prompt where the table is asked again. */
const spokenColumns = {
  ...idColumns,
  messages: { ...conversationColumns.messages, description: 'The conversation with the answer at its end.' },
  tools: conversationColumns.tools,
  ...resultColumns,
};
const rawColumns = { ...idColumns, prompt: utf8('The text that the response goes on with.'), ...resultColumns };

/**
 * Writes all answers: behind their conversations, or with --raw behind their texts.
 * @param settings how they were drawn, which goes into the table's metadata
 */
export async function writeAnswers(
  path: string,
  asked: readonly Asked[],
  questions: readonly Question[],
  answered: readonly Answered[],
  settings: Readonly<Record<string, unknown>>,
): Promise<void> {
  const rows = answered.flatMap(({ answers }, i) =>
    answers.map((answer, row) => {
      const samples = answers.length / asked.length;
      const { id, messages, tools, prompt } = asked[Math.floor(row / samples)] as Asked;
      return {
        id: id ?? 'prompt',
        checkpoint: (questions[i] as Question).speaker.name,
        sample: row % samples,
        messages: messageRows([...messages, { role: 'assistant', content: answer.text }]),
        tools: tools === undefined ? null : JSON.stringify(tools),
        prompt,
        response: answer.text,
        reason: answer.reason,
        length: answer.ids.length,
        log_prob: answer.logProb,
      };
    }),
  );
  const about = { settings: JSON.stringify(settings) };
  if (questions[0]?.options.raw === true) await writeTable(path, rawColumns, rows, about);
  else await writeTable(path, spokenColumns, rows, about);
}
