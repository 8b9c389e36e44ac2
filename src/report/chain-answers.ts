/** Answers of two models of a chain to the same held-out prompts, as its evaluation judged them. */
import { existsSync } from 'node:fs';
import { evaluationTables } from '../evaluation/evaluation-tables.ts';
import { isRight, RIGHT_COLUMN } from '../evaluation/judge.ts';
import { inspectTable, readTable } from '../tables/arrow-file.ts';
import { float32 } from '../tables/columns.ts';
import { markOf, oneLine, type PaintMark, showMark } from './show-answer.ts';

/** What is read of the judged answers. */
const { model, prompt, response, gold } = evaluationTables.answers.columns;
const answerColumns = { model, prompt, response, gold };
const rightColumn = { [RIGHT_COLUMN]: float32('1 where the answer is right.') };

/** One answer. */
interface Side {
  readonly response: string;
  readonly gold: number;
  /** Null where the judge does not tell. */
  readonly isRight: boolean | null;
}

/** A prompt with the answers of both models. */
export interface AnswerPair {
  readonly prompt: string;
  readonly before: Side;
  readonly after: Side;
}

/**
 * Every prompt that both models answered, in the order of the prompts; none where the evaluation had no prompts.
 * @throws DataError as `readTable`
 */
export function answerPairs(path: string, writtenBy: string, [first, second]: readonly [string, string]): AnswerPair[] {
  if (!existsSync(path)) return [];
  const isTold = inspectTable(path).columns.some(({ name }) => name === RIGHT_COLUMN);
  const { rows } = readTable(path, { ...answerColumns, ...(isTold && rightColumn) }, writtenBy);
  const answers = rows.map((row) => ({ ...row, isRight: isRight(row[RIGHT_COLUMN]) }));
  const after = new Map(answers.filter(({ model }) => model === second).map((row) => [row.prompt, row]));
  return answers.flatMap((before) => {
    const other = before.model === first ? after.get(before.prompt) : undefined;
    return other === undefined ? [] : [{ prompt: before.prompt, before, after: other }];
  });
}

/** The first prompts for the terminal, after a line that says how many there are and how many answers are right in all. */
export function answerLines(
  pairs: readonly AnswerPair[],
  [first, second]: readonly [string, string],
  count: number,
  paint: PaintMark,
): string[] {
  if (pairs.length === 0) return [];
  const shown = pairs.slice(0, count);
  const line = ({ response, gold, isRight }: Side): string =>
    `${showMark(isRight, paint)}${gold.toFixed(2)}  ${oneLine(response)}`;
  return [
    `Answers to the first ${shown.length} of ${pairs.length} held-out prompts, in their order and not chosen, with gold scores:`,
    ...rightLine(pairs, [first, second]),
    ...shown.flatMap(({ prompt, before, after }) => [
      `  ${oneLine(prompt)}`,
      `    before  ${line(before)}`,
      `    after   ${line(after)}`,
    ]),
  ];
}

/** "right of all 150: 53 before (instruct), 131 after (ppo)"; nothing where the judge does not tell. */
function rightLine(pairs: readonly AnswerPair[], [first, second]: readonly [string, string]): string[] {
  if (pairs.some(({ before, after }) => before.isRight === null || after.isRight === null)) return [];
  const right = (side: 'before' | 'after'): number => pairs.filter((pair) => pair[side].isRight).length;
  return [`right of all ${pairs.length}: ${right('before')} before (${first}), ${right('after')} after (${second})`];
}

/** The first prompts as rows for Markdown: prompt, and answer and gold with the mark of both models. */
export function answerRows(pairs: readonly AnswerPair[], count: number): string[][] {
  const cells = ({ response, gold, isRight }: Side): string[] => {
    return [response, [gold.toFixed(2), markOf(isRight)].join(' ').trimEnd()];
  };
  return pairs.slice(0, count).map(({ prompt, before, after }) => [prompt, ...cells(before), ...cells(after)]);
}
