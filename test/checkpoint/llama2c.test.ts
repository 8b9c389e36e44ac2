/** The llama2.c reader on files built by hand; the published model itself is run in test/parity/stories260k.test.ts. */
import { truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openLlama2c } from '../../src/checkpoint/llama2c.ts';
import { readLlama2cTokenizer } from '../../src/checkpoint/llama2c-tokenizer.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

/** A file whose float number i (after the header) is i. */
function counting(header: readonly number[], floats: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(28 + 4 * floats));
  header.forEach((value, i) => {
    bytes.setInt32(4 * i, value, true);
  });
  for (let i = 0; i < floats; i++) bytes.setFloat32(28 + 4 * i, i, true);
  return new Uint8Array(bytes.buffer);
}

// dim 4, hidden 3, 1 layer, 1 head of 4, 1 kv head, vocabulary 2, context 1.
const tiny = [4, 3, 1, 1, 1, 2, 1];
// embedding 8, norm 4, q k v o 16 each, norm 4, w1 w2 w3 12 each, norm 4, rotary tables 4.
const tinyFloats = 8 + 4 + 4 * 16 + 4 + 3 * 12 + 4 + 4;

describe('openLlama2c', () => {
  const inFolder = useTemporaryFolder();
  const open = (bytes: Uint8Array, name = 'tiny.bin') => {
    writeFileSync(inFolder(name), bytes);
    return openLlama2c(inFolder(name));
  };
  /** Values of a parameter of the tiny file. */
  const at = (name: string): number[] => {
    const file = open(counting(tiny, tinyFloats));
    const values = [...file.read(name)];
    file.close();
    return values;
  };

  it('reads the header as Llama-style dimensions with a tied head', () => {
    const { dimensions, close } = open(counting(tiny, tinyFloats));
    close();
    expect(dimensions).toMatchObject({ dModel: 4, dFf: 3, layers: 1, heads: 1, kvHeads: 1, vocab: 2, context: 1 });
    expect(dimensions).toMatchObject({ norm: 'rms', positions: 'rotary', activation: 'swiglu', tiedHead: true });
  });

  it('turns neighbouring rotary pairs into halves for queries and keys, and not for values', () => {
    // Column j of the first row of ours is element 0 of the file's row: queries start at 12, keys 28, values 44.
    expect(at('blocks.0.attention.qkv.weight').slice(0, 12)).toEqual([
      ...[12, 20, 16, 24],
      ...[28, 36, 32, 40],
      ...[44, 48, 52, 56],
    ]);
  });

  it('transposes linear weights and puts the gate before the up projection', () => {
    // w1 starts at 80, w2 at 92, w3 at 104; ours is [4, gate 3 + up 3].
    expect(at('blocks.0.mlp.input.weight').slice(0, 6)).toEqual([80, 84, 88, 104, 108, 112]);
    expect(at('blocks.0.mlp.output.weight').slice(0, 4)).toEqual([92, 95, 98, 101]);
    expect(at('blocks.0.attention.output.weight').slice(0, 4)).toEqual([60, 64, 68, 72]);
    expect(at('blocks.0.attention.norm.gain')).toEqual([8, 9, 10, 11]);
    expect(at('blocks.0.mlp.norm.gain')).toEqual([76, 77, 78, 79]);
    expect(at('final_norm.gain')).toEqual([116, 117, 118, 119]);
    expect(at('embedding.tokens')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(() => at('score.weight')).toThrow('llama2.c: a model has no parameter "score.weight".');
  });

  it('finds the tensors of every layer', () => {
    // Two layers: embedding 8, norms 8, queries 2 × 16, and so on; the second layer's queries start at 8 + 8 + 16.
    const perLayer = 4 + 4 * 16 + 4 + 3 * 12;
    const file = open(counting([4, 3, 2, 1, 1, 2, 1], 8 + 2 * perLayer + 4 + 4));
    expect([...file.read('blocks.1.attention.norm.gain')]).toEqual([12, 13, 14, 15]);
    expect([...file.read('blocks.1.attention.qkv.weight').slice(0, 4)]).toEqual([32, 40, 36, 44]);
    expect([...file.read('final_norm.gain')][0]).toBe(8 + 2 * perLayer);
    file.close();
  });

  it('reads a head of its own where the vocabulary is negative', () => {
    const untied = open(counting([4, 3, 1, 1, 1, -2, 1], tinyFloats + 8));
    expect([...untied.read('head.weight')].slice(0, 2)).toEqual([tinyFloats, tinyFloats + 4]);
    untied.close();
  });

  it('opens a file of more than 2 GiB, and reads of it what it is asked for', () => {
    // A table of a million rows of 800: 3.2 GB, of which nothing is on disk.
    const header = [800, 1, 1, 1, 1, 1_000_000, 1];
    const numbers = 800 * 1_000_000 + 800 + 4 * 800 * 800 + 800 + 3 * 800 + 800 + 800;
    writeFileSync(inFolder('large.bin'), counting(header, 0));
    truncateSync(inFolder('large.bin'), 28 + 4 * numbers);
    const file = openLlama2c(inFolder('large.bin'));
    const before = process.memoryUsage().arrayBuffers;
    expect(file.read('final_norm.gain')).toEqual(new Float32Array(800));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
    file.close();
  });

  it('says by how much a file is too short', () => {
    expect(() => open(counting(tiny, tinyFloats - 1), 'cut.bin')).toThrow(
      'cut.bin: expected 524 bytes from its header, received 520. Download the file again.',
    );
  });

  it('shows a header that cannot be one', () => {
    expect(() => open(Buffer.from('PK\x03\x04'), 'model.zip')).toThrow(
      'model.zip: expected a llama2.c header of 7 sizes (dim, hidden, layers, heads, kv heads, vocabulary, context), ' +
        'received 0, 0, 0, 0, 0, 0, 0. Is this a llama2.c .bin file of version 0?',
    );
  });
});

/** A tokenizer file of the given pieces. */
function tokenizerFile(pieces: readonly (readonly [text: string, score: number])[]): Uint8Array {
  const parts = pieces.map(([text, score]) => {
    const head = Buffer.alloc(8);
    head.writeFloatLE(score, 0);
    head.writeInt32LE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  });
  return Buffer.concat([Buffer.from([9, 0, 0, 0]), ...parts]);
}

const bytePieces = Array.from(
  { length: 256 },
  (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0] as const,
);
const pieces = [
  ['<unk>', 0],
  ['\n<s>\n', 0],
  ['\n</s>\n', 0],
  ...bytePieces,
  [' ', -5],
  ['a', -6],
  ['b', -7],
  ['ab', -2],
  ['aa', -1],
  [' a', -3],
] as const;
const [space, a, b, ab, aa, spaceA] = [259, 260, 261, 262, 263, 264];

describe('readLlama2cTokenizer', () => {
  const tokenizer = readLlama2cTokenizer(tokenizerFile(pieces), pieces.length, 'tok.bin');

  it('starts with BOS and a space, and merges the best score first', () => {
    expect(tokenizer.encode('ab')).toEqual([1, space, ab]); // "ab" (−2) goes before " a" (−3)
    expect(tokenizer.encode('aab')).toEqual([1, space, aa, b]); // "aa" (−1) goes before "ab"
    expect(tokenizer.encode('a')).toEqual([1, spaceA]);
    expect(tokenizer.encode('')).toEqual([1]);
  });

  it('spells characters outside the vocabulary as bytes', () => {
    expect(tokenizer.encode('é')).toEqual([1, space, 3 + 0xc3, 3 + 0xa9]);
  });

  it.each(['ab', 'a é b', '  aab', 'ｆｕｌｌ 😀'])('gives back "%s"', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text).slice(1))).toBe(text);
  });

  it('drops only the first space when it decodes', () => {
    expect(tokenizer.decode([spaceA, spaceA, a])).toBe('a aa');
  });

  it('refuses a file of another vocabulary', () => {
    expect(() => readLlama2cTokenizer(tokenizerFile(pieces), 300, 'tok.bin')).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: tok.bin: expected 300 pieces in 3685 bytes, received 265 in 3685. Use the tokenizer file that belongs to the model.]`,
    );
  });
});
