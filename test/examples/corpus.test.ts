import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { cutDocument, documentIds, readCorpus } from '../../src/examples/corpus.ts';
import { sampleFolder } from '../tasks/sample-task.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const folder = sampleFolder();
afterAll(() => folder.remove());
const bytes = byteTokenizer();

describe('cutDocument', () => {
  it('is BOS, text and EOS, with loss on all but BOS', () => {
    const [piece, ...rest] = cutDocument(documentIds('ab', bytes), 8);
    expect([...piece!.ids]).toEqual([1, ...bytes.encode('ab'), 2]);
    expect([...piece!.learned]).toEqual([0, 1, 1, 1]);
    expect(rest).toEqual([]);
  });

  it('starts with EOS where the tokenizer has no BOS, as GPT-2 does', () => {
    expect(cutDocument(documentIds('a', { ...bytes, bosId: null }), 8)[0]!.ids[0]).toBe(2);
  });

  it('cuts long documents so that every token is predicted once', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), fc.integer({ min: 2, max: 9 }), (text, length) => {
        const pieces = cutDocument(documentIds(text, bytes), length);
        const predicted = pieces.flatMap(({ ids, learned }) => [...ids].filter((_, i) => learned[i] === 1));
        expect(predicted).toEqual([...bytes.encode(text), 2]);
        for (const { ids } of pieces) expect(ids.length).toBeLessThanOrEqual(length);
      }),
      { seed: 1 },
    );
  });
});

describe('readCorpus', () => {
  it('reads documents', () => {
    const path = folder.write('corpus.jsonl', '{"id": "1", "kind": "diary", "text": "It rained."}');
    expect(readCorpus(path)).toEqual([{ id: '1', kind: 'diary', text: 'It rained.' }]);
  });

  it('names lines without text', () => {
    const path = folder.write('bad.jsonl', '{"id": "1", "text": "It rained."}\n{"id": "2"}\n{"text": " "}');
    expect(folder.message(() => readCorpus(path))).toBe(
      'bad.jsonl:2: no "text"; expected a document. Mend or remove the line.\n' +
        'bad.jsonl:3: no "text"; expected a document. Mend or remove the line.',
    );
  });
});
