import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { messagesText } from '../../src/message.ts';
import { formatOptions, readAnswer, renderTemplate, rowOptions } from '../../src/tasks/template.ts';
import { loadTemplateFile, type Template, type TemplateFile } from '../../src/tasks/template-file.ts';
import { talk } from '../helpers/messages.ts';
import { sampleFolder, templateYaml } from './sample-task.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());
const row = (fields: Record<string, unknown>) => ({ where: 'rows.jsonl:7', fields });
const ada = row({ split: 'train', name: 'Ada', trade: 'baker', options: ['baker', 'miller'] });

/** A file with other templates, and these by their order. */
function load(yaml: string): { file: TemplateFile; templates: Template[] } {
  const file = loadTemplateFile(folder.write('trade.yaml', yaml));
  return { file, templates: [...file.templates] };
}
const {
  file,
  templates: [plain, who, other],
} = load(templateYaml);

const apples = `dataset: apples
cluster: arithmetic
description: How many apples there are.
columns: [story, count, why]
answer: {column: count}
rationale: {column: why}
answer_pattern: 'Answer: (\\d+)'
prompt_only: [ppo]
metric: exact_match
templates:
  - {id: plain, split: train, input: "{story} How many?", target: "{count}"}
  - {id: steps, split: train, kind: chain_of_thought, input: "{story} Think.", target: "{why} Answer: {count}"}
  - id: talk
    split: train
    kind: dialogue
    turns:
      - {input: "A sum: {story}", target: "Go on."}
      - {input: "How many are there?", target: "{count}"}
`;
const sum = row({ split: 'train', story: 'Ada has 2 apples and buys 3.', count: 5, why: '2 + 3 = 5.' });

