/** Tokenizers of every kind that tokenizer.json knows: ids and texts of hard strings are those of Python's `tokenizers`. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixture } from '../helpers/fixtures.ts';

interface Kind {
  base: string;
  settings: object;
  parts: { added_tokens: { id: number; content: string }[] };
  /** Four hex digits of SHA-256 for each text. */
  ids: string;
  decoded: string;
  samples: Record<string, [number[], string]>;
}

interface Kinds {
  texts: string[];
  models: Record<string, object>;
  kinds: Record<string, Kind>;
}

const { texts, long } = fixture<{ texts: string[]; long: [string, number][] }>('tokenizers/texts.json');
const { texts: more, models, kinds } = fixture<Kinds>('tokenizers/kinds.json');
const all = [...texts, ...more, ...long.map(([piece, times]) => piece.repeat(times))];
const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 4);
const shown = (text: string): string => (text.length > 60 ? `${text.slice(0, 20)}… (${text.length})` : text);

function open({ base, settings, parts }: Kind): Tokenizer {
  const [pad, eos] = base === 'cased' || base === 'uncased' ? ['[PAD]', '[SEP]'] : ['<pad>', '</s>'];
  const files = {
    'tokenizer.json': JSON.stringify({ ...parts, model: { ...models[base], ...settings } }),
    'tokenizer_config.json': JSON.stringify({ pad_token: pad, eos_token: eos }),
  };
  return createTokenizer(files, 'kind');
}

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  const tokenizer = open(kind);
  const encoded = all.map((text) => tokenizer.encode(text));
  /** Texts whose hash is another, with what was found in its place. */
  const wrong = (found: readonly string[], hashes: string): [string, string][] => {
    return found.flatMap((value, i): [string, string][] => {
      return short(value) === hashes.slice(4 * i, 4 * i + 4) ? [] : [[shown(all[i] ?? ''), shown(value)]];
    });
  };

  it('gives Python’s ids', () => {
    for (const [text, [ids]] of Object.entries(kind.samples)) expect([...tokenizer.encode(text)]).toEqual(ids);
    expect(kind.ids).toHaveLength(4 * all.length);
    expect(
      wrong(
        encoded.map((ids) => ids.join(',')),
        kind.ids,
      ),
    ).toEqual([]);
  });

  it('gives Python’s texts', () => {
    for (const [ids, text] of Object.values(kind.samples)) expect(tokenizer.decode(ids)).toBe(text);
    expect(
      wrong(
        encoded.map((ids) => (ids.length === 0 ? '' : tokenizer.decode(ids))),
        kind.decoded,
      ),
    ).toEqual([]);
  });
});
