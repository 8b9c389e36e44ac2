/** What can be wrong with the patterns of a template file: all of it at once, each with line and column. */
import {
  hasStrayBrace,
  type Locate,
  patternProblems,
  patternsOf,
  placeholders,
  suggestion,
  useProblems,
} from './template-patterns.ts';
import type { RawTemplate, RawTemplateFile } from './template-schema.ts';

/** More would teach the inverse of a task: FLAN has at most 3 of 10 (google-research/FLAN, flan/templates.py). */
const mostInverted = 3;

/**
 * All problems of a file whose keys are right: columns that do not exist, unusable answer patterns, stray braces and
 * unknown placeholders, patterns that leave the input or the answer out, missing wordings, doubled ids and texts.
 */
export function templateProblems(file: RawTemplateFile, locate: Locate): string[] {
  return [
    ...columnProblems(file, locate),
    ...answerPatternProblems(file, locate),
    ...fewShotProblems(file, locate),
    ...file.templates.flatMap((template, i) => [
      ...shapeProblems(template, (key) => locate(['templates', i, ...key])),
      ...patternsOf(template, i).flatMap((pattern) => patternProblems(file, pattern, locate)),
      ...useProblems(file, template, locate(['templates', i])),
      ...choiceProblems(file, template, locate(['templates', i, 'choices'])),
    ]),
    ...setProblems(file, locate),
  ];
}

function columnProblems(file: RawTemplateFile, locate: Locate): string[] {
  const named: [string, string | undefined][] = [
    ['answer', file.answer.column],
    ['rationale', file.rationale?.column],
    ['options', file.options !== undefined && 'column' in file.options ? file.options.column : undefined],
  ];
  const problems = named.flatMap(([key, name]) => {
    if (name === undefined || file.columns.includes(name)) return [];
    const at = locate([key, 'column']);
    return [`${at} ${key}.column: unknown column "${name}". ${suggestion(name, file.columns)}`];
  });
  const doubled = file.columns.filter((name, i) => file.columns.indexOf(name) < i);
  const taken = file.columns.filter((name) => name === 'options_' || !/^\w+$/.test(name));
  const listed = file.options !== undefined && 'list' in file.options ? file.options.list : [];
  const twice = listed.filter((option, i) => listed.indexOf(option) < i);
  return [
    ...problems,
    ...doubled.map((name) => `${locate(['columns'])} columns: "${name}" stands twice. Remove one.`),
    ...taken.map(
      (name) =>
        `${locate(['columns'])} columns: "${name}" cannot be a placeholder; expected letters, digits and _ (options_ is taken). Rename it.`,
    ),
    ...twice.map((option) => `${locate(['options', 'list'])} options.list: "${option}" stands twice. Remove one.`),
  ];
}

function answerPatternProblems({ answer_pattern: pattern }: RawTemplateFile, locate: Locate): string[] {
  const at = `${locate(['answer_pattern'])} answer_pattern:`;
  try {
    // An empty alternative makes any pattern match, so that its groups can be counted.
    const groups = (new RegExp(`${pattern}|`).exec('')?.length ?? 1) - 1;
    return groups > 0 ? [] : [`${at} has no group; expected (…) around the answer. Add the parentheses.`];
  } catch (error) {
    return [`${at} not a regular expression (${String(error)}). Correct it.`];
  }
}

/** The text after the answer would have to be learned or left out; neither is what a pattern of examples is for. */
function fewShotProblems({ few_shot: { input, target } }: RawTemplateFile, locate: Locate): string[] {
  const at = (key: string): string => `${locate(['few_shot', key])} few_shot.${key}:`;
  const input1 = placeholders(input).join() === 'input' && !hasStrayBrace(input);
  const target1 = target.endsWith('{target}') && placeholders(target).length === 1 && !hasStrayBrace(target);
  return [
    ...(input1 ? [] : [`${at('input')} expected one {input} and no other braces, received "${input}". Correct it.`]),
    ...(target1
      ? []
      : [`${at('target')} expected text that ends in its one {target}, received "${target}". Correct it.`]),
  ];
}

function shapeProblems(template: RawTemplate, locate: (key: readonly string[]) => string): string[] {
  const { id, kind, split, input, target, turns } = template;
  const at = (key: readonly string[]): string => `${locate(key)} template "${id}":`;
  const problems: string[] = [];
  if (kind === 'dialogue') {
    if (turns === undefined) problems.push(`${at([])} a dialogue without turns; expected two or more. Add turns.`);
    if (input !== undefined || target !== undefined) {
      problems.push(`${at([])} a dialogue has turns in place of input and target. Move them into turns.`);
    }
  } else {
    if (turns !== undefined)
      problems.push(`${at(['turns'])} turns are for kind: dialogue. Change the kind or remove them.`);
    if (input === undefined) problems.push(`${at([])} input is missing; expected a pattern. Add it.`);
    if (target === undefined) problems.push(`${at([])} target is missing; expected a pattern. Add it.`);
  }
  if (kind === 'inverted' && split === 'unseen') {
    problems.push(`${at(['split'])} inverted templates are for training; expected split: train. Change split or kind.`);
  }
  return problems;
}

function choiceProblems(file: RawTemplateFile, { id, choices }: RawTemplate, where: string): string[] {
  if (choices === undefined) return [];
  const at = `${where} template "${id}", choices:`;
  if (file.options === undefined) return [`${at} the dataset has no options to word anew. Remove them.`];
  const words = Object.values(choices);
  const doubled = words.filter((word, i) => words.indexOf(word) < i);
  const listed = 'list' in file.options ? file.options.list : Object.keys(choices);
  return [
    ...listed
      .filter((option) => !Object.hasOwn(choices, option))
      .map((option) => `${at} no wording for "${option}". Add one.`),
    ...Object.keys(choices)
      .filter((option) => !listed.includes(option))
      .map((option) => `${at} unknown option "${option}". ${suggestion(option, listed)}`),
    ...doubled.map((word) => `${at} "${word}" stands for two options; expected one each. Change one.`),
    ...words
      .filter((word) => word.trim() !== word || word === '')
      .map((word) => `${at} "${word}" has space at its ends. Remove it.`),
  ];
}

function setProblems({ templates }: RawTemplateFile, locate: Locate): string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  const texts = new Map<string, string>();
  for (const [i, template] of templates.entries()) {
    if (ids.has(template.id)) {
      problems.push(
        `${locate(['templates', i, 'id'])} template id "${template.id}" stands twice. Give each its own id.`,
      );
    }
    ids.add(template.id);
    const inputs = patternsOf(template, i).filter(({ isInput }) => isInput);
    const text = JSON.stringify([inputs.map(({ pattern }) => pattern.trim()), template.choices]);
    const twin = texts.get(text);
    if (twin !== undefined && inputs.length > 0) {
      problems.push(
        `${locate(['templates', i])} template "${template.id}": the same input as "${twin}". Word it differently.`,
      );
    }
    texts.set(text, twin ?? template.id);
  }
  const inverted = templates.filter(({ kind }) => kind === 'inverted').length;
  const at = locate(['templates']);
  if (inverted > mostInverted) {
    problems.push(`${at} templates: ${inverted} are inverted; expected at most ${mostInverted}. Remove some.`);
  }
  if (!templates.some(({ split }) => split === 'train')) {
    problems.push(`${at} templates: none to train on; expected one with "split: train". Add one.`);
  }
  return problems;
}
