/** Rows to learn from, out of files of any shape that is recognized: conversations or texts. */
import { DataError } from '../errors.ts';
import type { Conversation } from '../message.ts';
import { checkText, type TextLimits } from './check-text.ts';
import { conversationsOf } from './conversation-rows.ts';
import {
  describeShapes,
  type LearnedShape,
  named,
  optionalParts,
  partNames,
  type Recognized,
  recognize,
} from './recognize.ts';
import { type RecognizedRow, type RecognizedRows, type RowFiles, readRecognized } from './recognized-rows.ts';
import { RowProblem, show } from './source-row.ts';

/** What is read, and how. */
export interface TrainingFiles extends RowFiles {
  readonly shape: LearnedShape | 'auto';
}

/** One thing to learn: a conversation, or a text of which everything is learned. */
export type TrainingRow = RecognizedRow<Conversation | string>;

/** What the files hold. */
export interface TrainingRows extends Pick<RecognizedRows<Recognized, TrainingRow['content']>, 'inputs' | 'lines'> {
  readonly kind: 'conversation' | 'text';
  readonly rows: readonly TrainingRow[];
}

/**
 * Reads all rows. Those that cannot be used are left out and counted, up to a share of them.
 *
 * @throws DataError as `readRecognized`, and where some files hold texts and others conversations
 */
export async function readTrainingRows(asked: TrainingFiles): Promise<TrainingRows> {
  const { taken, ...read } = await readRecognized(asked, {
    section: 'data',
    recognize: (rows) => recognize(rows, asked.shape),
    known: describeShapes(asked.shape),
    named,
    fieldsOf: ({ shape, fields }) => [
      ...Object.values(fields),
      ...optionalParts[shape].flatMap((part) => partNames[part]),
    ],
    contentsOf,
    ownSplits: false,
    remedy: 'Mend the rows, or name another data.shape',
  });
  const kinds = new Map<TrainingRows['kind'], string>();
  for (const [path, { shape }] of taken) {
    const kind = shape === 'text' ? 'text' : 'conversation';
    if (!kinds.has(kind)) kinds.set(kind, path);
  }
  const [[kind, first] = ['conversation' as const, ''], other] = [...kinds];
  if (other === undefined) return { kind, ...read };
  throw new DataError(
    `${asked.path}: ${first} holds ${kind}s and ${other[1]} ${other[0]}s; expected one of them. Name the files apart under data.file.`,
  );
}

function contentsOf(
  values: Readonly<Record<string, unknown>>,
  recognized: Recognized,
  limits: TextLimits,
): readonly TrainingRow['content'][] {
  const { text } = recognized.fields;
  if (text === undefined) return conversationsOf(values, recognized, limits);
  if (values[text] !== undefined && values[text] !== null) return [checkText(text, values[text], limits)];
  throw new RowProblem('missing field', `"${text}": expected text, received ${show(values[text])}`);
}
