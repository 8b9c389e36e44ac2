/** The valley's conversations as prompts: each with the gold scorer of its row, and what is refused. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadValleyPrompts } from '../../../src/worlds/valley/prompts.ts';
import { problemsOf, useTemporaryFolder } from '../../helpers/temporary-folder.ts';
import { byteTokenizer } from '../../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const tokenizer = byteTokenizer();

const yaml = `dataset: chat
cluster: conversation
description: Questions.
columns: [prompt, response]
answer: {column: response}
prompt_only: [ppo]
metric: gold
templates:
  - {id: plain, split: train, input: "{prompt}", target: "{response}"}
`;
const row = (id: string) => ({
  ...{ id, split: 'ppo', prompt: `How is ${id}?`, question: `How is ${id}?`, subject: [id], response: '' },
  ...{ answer_key: [['well', 'ill']], answer_kind: 'health' },
});
const lexicon = { words: ['well', 'ill', 'how', 'are'], kinds: { health: ['well', 'ill', 'tired'] }, forms: [] };

function world(rows: object[] = [row('a')]) {
  mkdirSync(inFolder('seed'), { recursive: true });
  mkdirSync(inFolder('templates'), { recursive: true });
  writeFileSync(inFolder('templates', 'chat.yaml'), yaml);
  writeFileSync(inFolder('seed', 'chat.jsonl'), rows.map((each) => JSON.stringify(each)).join('\n'));
  writeFileSync(inFolder('seed', 'lexicon.json'), JSON.stringify(lexicon));
  return { tables: inFolder('seed'), templates: inFolder('templates'), split: 'ppo' };
}
const problems = (source: ReturnType<typeof world>): Promise<string[]> =>
  problemsOf(() => loadValleyPrompts(source, tokenizer, 99), inFolder());

describe('loadValleyPrompts', () => {
  it('gives each prompt the gold scorer of its row', () => {
    const other = { ...row('b'), answer_key: [['tired']] };
    const prompts = loadValleyPrompts(world([row('a'), other]), tokenizer, 99);
    expect(prompts.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['a', 'How is a?'],
      ['b', 'How is b?'],
    ]);
    expect(prompts.map(({ judge }) => judge.score('Well.').parts.answered)).toEqual([1, 0]);
    // The key, a rival beside it, and a sentence with a word that the lexicon does not have.
    const answers = ['Well how are.', 'Well or tired.', 'Ill how is that?'];
    const told = answers.map((answer) => prompts[0]!.judge.score(answer).parts);
    expect(told.map(({ answered }) => answered)).toEqual([1, 0, 1]);
    expect(told.map(({ sentences }) => sentences)).toEqual([1, 0, 0]);
  });

  it('refuses a folder without the words of the world, or without the templates', async () => {
    const source = world();
    rmSync(inFolder('seed', 'lexicon.json'));
    expect(await problems(source)).toEqual([
      'seed/lexicon.json: there is no such file; expected the words of the world. Run node --import tsx scripts/build-seed.ts.',
    ]);
    rmSync(inFolder('templates', 'chat.yaml'));
    expect(await problems(source)).toEqual([
      'templates/chat.yaml: there is no such template file, and seed/chat.jsonl holds no conversations (rows with messages); expected one of them. Name the folder that holds the templates, or import conversations with shape: messages.',
    ]);
    mkdirSync(inFolder('seed', 'lexicon.json'));
    writeFileSync(inFolder('templates', 'chat.yaml'), yaml);
    expect(() => loadValleyPrompts(source, tokenizer, 99)).toThrow(/EISDIR/);
  });

  it('refuses a row that gold cannot judge', async () => {
    const [problem] = await problems(world([{ ...row('a'), answer_kind: 'weather' }]));
    expect(problem).toBe('seed/chat.jsonl:1: answer_kind: expected one of health, received "weather". Mend the row.');
  });
});
