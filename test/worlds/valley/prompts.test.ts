import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodePrompt } from '../../../src/examples/instruction.ts';
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
  - {id: back, split: train, kind: inverted, input: "{response}", target: "{prompt}"}
  - {id: ask, split: train, input: "Ada asks: {prompt}", target: "{response}"}
  - {id: other, split: unseen, input: "Unseen: {prompt}", target: "{response}"}
`;
const row = (id: string, split = 'ppo') => ({
  ...{ id, split, prompt: `How is ${id}?`, response: '', answer_key: [['well', 'ill']], answer_kind: 'health' },
});
const lexicon = { words: ['well', 'ill', 'how', 'are'], kinds: { health: ['well', 'ill', 'tired'] } };

function world(rows: object[] = [row('a'), row('b'), row('c')]) {
  mkdirSync(inFolder('seed'), { recursive: true });
  mkdirSync(inFolder('templates'), { recursive: true });
  writeFileSync(inFolder('templates', 'chat.yaml'), yaml);
  writeFileSync(inFolder('seed', 'chat.jsonl'), rows.map((each) => JSON.stringify(each)).join('\n'));
  writeFileSync(inFolder('seed', 'lexicon.json'), JSON.stringify(lexicon));
  return { seed: inFolder('seed'), templates: inFolder('templates'), split: 'ppo' };
}
const problems = (source: ReturnType<typeof world>, limit = 99): Promise<string[]> =>
  problemsOf(() => loadValleyPrompts(source, tokenizer, limit), inFolder());

describe('loadValleyPrompts', () => {
  it('renders rows of the split with the trained templates in turn, and gives each the gold scorer of its row', () => {
    const prompts = loadValleyPrompts(
      world(
        [row('a'), row('x', 'train'), row('b'), row('c')].map((each) => {
          return each.split === 'train' ? { ...each, response: 'Well.' } : each;
        }),
      ),
      tokenizer,
      99,
    );
    expect(prompts.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['a', 'How is a?'],
      ['b', 'Ada asks: How is b?'],
      ['c', 'How is c?'],
    ]);
    expect(prompts[1]!.promptIds).toEqual(encodePrompt('Ada asks: How is b?', tokenizer));
    // The key, a rival beside it, and a sentence with a word that the lexicon does not have.
    const answers = ['Well how are.', 'Well or tired.', 'Ill how is that?'];
    const told = answers.map((answer) => prompts[0]!.judge.score(answer).parts);
    expect(told.map(({ answered }) => answered)).toEqual([1, 0, 1]);
    expect(told.map(({ sentences }) => sentences)).toEqual([1, 0, 0]);
  });

  it('names every prompt that is too long, and takes one of exactly the limit', async () => {
    // BOS, nine bytes, line break; with "Ada asks: " ten more.
    expect(await problems(world(), 10)).toEqual(
      [11, 21, 11].map(
        (length, i) =>
          `seed/chat.jsonl:${i + 1}: the prompt has ${length} tokens and the context leaves 10 beside the response. ` +
          'Lower sampling.maxNewTokens or use a model with a longer context.',
      ),
    );
    expect(await problems(world(), 21)).toEqual([]);
  });

  it('says no more than ten times that prompts are too long', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => row(`r${i}`));
    const told = await problems(world(rows), 1);
    expect(told).toHaveLength(11);
    expect(told.at(-1)).toBe('seed/chat.jsonl: 30 problems in all; expected none. Mend these first.');
  });

  it('refuses a split without rows', async () => {
    expect(await problems({ ...world(), split: 'test' })).toEqual([
      'seed/chat.jsonl: no rows of split "test"; expected prompts.',
    ]);
  });

  it('refuses a folder without the words of the world, or without the templates', async () => {
    const source = world();
    rmSync(inFolder('seed', 'lexicon.json'));
    expect(await problems(source)).toEqual([
      'seed/lexicon.json: there is no such file; expected the words of the world. Run node --import tsx scripts/build-seed.ts.',
    ]);
    rmSync(inFolder('templates', 'chat.yaml'));
    expect(await problems(source)).toEqual([
      'templates: no template files; expected <dataset>.yaml. Name the folder that holds them.',
    ]);
    mkdirSync(inFolder('seed', 'lexicon.json'));
    writeFileSync(inFolder('templates', 'chat.yaml'), yaml);
    expect(() => loadValleyPrompts(source, tokenizer, 99)).toThrow(/EISDIR/);
  });

  it('refuses templates that all turn the question round', async () => {
    const source = world();
    const inverted = yaml.replaceAll(/^.*(plain|ask), split: train.*\n/gm, '');
    writeFileSync(inFolder('templates', 'chat.yaml'), inverted);
    expect(await problems(source)).toEqual(['templates/chat.yaml: no template to train on.']);
  });

  it('refuses a row that gold cannot judge', async () => {
    const [problem] = await problems(world([{ ...row('a'), answer_kind: 'weather' }]));
    expect(problem).toBe('seed/chat.jsonl:1: answer_kind: expected one of health, received "weather". Mend the row.');
  });
});
