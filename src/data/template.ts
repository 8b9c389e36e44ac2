/** Rendering templates: a row's fields into a prompt, a target and the options to choose from. */
import { DataError } from '../errors.ts';
import type { JsonLine } from './jsonl.ts';
import type { Template, TemplateFile } from './template-file.ts';

/** A rendered row. */
export interface Rendered {
  /** The prompt, without white space at its ends. */
  input: string;
  /** The answer, without white space at its ends; null for rows that are prompts only. */
  target: string | null;
  /** The answers to rank; empty for free text and for inverted templates. */
  options: readonly string[];
}

/** FLAN's options block: "OPTIONS:\n- a\n- b" (google-research/FLAN, flan/preprocessors.py `format_options`). */
export function formatOptions(options: readonly string[]): string {
  return ['OPTIONS:', ...options.map((option) => `- ${option}`)].join('\n');
}

/** The possible answers of a row; empty for free text. */
export function rowOptions(file: TemplateFile, row: JsonLine): readonly string[] {
  if (file.options === undefined) return [];
  if ('list' in file.options) return file.options.list;
  const value = row.fields[file.options.column];
  if (Array.isArray(value) && value.length >= 2 && value.every((option) => typeof option === 'string')) return value;
  throw new DataError(
    `${row.where}: field "${file.options.column}": expected a list of two or more options, ` +
      `received ${JSON.stringify(value) ?? 'nothing'}. Mend the row.`,
  );
}

/**
 * Fills a template with a row.
 *
 * "What does {name} do?\n{options_}" with {name: "Ada"} and options baker, miller
 *   ->  "What does Ada do?\nOPTIONS:\n- baker\n- miller"
 *
 * @throws DataError naming template and row when a field is missing or is not text, when the prompt or target comes out
 *   empty, or when the target is not among the options
 */
export function renderTemplate(file: TemplateFile, template: Template, row: JsonLine): Rendered {
  const options = template.inverted ? [] : rowOptions(file, row);
  const render = (pattern: string, part: string): string => {
    const text = pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
      if (name === 'options_') return formatOptions(rowOptions(file, row));
      const value = row.fields[name];
      if (typeof value === 'string' || typeof value === 'number') return String(value);
      throw new DataError(
        `${row.where}: field "${name}", used by template "${template.id}" (${template.where}): ` +
          `expected text, received ${JSON.stringify(value) ?? 'nothing'}. Mend the row.`,
      );
    });
    if (text.trim() !== '') return text.trim();
    throw new DataError(
      `${template.where}: template "${template.id}": the ${part} comes out empty for the row at ${row.where}; ` +
        'expected text. Mend the row or the template.',
    );
  };
  const split = row.fields.split;
  const isPromptOnly = typeof split === 'string' && file.prompt_only.includes(split);
  const input = render(template.input, 'prompt');
  const target = isPromptOnly && !template.inverted ? null : render(template.target, 'target');
  if (target !== null && options.length > 0 && !options.includes(target)) {
    throw new DataError(
      `${row.where}: the target "${target}" of template "${template.id}" (${template.where}) is not among the options; ` +
        `expected one of ${options.join(', ')}. Mend the row.`,
    );
  }
  return { input, target, options };
}
