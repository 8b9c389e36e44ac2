/**
 * llama2.c vocabularies as Hugging Face tokenizers: the ids of run.c, by our port of it. The published vocabulary of 512
 * pieces needs tok512.bin and stories260K.upstream-doc.md in $PLUMBLINE_STORIES260K or ../shared/data/stories260k.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLlama2cTokenizer } from '../../src/checkpoint/llama2c-tokenizer.ts';
import type { ScoredPiece } from '../../src/tokenizer/llama2c-files.ts';
import { llama2cTokenizerFiles } from '../../src/tokenizer/llama2c-files.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture } from '../helpers/fixtures.ts';

const shared =
  process.env.PLUMBLINE_STORIES260K ?? fileURLToPath(new URL('../../../shared/data/stories260k', import.meta.url));
const missing = ['tok512.bin', 'stories260K.upstream-doc.md'].filter((name) => !existsSync(join(shared, name)));
if (missing.length > 0) {
  process.stderr.write(`llama2c-files skipped: no ${missing.join(', ')} in ${shared}. Set PLUMBLINE_STORIES260K.\n`);
}

/** A tokenizer file as llama2.c's tokenizer.py writes it. */
function llama2cFile(pieces: readonly ScoredPiece[]): Uint8Array {
  const parts = pieces.flatMap(({ text, score }) => {
    const bytes = Buffer.from(text);
    const head = Buffer.alloc(8);
    head.writeFloatLE(score, 0);
    head.writeInt32LE(bytes.length, 4);
    return [head, bytes];
  });
  return Uint8Array.from(Buffer.concat([Buffer.from([16, 0, 0, 0]), ...parts]));
}

function loaded(pieces: readonly ScoredPiece[]): Tokenizer {
  const folder = mkdtempSync(join(tmpdir(), 'llama2c-'));
  for (const [name, text] of Object.entries(llama2cTokenizerFiles(pieces, 64, 'tiny.bin'))) {
    writeFileSync(join(folder, name), text);
  }
  const tokenizer = loadTokenizer(folder);
  rmSync(folder, { recursive: true });
  return tokenizer;
}

const special = ['<unk>', '\n<s>\n', '\n</s>\n'].map((text) => ({ text, score: 0 }));
const bytes = Array.from({ length: 256 }, (_, byte) => {
  return { text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, score: 0 };
});
const learned = [
  ' t',
  'he',
  ' the',
  'er',
  ' a',
  'an',
  'in',
  ' th',
  'the',
  '  ',
  ' an',
  'ing',
  'éa',
  'aa',
  'aaa',
  'aaaa',
];
const tiny = [...special, ...bytes, ...[...learned, ...' aehintrgé.'].map((text, i) => ({ text, score: -i }))];

describe('a llama2.c vocabulary as a Hugging Face tokenizer', () => {
  it('gives the ids of run.c, and the texts back', () => {
    const oracle = readLlama2cTokenizer(llama2cFile(tiny), tiny.length, 'tiny.bin');
    const tokenizer = loaded(tiny);
    const unit = fc.constantFrom('a', 'the', 'he', 'in', 'g', ' ', '  ', 'é', '\n', '😀', 'Z', '.', 'er', 'an');
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (text) => {
        const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
        expect([...start, ...tokenizer.encode(text)]).toEqual(oracle.encode(text));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { seed: 1, numRuns: 500 },
    );
    expect(tokenizer).toMatchObject({ bosId: 1, eosId: 2, padId: tiny.length, addedPad: true, prependsSpace: true });
  });

  it('takes "▁" for a space, which run.c takes for its bytes', () => {
    const oracle = readLlama2cTokenizer(llama2cFile(tiny), tiny.length, 'tiny.bin');
    expect([...loaded(tiny).encode('a▁a')]).toEqual([...loaded(tiny).encode('a a')]);
    expect(oracle.encode('a▁a')).toHaveLength(6);
  });

  it('refuses pieces without bytes', () => {
    const some = [...special, ...bytes.slice(0, 9)];
    expect(() => llama2cTokenizerFiles(some, 64, 'tiny.bin')).toThrowErrorMatchingInlineSnapshot(
      `[DataError: tiny.bin: piece 12: expected the byte <0x09>, received "no piece". Use a vocabulary with byte fallback, as llama2.c writes them.]`,
    );
  });
});

describe.skipIf(missing.length > 0)('the published vocabulary of 512 pieces', () => {
  it('gives the ids of run.c for stories and hard strings', () => {
    const file = missing.length > 0 ? new Uint8Array() : readFileSync(join(shared, 'tok512.bin'));
    const oracle = readLlama2cTokenizer(file, 512, 'tok512.bin');
    const tokenizer = loaded(oracle.pieces);
    const story = readFileSync(join(shared, 'stories260K.upstream-doc.md'), 'utf8');
    const { texts } = fixture<{ texts: string[] }>('tokenizers/texts.json');
    for (const text of [story, ...story.split('\n'), ...texts].filter((one) => !one.includes('▁'))) {
      expect([1, ...tokenizer.encode(text)]).toEqual(oracle.encode(text));
    }
    expect(tokenizer.vocabSize).toBe(513);
  });
});