describe('renderTemplate', () => {
  it('fills in fields and options, and strips the ends', () => {
    expect(renderTemplate(file, plain!, ada)).toEqual({
      messages: talk("What is Ada's trade?\nOPTIONS:\n- baker\n- miller"),
      target: 'baker',
      answer: 'baker',
      options: ['baker', 'miller'],
    });
  });

  it('gives options to rank even where the prompt does not show them, but not for inverted templates', () => {
    expect(renderTemplate(file, other!, ada).options).toEqual(['baker', 'miller']);
    expect(renderTemplate(file, who!, ada)).toEqual({
      ...{ messages: talk('Name a baker.'), target: 'Ada', answer: 'Ada', options: [] },
    });
  });

  it("words options, answers and targets by the template's choices", () => {
    const worded = load(
      templateYaml.replace('id: plain\n', 'id: plain\n    choices: {miller: grinds corn, baker: bakes bread}\n'),
    );
    expect(renderTemplate(worded.file, worded.templates[0]!, ada)).toEqual({
      messages: talk("What is Ada's trade?\nOPTIONS:\n- bakes bread\n- grinds corn"),
      target: 'bakes bread',
      answer: 'bakes bread',
      options: ['bakes bread', 'grinds corn'],
    });
    expect(renderTemplate(worded.file, worded.templates[2]!, ada).options).toEqual(['baker', 'miller']);
  });

  it('renders a chain of thought with the reasons in the target and the answer bare', () => {
    const { file, templates } = load(apples);
    expect(renderTemplate(file, templates[1]!, sum)).toEqual({
      messages: talk('Ada has 2 apples and buys 3. Think.'),
      target: '2 + 3 = 5. Answer: 5',
      answer: '5',
      options: [],
    });
  });

  it('renders the earlier turns of a dialogue as messages', () => {
    const { file, templates } = load(apples);
    expect(renderTemplate(file, templates[2]!, sum)).toEqual({
      messages: talk('A sum: Ada has 2 apples and buys 3.', 'Go on.', 'How many are there?'),
      target: '5',
      answer: '5',
      options: [],
    });
  });

  it('gives neither target nor answer for splits that are prompts only', () => {
    const { file, templates } = load(apples);
    const asked = row({ split: 'ppo', story: 'Bo has 1 apple.' });
    for (const template of templates) {
      expect(renderTemplate(file, template, asked)).toMatchObject({ target: null, answer: null, options: [] });
    }
  });

  it('strips white space at both ends of a text only', () => {
    const { messages } = renderTemplate(file, other!, row({ ...ada.fields, name: ' \n Ada  B ' }));
    expect(messages).toEqual(talk('Ada  B  works as a'));
  });

  it('does not read placeholders out of fields', () => {
    const odd = row({ name: '{trade}', trade: 'baker', options: ['baker', 'miller'] });
    expect(renderTemplate(file, other!, odd).messages).toEqual(talk('{trade} works as a'));
  });

  it('loses no character of a field, whatever it holds', () => {
    const piece = fc.constantFrom(
      '{trade}',
      '{options_}',
      '{',
      '}',
      '$&',
      '$1',
      "$'",
      '\\',
      '\n',
      '\r\n',
      '🍎',
      'é',
      ' ',
    );
    const text = fc
      .array(fc.oneof(piece, fc.string({ unit: 'grapheme' })), { maxLength: 8 })
      .map((all) => all.join(''));
    const { file, templates } = load(apples.replace("'Answer: (\\d+)'", "'Answer: ([^]*)'"));
    const fields = fc.record({ story: text, why: text, count: text });
    fc.assert(
      fc.property(fields, ({ story, why, count }) => {
        // Only white space at the ends of a whole text may go, so the fields are held fast by a letter.
        const held = { story: `s${story}s`, why: `w${why}w`, count: `c${count}c` };
        const [one, two, three] = templates.map((template) => renderTemplate(file, template, row(held)));
        expect(one).toMatchObject({ messages: talk(`${held.story} How many?`), target: held.count });
        expect(two).toMatchObject({
          messages: talk(`${held.story} Think.`),
          target: `${held.why} Answer: ${held.count}`,
        });
        expect(three).toMatchObject({ messages: talk(`A sum: ${held.story}`, 'Go on.', 'How many are there?') });
      }),
      { seed: 1, examples: [[{ story: '$&', why: '{story}', count: '{count}' }]] },
    );
  });

  it('leaves no placeholder where the fields have none', () => {
    const value = fc.stringMatching(/^[a-z]{1,8}$/);
    fc.assert(
      fc.property(value, value, (name, trade) => {
        for (const template of file.templates) {
          const { messages, target } = renderTemplate(
            file,
            template,
            row({ name, trade, options: [trade, 'other one'] }),
          );
          expect(messagesText(messages) + target).not.toMatch(/[{}]/);
        }
      }),
      { seed: 1 },
    );
  });

  it('names row and template when something does not fit', () => {
    const message = (fields: Record<string, unknown>, template = plain) =>
      folder.message(() => renderTemplate(file, template!, row({ ...ada.fields, ...fields })));
    expect(message({ name: undefined })).toBe(
      'rows.jsonl:7: field "name", used by template "plain" (trade.yaml:9:5): expected text or a number, received nothing. Mend the row.',
    );
    expect(message({ name: ['Ada'] })).toContain('expected text or a number, received ["Ada"]');
    expect(message({ options: ['baker'] })).toBe(
      'rows.jsonl:7: field "options": expected a list of two or more different options, received ["baker"]. Mend the row.',
    );
    expect(message({ options: ['baker', 'baker'] })).toContain('different options, received ["baker","baker"]');
    expect(message({ trade: 'tailor' })).toBe(
      'rows.jsonl:7: the target "tailor" of template "plain" (trade.yaml:9:5) is not among the options; expected one of baker, miller. Mend the row.',
    );
    expect(message({ trade: ' ' })).toBe(
      'trade.yaml:9:5: template "plain": the target comes out empty for the row at rows.jsonl:7; expected text. Mend the row or the template.',
    );
    expect(message({}, { ...plain!, choices: { baker: 'bakes' } })).toBe(
      'rows.jsonl:7: template "plain" (trade.yaml:9:5) has no wording for "miller"; its choices are baker. Add one.',
    );
  });

  it('refuses a chain of thought whose answer the pattern does not find', () => {
    const { file, templates } = load(apples.replace('{why} Answer: {count}', '{why} So {count}.'));
    const wrong = row({ ...sum.fields, why: 'Answer: 6', count: 5 });
    expect(folder.message(() => renderTemplate(file, templates[1]!, wrong))).toContain(
      'finds "6" in the target of template "steps" (trade.yaml:12:5); expected "5".',
    );
    expect(folder.message(() => renderTemplate(file, templates[1]!, sum))).toBe(
      'rows.jsonl:7: answer_pattern of trade.yaml finds null in the target of template "steps" (trade.yaml:12:5); ' +
        'expected "5". Mend the pattern, the template or the row.',
    );
  });
});

describe('readAnswer', () => {
  const pattern = { answer_pattern: 'The answer is (.+?)\\.?$' };

  it('takes the last match, on whichever line it stands', () => {
    expect(readAnswer(pattern, '3 + 4 = 7. The answer is 7.')).toBe('7');
    expect(readAnswer(pattern, 'The answer is no.\nWait. The answer is yes.\nThat is all.')).toBe('yes');
  });

  it('is null where nothing matches', () => {
    expect(readAnswer(pattern, 'It may be 7.')).toBeNull();
  });
});

it('formats options as FLAN does', () => {
  // google-research/FLAN, flan/preprocessors.py, docstring of format_options
  expect(formatOptions(['a', 'b'])).toBe('OPTIONS:\n- a\n- b');
});

it('reads options that are numbers', () => {
  expect(rowOptions(file, row({ options: [3, 4.5, 'many'] }))).toEqual(['3', '4.5', 'many']);
});
