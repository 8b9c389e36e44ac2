/** Text that a vocabulary lacks: SentencePiece's unknown tokens are counted and said, and refused where they are many. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeExample } from '../../src/examples/instruction.ts';
import { describeStatistics, type InstructRow, writeInstruct } from '../../src/examples/instruction-table.ts';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { talk } from '../helpers/messages.ts';

const folder = mkdtempSync(join(tmpdir(), 'unknown-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** tokenizers.js#26: a Unigram tokenizer whose bytes are those of "€". */
const special = ['<unk>', '<s>', '</s>', '<pad>'];
const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
const pieces = { '▁hello': -2, '▁world': -3, '▁': -4, '<0xE2>': -9, '<0x82>': -9, '<0xAC>': -9 };
const tokenizer = createTokenizer(
  {
    'tokenizer.json': JSON.stringify({
      ...{ version: '1.0', truncation: null, padding: null, normalizer: null, post_processor: null },
      added_tokens: special.map((content, id) => ({ id, content, special: true })),
      ...{ pre_tokenizer: metaspace, decoder: metaspace },
      model: {
        ...{ type: 'Unigram', unk_id: 0, byte_fallback: true },
        vocab: [...special.map((token) => [token, 0]), ...Object.entries(pieces)],
      },
    }),
    'tokenizer_config.json': JSON.stringify({ bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>' }),
  },
  'unigram',
);

function row(prompt: string, target: string): InstructRow {
  const options = { maxLength: 4000, overlong: 'error', where: 'here' } as const;
  const encoded = encodeExample({ messages: talk(prompt, target) }, tokenizer, options);
  return {
    input_ids: encoded?.ids ?? new Int32Array(),
    loss_mask: encoded?.learned ?? new Int32Array(),
    ...{ part: 'p', task: 't', cluster: 'c', template_id: 'x', kind: 'direct', shots: 0, row_id: 'r7', split: 'train' },
    ...{ prompt, target, options: [], cut_tokens: 0 },
  };
}

describe('a Unigram tokenizer with three bytes', () => {
  // Ids and texts by Python's tokenizers 0.23.3.
  it.each([
    ['hello world', [4, 5], 'hello world'],
    ['hello €', [4, 6, 7, 8, 9], 'hello <0xE2><0x82><0xAC>'],
    ['hello world € x', [4, 5, 6, 7, 8, 9, 6, 0], 'hello world <0xE2><0x82><0xAC> '],
    ['€€x€', [6, 0], ''],
  ])('reads %j as Python does', (text, ids, back) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(back);
  });
});

describe('unknown tokens of a table', () => {
  it('are counted among the learned ones, and said', async () => {
    const rows = [...Array.from({ length: 9 }, () => row('xyz', 'hello world')), row('x', 'hello x')];
    const statistics = await writeInstruct(join(folder, 'few.arrow'), rows, tokenizer);
    expect(statistics).toMatchObject({ trainableTokens: 31, unknownTokens: 1 });
    expect(describeStatistics(statistics)).toContain(', 1 learned tokens UNKNOWN to the vocabulary');
  });

  it('are not mentioned where there are none', async () => {
    const statistics = await writeInstruct(join(folder, 'none.arrow'), [row('xyz', 'hello €')], tokenizer);
    expect(statistics).not.toHaveProperty('unknownTokens');
    expect(describeStatistics(statistics)).not.toContain('UNKNOWN');
  });

  it('stop a table of which they are more than a tenth', async () => {
    const rows = [row('a', 'hello world'), row('a', 'hello x y')];
    await expect(writeInstruct(join(folder, 'many.arrow'), rows, tokenizer)).rejects.toThrow(
      '2 of 9 learned tokens (22 %) are "<unk>", which stands for text that the vocabulary lacks; expected at most 10 %.',
    );
  });

  it('are no target', async () => {
    await expect(writeInstruct(join(folder, 'all.arrow'), [row('hello', 'xyz')], tokenizer)).rejects.toThrow(
      /row 0 \(t, r7\): the vocabulary lacks all of the target "xyz"/,
    );
  });
});
