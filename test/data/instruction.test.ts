import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeTable } from '../../src/data/arrow-file.ts';
import {
  encodeExample,
  encodePrompt,
  type InstructRow,
  readInstruct,
  writeInstruct,
} from '../../src/data/instruction.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { byteTokenizer, trainedTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'instruct-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = byteTokenizer();
const id = (character: string): number => bytes.encode(character)[0]!;
const options = { maxLength: 64, overlong: 'error' as const, where: 'rows.jsonl:3' };

describe('encodeExample', () => {
  it('puts BOS, prompt and line break before target and EOS, and learns the latter', () => {
    const example = encodeExample({ prompt: 'a', target: 'b' }, bytes, options);
    expect([...example!.inputIds]).toEqual([1, id('a'), id('\n'), id(' '), id('b'), 2]);
    expect([...example!.lossMask]).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it('learns exactly target and EOS, whatever the texts', () => {
    const merged = trainedTokenizer(['one\ntwo', 'one\n\ntwo', 'a\n a\n a'], 280);
    const text = fc.string({ unit: fc.constantFrom('a', ' ', '\n', 'one', 'é', '😀'), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (prompt, target) => {
        fc.pre(target !== '');
        const { inputIds, lossMask } = encodeExample({ prompt, target }, merged, { ...options, maxLength: 999 })!;
        const learned = inputIds.filter((_, i) => lossMask[i] === 1);
        const given = inputIds.filter((_, i) => lossMask[i] === 0);
        expect(learned.at(-1)).toBe(merged.eosId);
        expect(merged.decode(learned)).toBe(` ${target}`);
        expect(given).toEqual(encodePrompt(prompt, merged));
        expect(merged.decode(given)).toBe(`${prompt}\n`);
      }),
      { seed: 1 },
    );
  });

  it('has the same ids at the boundary as generation sees, even where a token could span it', () => {
    const merged = trainedTokenizer(['x\n\n\ny', 'x\n\n\ny'], 270); // "\n\n" is one token here
    expect(merged.encode('x\n\n\ny').length).toBeLessThan(merged.encode('x\n').length + merged.encode('\n\ny').length);
    const { inputIds } = encodeExample({ prompt: 'x', target: '\n\ny' }, merged, options)!;
    const promptIds = encodePrompt('x', merged);
    expect([...inputIds.subarray(0, promptIds.length)]).toEqual([...promptIds]);
  });

  it('needs no BOS', () => {
    const { inputIds } = encodeExample({ prompt: 'a', target: 'b' }, { ...bytes, bosId: null }, options)!;
    expect([...inputIds]).toEqual([id('a'), id('\n'), id(' '), id('b'), 2]);
  });

  it('drops, cuts the beginning of the prompt, or refuses what is too long', () => {
    const long = { prompt: 'abcdef', target: 'yz' }; // 1 + 7 + 3 + 1 = 12 tokens: the target starts with a space
    expect(encodeExample(long, bytes, { ...options, maxLength: 12 })!.inputIds.length).toBe(12);
    expect(encodeExample(long, bytes, { ...options, maxLength: 11, overlong: 'drop' })).toBeNull();
    const cut = encodeExample(long, bytes, { ...options, maxLength: 8, overlong: 'truncate_left' })!;
    expect([...cut.inputIds]).toEqual([1, ...bytes.encode('ef\n yz'), 2]);
    expect([...cut.lossMask]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(() => encodeExample(long, bytes, { ...options, maxLength: 11 })).toThrowErrorMatchingInlineSnapshot(
      `[DataError: rows.jsonl:3: the example is too long; expected at most 11 tokens, received 8 of prompt and 4 of target and EOS. Raise the sequence length, shorten the row, or choose overlong: drop.]`,
    );
    const tight = { ...options, maxLength: 4, overlong: 'truncate_left' as const };
    expect(() => encodeExample(long, bytes, tight)).toThrow('the example is too long; expected at most 4 tokens');
    expect(encodeExample(long, bytes, { ...tight, maxLength: 5 })!.inputIds.at(-1)).toBe(2);
  });

  it('refuses an empty target', () => {
    expect(() => encodeExample({ prompt: 'a', target: '' }, bytes, options)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: rows.jsonl:3: the target is empty, so nothing would be learned; expected text. Mend or remove the row.]`,
    );
  });
});

describe('readInstruct', () => {
  const row = (inputIds: number[], lossMask: number[]): InstructRow => ({
    input_ids: Int32Array.from(inputIds),
    loss_mask: Int32Array.from(lossMask),
    task: 'trade',
    cluster: 'qa',
    template_id: 'plain',
    split: 'train',
    prompt: 'a',
    target: 'b',
    options: ['b', 'c'],
  });
  const message = (path: string): string => {
    try {
      readInstruct(path, bytes);
    } catch (error) {
      return String(error).replaceAll(`${folder}/`, '');
    }
    return 'no error';
  };

  it('gives back what was written', async () => {
    const path = join(folder, 'good.arrow');
    const rows = [row([1, 5, 6, 2], [0, 0, 1, 1]), row([1, 7, 2], [0, 1, 1])];
    await writeInstruct(path, rows, bytes);
    expect(readInstruct(path, bytes)).toEqual(rows);
  });

  it('refuses rows that would teach nothing or crash later, naming each', async () => {
    const path = join(folder, 'bad.arrow');
    await writeInstruct(path, [row([1, 5, 2], [0, 0, 0]), row([1, 5, 2], [0, 1]), row([1, 999, 2], [0, 1, 1])], bytes);
    expect(message(path)).toMatchInlineSnapshot(`
      "DataError: bad.arrow: row 0: loss_mask is 0 everywhere, so nothing would be learned; expected a 1. Remove the row.
      bad.arrow: row 1: loss_mask: expected 3 entries as input_ids, received 2. Run npx tsx stages/1-instruct.ts.
      bad.arrow: row 2: input_ids: expected ids below 259, received 999. Run npx tsx stages/1-instruct.ts."
    `);
  });

  it('refuses a file made with another tokenizer', async () => {
    const path = join(folder, 'other.arrow');
    await writeInstruct(path, [row([1, 5, 2], [0, 1, 1])], { ...bytes, hash: 'sha256:other' });
    expect(message(path)).toContain(
      `other.arrow: made with another tokenizer; expected ${bytes.hash}, received sha256:other. Run`,
    );
    await atomicWrite(path, encodeTable(path, {}, []));
    expect(message(path)).toContain('column "input_ids" is missing');
  });
});
