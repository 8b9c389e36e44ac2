import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { messagesText } from '../../src/message.ts';
import { renderFewShot } from '../../src/tasks/few-shot.ts';
import { type Rendered, renderTemplate } from '../../src/tasks/template.ts';
import { loadTemplateFile } from '../../src/tasks/template-file.ts';
import { talk } from '../helpers/messages.ts';
import { sampleFolder } from './sample-task.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());

const yaml = (fewShot = '') => `dataset: sums
cluster: arithmetic
description: Sums.
columns: [sum, result, why]
answer: {column: result}
rationale: {column: why}
prompt_only: [ppo]
metric: exact_match
${fewShot}templates:
  - {id: plain, split: train, input: "What is {sum}?", target: "{result}"}
  - {id: steps, split: train, kind: chain_of_thought, input: "{sum}, in steps:", target: "{why} The answer is {result}."}
  - id: talk
    split: train
    kind: dialogue
    turns: [{input: "{sum}", target: "Yes?"}, {input: "Well?", target: "{result}"}]
`;
const load = (fewShot?: string) => loadTemplateFile(folder.write('sums.yaml', yaml(fewShot)));
const line = (sum: string, result: string, why = 'So.', split = 'train') => ({
  where: `sums.jsonl:${sum}`,
  fields: { sum, result, why, split },
});
const asked = line('1 + 2', '3');
const shots = [line('2 + 2', '4'), line('3 + 5', '8', 'It is 8.'), line('4 + 5', '9')];
const any = () => true;
const promptOf = ({ messages }: Rendered): string => messagesText(messages);
const render = (file: ReturnType<typeof load>, template: number, count: number, fits: (r: Rendered) => boolean = any) =>
  renderFewShot(file, file.templates[template]!, asked, shots.slice(0, count), fits);

describe('renderFewShot', () => {
  it('puts solved examples before the prompt as a target follows its prompt: a line break and a space between', () => {
    expect(render(load(), 0, 2)).toEqual({
      rendered: {
        messages: talk('What is 2 + 2?\n 4\n\nWhat is 3 + 5?\n 8\n\nWhat is 1 + 2?'),
        target: '3',
        answer: '3',
        options: [],
      },
      shots: 2,
    });
  });

  it('wraps prompts and answers as the file says, and ends where the answer begins', () => {
    const wrapped = load(
      'few_shot: {input: "Q: {input}", target: "A: {target}", between: "\\n", separator: "\\n--\\n"}\n',
    );
    expect(promptOf(render(wrapped, 0, 1).rendered)).toBe('Q: What is 2 + 2?\nA: 4\n--\nQ: What is 1 + 2?\nA:');
  });

  it('joins examples as seqio does, which FLAN uses', () => {
    // google/seqio, seqio/experimental_test.py, test_fewshot_preprocessor, 2-shot; prefixes of FLAN, flan/few_shot.py
    const flan = load('few_shot: {input: "0 {input}", target: "1 {target}", between: " X ", separator: " X "}\n');
    const bare = { ...flan.templates[0]!, turns: [{ input: '{sum}', target: '{result}' }] };
    const drawn = [line('How many states in the US?', '50'), line('How many cents in a dollar?', '100')];
    const { rendered } = renderFewShot(flan, bare, line('Who was in the Beatles?', 'John'), drawn, any);
    expect(promptOf(rendered)).toBe(
      '0 How many states in the US? X 1 50 X 0 How many cents in a dollar? X 1 100 X 0 Who was in the Beatles? X 1',
    );
    expect(rendered.target).toBe('John');
  });

  it('shows the reasons of chains of thought', () => {
    const { rendered } = render(load(), 1, 2);
    expect(promptOf(rendered)).toBe(
      '2 + 2, in steps:\n So. The answer is 4.\n\n3 + 5, in steps:\n It is 8. The answer is 8.\n\n1 + 2, in steps:',
    );
    expect([rendered.target, rendered.answer]).toEqual(['So. The answer is 3.', '3']);
  });

  it('drops examples from the end until they fit, and renders plainly when none does', () => {
    const file = load('few_shot: {input: "Q: {input}"}\n');
    const upTo = (length: number) => render(file, 0, 3, (each) => promptOf(each).length <= length);
    const full = promptOf(render(file, 0, 3).rendered).length;
    expect(upTo(full).shots).toBe(3);
    expect(upTo(full - 1)).toMatchObject({
      rendered: { messages: talk('Q: What is 2 + 2?\n 4\n\nQ: What is 3 + 5?\n 8\n\nQ: What is 1 + 2?') },
      shots: 2,
    });
    expect(upTo(0)).toEqual({ rendered: renderTemplate(file, file.templates[0]!, asked), shots: 0 });
    expect(render(file, 0, 0)).toEqual({ rendered: renderTemplate(file, file.templates[0]!, asked), shots: 0 });
  });

  it('keeps as many as fit, in order, whatever the lengths', () => {
    const file = load();
    const words = fc.array(
      fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => `a${text}b`),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(words, fc.nat(200), (sums, limit) => {
        const drawn = sums.map((sum) => line(sum, '1'));
        const { rendered, shots: kept } = renderFewShot(
          file,
          file.templates[0]!,
          asked,
          drawn,
          (each) => promptOf(each).length <= limit,
        );
        const text = (count: number): string =>
          [...sums.slice(0, count).map((sum) => `What is ${sum}?\n 1`), 'What is 1 + 2?'].join('\n\n');
        expect(promptOf(rendered)).toBe(text(kept));
        if (kept > 0) expect(promptOf(rendered).length).toBeLessThanOrEqual(limit);
        if (kept < sums.length) expect(text(kept + 1).length).toBeGreaterThan(limit);
      }),
      { seed: 1 },
    );
  });

  it('does not read placeholders out of examples', () => {
    const file = load('few_shot: {input: "Q: {input}", target: "A: {target}", between: "\\n"}\n');
    const odd = line('{target} $&', '{input}');
    const { rendered } = renderFewShot(file, file.templates[0]!, asked, [odd], any);
    expect(promptOf(rendered)).toBe('Q: What is {target} $&?\nA: {input}\n\nQ: What is 1 + 2?\nA:');
  });

  it('refuses dialogues, and examples without an answer', () => {
    const file = load();
    expect(folder.message(() => render(file, 2, 1))).toBe(
      'sums.yaml:12:5: template "talk" is a dialogue; expected a kind of one turn for few-shot prompts. Leave dialogue out of the kinds of this part.',
    );
    const open = line('5 + 5', '10', '', 'ppo');
    expect(folder.message(() => renderFewShot(file, file.templates[0]!, asked, [open], any))).toBe(
      'sums.jsonl:5 + 5: a row without answer; expected solved rows for few-shot prompts. Draw others.',
    );
  });
});
