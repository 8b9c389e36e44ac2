/** Few-shot prompts: solved examples of the same task as text in front of a prompt, as many as fit. */
import { DataError } from '../errors.ts';
import { messagesText, userSays } from '../message.ts';
import type { JsonLine } from '../tables/jsonl.ts';
import { type Rendered, renderTemplate } from './template.ts';
import type { Template, TemplateFile } from './template-file.ts';

/**
 * Renders a row behind solved examples that have the same template; they are context and are not learned. The joining is
 * that of `fewshot_preprocessor` (google/seqio, seqio/experimental.py). Examples that do not fit are dropped from the end,
 * as in `prune_fewshot_examples_by_length` (google-research/FLAN, flan/v2/preprocessors.py); where none is left, the row
 * is rendered as without examples, whether that fits or not.
 *
 * "2 + 2?" -> "4" as the shot for "1 + 2?", few_shot: {input: "Q: {input}", target: "A: {target}", between: "\n"}
 *   ->  prompt "Q: 2 + 2?\nA: 4\n\nQ: 1 + 2?\nA:", target "3"
 *
 * @param shots rows to draw on, in order; the row itself must not be among them
 * @param fits whether a rendered row is short enough
 * @throws DataError as `renderTemplate`; for dialogues; for a shot that has no answer
 */
export function renderFewShot(
  file: TemplateFile,
  template: Template,
  row: JsonLine,
  shots: readonly JsonLine[],
  fits: (rendered: Rendered) => boolean,
): { rendered: Rendered; shots: number } {
  const plain = renderTemplate(file, template, row);
  if (shots.length === 0) return { rendered: plain, shots: 0 };
  if (template.kind === 'dialogue' || template.kind === 'conversation') {
    throw new DataError(
      `${template.where}: template "${template.id}" is a ${template.kind}; expected a kind of one turn for few-shot prompts. ` +
        `Leave ${template.kind} out of the kinds of this part.`,
    );
  }
  const { input, target, between, separator } = file.few_shot;
  const fill = (pattern: string, text: string): string => pattern.replace(/\{\w+\}/, () => text);
  const solved = shots.map((shot) => {
    const example = renderTemplate(file, template, shot);
    if (example.target !== null)
      return fill(input, messagesText(example.messages)) + between + fill(target, example.target);
    throw new DataError(`${shot.where}: a row without answer; expected solved rows for few-shot prompts. Draw others.`);
  });
  // What stands between a prompt and its answer also ends the last prompt, for the model to go on from. The line break
  // and space at its end are those that every target starts with anyway.
  const asked = (fill(input, messagesText(plain.messages)) + between + fill(target, '')).trimEnd();
  for (let count = solved.length; count > 0; count--) {
    const prompt = [...solved.slice(0, count), asked].join(separator).trimStart();
    const rendered = { ...plain, messages: userSays(prompt) };
    if (fits(rendered)) return { rendered, shots: count };
  }
  return { rendered: plain, shots: 0 };
}
