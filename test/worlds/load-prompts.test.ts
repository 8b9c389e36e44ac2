/** PPO's prompts out of one's own files: ids as the model reads them, what is held out, and what is refused. */
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadPolicyPrompts } from '../../src/worlds/load-prompts.ts';
import { PolicyPrompts } from '../../src/worlds/prompts-section.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();

/** Writes rows into a JSONL file and names it as a configuration does. */
function file(rows: readonly unknown[], keys: object = {}, name = 'my.jsonl'): PolicyPrompts {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return PolicyPrompts.parse({ file: path(name), ...keys });
}

interface Asked {
  heldOut?: PolicyPrompts;
  share?: number;
  most?: number;
  seed?: number;
  limit?: number;
  tokenizer?: Tokenizer;
}

async function load(prompts: PolicyPrompts, asked: Asked = {}) {
  const { heldOut, share = 0.25, most = 64, seed = 1, limit = 99, tokenizer = byteTokenizer() } = asked;
  const source = { prompts, heldOut, evaluation: { prompts: most, share }, run: { seed } };
  const loaded = await loadPolicyPrompts(source, tokenizer, limit);
  return {
    train: loaded.prompts.map(({ prompt }) => prompt),
    held: loaded.heldOut.map(({ prompt }) => prompt),
    ids: loaded.prompts.map(({ promptIds }) => [...promptIds]),
    judges: loaded.prompts.map(({ judge }) => judge),
    lines: loaded.lines.map((line) => line.replaceAll(`${path('')}/`, '')),
  };
}
const problems = (prompts: PolicyPrompts, asked: Asked = {}) => problemsOf(() => load(prompts, asked), path());
const rows = (count: number, split?: string) =>
  Array.from({ length: count }, (_, i) => ({ prompt: `${split ?? 'q'}${i}`, split }));

const talk = [
  { role: 'system', content: 's' },
  { role: 'user', content: 'a' },
  { role: 'assistant', content: 'b' },
  { role: 'user', content: 'c' },
];

describe('prompts of a file', () => {
  it('are asked in the plain format, and shown as one text; nothing judges their answers', async () => {
    const { eosId, bosId } = byteTokenizer();
    const bytes = (text: string): number[] => [...byteTokenizer().encode(text)];
    const { ids, train, judges } = await load(file([{ messages: talk }]), {
      heldOut: file([{ prompt: 'd' }], {}, 'other.jsonl'),
    });
    expect(ids).toEqual([[bosId, ...bytes('s\n\na\n'), ...bytes(' b'), eosId, ...bytes('c\n')]]);
    expect(train).toEqual(['s\n\na\n b\nc']);
    expect(judges).toEqual([null]);
  });

  it('are held out by seed: a share, one at least, no more than are measured, and none of them is trained on', async () => {
    const source = file(rows(8));
    const { train, held, lines } = await load(source);
    expect(held).toHaveLength(2);
    expect([...train, ...held].sort()).toEqual(rows(8).map(({ prompt }) => prompt));
    expect(lines).toEqual([
      'prompts  my.jsonl: taken for prompt texts (prompt); train 8 rows',
      'held out by run.seed: 2 of 8 prompts (evaluation.share)',
    ]);
    expect((await load(source)).held).toEqual(held);
    expect((await load(source, { seed: 2 })).held).not.toEqual(held);
    expect((await load(source, { share: 0.01 })).held).toHaveLength(1);
    expect((await load(source, { share: 0.9, most: 3 })).held).toHaveLength(3);
  });

  it('are measured with the validation rows of the file where it has some', async () => {
    const { train, held, lines } = await load(file([...rows(3, 'train'), ...rows(2, 'valid'), ...rows(2, 'test')]));
    expect([train, held]).toEqual([
      ['train0', 'train1', 'train2'],
      ['valid0', 'valid1'],
    ]);
    expect(lines).toContain('held out: 2 prompts of split validation');
  });

  it('are kept once where they stand there twice, and left out of training where they are held out', async () => {
    const source = file([{ prompt: 'a' }, { prompt: talk.slice(1, 2) }, { prompt: ' a ' }, { prompt: 'b' }]);
    const { train, held, lines } = await load(source, { heldOut: file([{ prompt: 'b' }], {}, 'other.jsonl') });
    expect([train, held]).toEqual([['a'], ['b']]);
    expect(lines).toContain('  the same prompt again, kept once  2 (my.jsonl:2, my.jsonl:3)');
    expect(lines).toContain('left out of training: 1 prompts that are held out');
  });

  it('that the model’s template cannot hold are counted and left out', async () => {
    const { files } = byteTokenizer();
    const chat_template =
      "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
      "{% for m in messages %}{{ m['content'] }}<|eos|>{% endfor %}";
    const config = { ...JSON.parse(files['tokenizer_config.json']), chat_template };
    const tokenizer = createTokenizer({ ...files, 'tokenizer_config.json': JSON.stringify(config) }, 'gemma');
    const more = [
      ...rows(18),
      { prompt: [...talk.slice(0, 1), { role: 'user', content: 'a' }] },
      { prompt: 'x<|eos|>' },
    ];
    const source = file(more);
    const { lines, train, held } = await load(source, { tokenizer });
    expect(train.length + held.length).toBe(18);
    expect(lines.join('\n')).toMatch(
      / {2}left out: 2 of 20 rows do not fit the model, first my.jsonl:19: .*; my.jsonl:20: /,
    );
    expect(await problems(file(more, { badRows: 0.05 }), { tokenizer })).toEqual([
      'my.jsonl: 2 of 20 rows do not fit the model; expected no more than prompts.badRows 0.05 allows.',
      expect.stringContaining(
        '  my.jsonl:19: chat_template: refuses a message of the system (line 1: System role not supported)',
      ),
      expect.stringContaining('  my.jsonl:20: message 1 (user) contains "<|eos|>"'),
    ]);
  });

  it('that leave no room for an answer are left out like others that cannot be used', async () => {
    const more = [{ prompt: 'abc' }, ...rows(9).map((_, i) => ({ prompt: `${i}` }))];
    const { lines, train, held } = await load(file(more), { limit: 4 });
    expect([train.length + held.length, lines[1]]).toEqual([
      9,
      '  left out: 1 of 10 rows do not fit the model, first my.jsonl:1: the prompt has 5 tokens; expected at most 4, so that an answer fits the context',
    ]);
    expect(await problems(file(more), { limit: 2 })).toEqual([
      'my.jsonl: 10 of 10 rows do not fit the model; expected one at least that does.',
      ...[5, 3, 3].map(
        (count, i) =>
          `  my.jsonl:${i + 1}: the prompt has ${count} tokens; expected at most 2, so that an answer fits the context`,
      ),
    ]);
  });

  it('are refused where they are of no such split, or too few', async () => {
    expect(await problems(file(rows(2, 'train'), { split: 'dev2' }))).toEqual([
      'my.jsonl: no rows of split "dev2"; expected prompts, found splits train.',
    ]);
    expect(await problems(file([{ prompt: 'a' }, { prompt: 'a' }]))).toEqual([
      'my.jsonl: 1 different prompts; expected some to train on and others to hold out. Add prompts.',
    ]);
  });
});
