/** Validation beside the examples of another run: loss on the answers that they were learned from. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { exampleValidation } from '../../src/evaluation/example-validation.ts';
import { encodeTarget } from '../../src/examples/instruction.ts';
import { writeInstruct } from '../../src/examples/instruction-table.ts';
import type { LearnedAnswers } from '../../src/tasks/template.ts';
import { talk } from '../helpers/messages.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();
const tokenizer = byteTokenizer();

const example = {
  ...{ input_ids: Int32Array.of(1, 7, 2), loss_mask: Int32Array.of(0, 1, 1), part: 'all', task: 'chats' },
  ...{ cluster: 'chats', template_id: 'conversation', kind: 'conversation', shots: 0, row_id: 'a', split: 'train' },
  ...{ prompt: 'a', target: 'b', options: [], cut_tokens: 0 },
};

async function validation(learn?: LearnedAnswers) {
  mkdirSync(path('rows'));
  const rows = [
    { id: 'a', split: 'train', messages: talk('q', 'first', 'r', 'second') },
    { id: 'b', split: 'validation', messages: talk('q', 'one', 'r', 'three') },
  ];
  writeFileSync(path('rows/chats.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await writeInstruct(path('instruct.arrow'), [example], tokenizer, learn);
  const settings = {
    run: { seed: 1 },
    data: { examples: path('instruct.arrow'), tables: path('rows'), templates: path('none') },
    sequence: { length: 64 },
    training: { rows: 4 },
    evaluation: { share: 0.1, rowsPerTask: 4, best: 'loss' as const },
  };
  const { set, lines } = exampleValidation(settings, tokenizer, 64);
  const learned = set.batches.flatMap(({ ids, learned: flags }) => [...ids].filter((_, i) => flags[i] === 1));
  return { learned, lines };
}

const answer = (text: string): number[] => [...encodeTarget(text, tokenizer), tokenizer.eosId];
const unknown = 'does not say which answers were learned (data.learn): the loss of all is measured';

it.each([
  ['all', [...answer('one'), ...answer('three')]],
  ['last', answer('three')],
] as const)('measures the answers that were learned: %s', async (learn, expected) => {
  const { learned, lines } = await validation(learn);
  expect(learned).toEqual(expected);
  expect(lines.join('\n')).not.toContain(unknown);
});

it('measures all, and says so, where the examples do not say', async () => {
  const { learned, lines } = await validation();
  expect(learned).toEqual([...answer('one'), ...answer('three')]);
  expect(lines).toContain(`${path('instruct.arrow')} ${unknown}`);
});
