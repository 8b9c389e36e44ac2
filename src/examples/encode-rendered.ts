/** Rendered rows of any kind as token sequences. */
import type { TokenSequence } from '../batch/token-batch.ts';
import { answered, type LearnedAnswers, type Rendered } from '../tasks/template.ts';
import type { TemplateKind } from '../tasks/template-schema.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { cutDocument, documentIds } from './corpus.ts';
import { type EncodeOptions, encodeExample, type FittedExample } from './instruction.ts';

/**
 * A conversation with its answer as one sequence, or none where it is too long and is left out; a text as the pieces that
 * pre-training would cut it into, with loss on all of it.
 *
 * @param whole the sequence of any length, where it is known
 * @throws DataError as `encodeExample`
 */
export function encodeRendered(
  rendered: Rendered,
  kind: TemplateKind,
  tokenizer: Tokenizer,
  options: EncodeOptions & { readonly learn: LearnedAnswers },
  whole?: TokenSequence,
): FittedExample[] {
  if (kind === 'text') {
    const ids = whole?.ids ?? documentIds(rendered.target ?? '', tokenizer);
    const pieces = cutDocument(ids, options.maxLength);
    return pieces.map((piece) => ({ ...piece, cutTokens: 0, endsInEos: true }));
  }
  if (whole !== undefined && whole.ids.length <= options.maxLength)
    return [{ ...whole, cutTokens: 0, endsInEos: true }];
  const fitted = encodeExample(answered(rendered, options.learn), tokenizer, options);
  return fitted === null ? [] : [fitted];
}
