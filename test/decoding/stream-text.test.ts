/** Streamed text against the whole text read character by character. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTextStream } from '../../src/decoding/stream-text.ts';
import { decodeResponse, encodeTarget } from '../../src/examples/instruction.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { byteTokenizer, trainedTokenizer } from '../tokenizer/tiny-tokenizer.ts';

/** Pushes growing texts and returns the pieces, the last one from `finish`. */
function pieces(texts: readonly string[], stops: readonly string[], ending?: string) {
  const stream = openTextStream(stops, ending);
  const given = texts.map((text) => stream.push(text));
  return { given: [...given, stream.finish()], stop: stream.stop(), text: stream.text() };
}

/** Slow oracle: characters arrive one by one, and the first stop sequence that is complete ends the text. */
function cutAt(text: string, stops: readonly string[]): { text: string; stop: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const here = stops.filter((stop) => stop !== '' && text.slice(0, end).endsWith(stop));
    const longest = here.sort((a, b) => b.length - a.length)[0];
    if (longest !== undefined) return { text: text.slice(0, end - longest.length), stop: longest };
  }
  return { text, stop: undefined };
}

describe('openTextStream', () => {
  it('holds back what may become a stop sequence, and lets it go when it does not', () => {
    const { given, stop, text } = pieces(['a', 'a E', 'a EN', 'a ENd', 'a ENd END and more'], ['END']);
    expect(given).toEqual(['a', ' ', '', 'ENd', ' ', '']);
    expect({ stop, text }).toEqual({ stop: 'END', text: 'a ENd ' });
    expect(pieces(['x\n'], ['\n\n'])).toEqual({ given: ['x', '\n'], stop: undefined, text: 'x\n' });
  });

  it('holds back a beginning of what a template writes after an answer', () => {
    // The whole of it is taken away before it comes here.
    expect(pieces(['a', 'a\n', 'a', 'a'], [], '\n\n')).toEqual({
      given: ['a', '', '', '', ''],
      stop: undefined,
      text: 'a',
    });
    expect(pieces(['a', 'a\n', 'a\nb'], [], '\n\n').given).toEqual(['a', '', '\nb', '']);
    expect(pieces(['a', 'a\n'], [], '\n\n').given).toEqual(['a', '', '\n']);
  });

  it('gives out an answer whose template writes something before it', () => {
    const tokenizer = loadTokenizer(fixturePath('tokenizers/qwen3'));
    // What Qwen3's template writes for an answer without thoughts: <think>, two line breaks, </think>, two line breaks.
    const ids = encodeTarget('Hello there', tokenizer);
    const texts = Array.from(ids, (_, i) => decodeResponse(ids.subarray(0, i + 1), tokenizer));
    const { given, text } = pieces(texts, []);
    expect(text).toBe('Hello there');
    expect(given.join('')).toBe('Hello there');
    expect(given.filter((piece) => piece !== '').length).toBeGreaterThan(1);
    const thinking = tokenizer.encode('<think>\nOkay');
    const thoughts = Array.from(thinking, (_, i) => decodeResponse(thinking.subarray(0, i + 1), tokenizer));
    expect(pieces(thoughts, []).text).toBe('<think>\nOkay');
  });

  it('ends at the stop that is complete first', () => {
    expect(pieces(['abcd'], ['abcd', 'c'])).toMatchObject({ stop: 'c', text: 'ab' });
    expect(pieces(['abc'], ['bc', 'abc'])).toMatchObject({ stop: 'abc', text: '' });
  });

  it('never gives out half a character, and gives out bytes that stay broken at the end', () => {
    expect(pieces(['\uFFFD', '€', '€\uFFFD'], []).given).toEqual(['', '€', '', '\uFFFD']);
    expect(pieces(['\uFFFD', '\uFFFDa'], []).given).toEqual(['', '\uFFFDa', '']);
  });

  it('keeps what was given out where the decoder changes its mind', () => {
    expect(pieces(['ab', 'aX', 'aXc'], [])).toEqual({ given: ['ab', '', '', ''], stop: undefined, text: 'ab' });
  });

  const alphabet = fc.constantFrom('a', 'b', 'ab', '\n', 'é', '€', '😀', '😁', ' ');
  const text = fc.array(alphabet, { maxLength: 12 }).map((parts) => parts.join(''));
  const stops = fc.array(
    fc.array(alphabet, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')),
    { maxLength: 3 },
  );

  it.each([
    ['bytes', byteTokenizer()],
    ['merged tokens', trainedTokenizer(['ab abab a b é€ 😀😁 ab\nab\n\n'.repeat(20)], 290)],
  ])('equals the whole text cut at its first stop, token by token: %s', (_, tokenizer) => {
    fc.assert(
      fc.property(text, stops, (whole, ends) => {
        const ids = [...tokenizer.encode(whole)];
        const texts = ids.map((__, i) => tokenizer.decode(ids.slice(0, i + 1)));
        const { given, ...result } = pieces(texts, ends);
        expect(result).toEqual(cutAt(whole, ends));
        expect(given.join('')).toBe(result.text);
        // Each piece is whole characters: none ends or begins inside one.
        for (const piece of given) expect(piece).not.toMatch(/\p{Surrogate}/u);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('ends in the text of all bytes, valid UTF-8 or not', () => {
    const tokenizer = byteTokenizer();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 3, max: 258 }), { maxLength: 12 }), (ids) => {
        const texts = ids.map((_, i) => tokenizer.decode(ids.slice(0, i + 1)));
        expect(pieces(texts, []).given.join('')).toBe(tokenizer.decode(ids));
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
