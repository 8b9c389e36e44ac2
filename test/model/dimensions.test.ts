import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { ALL_BIASES, checkDimensions, gpt2Style, llamaStyle, NO_BIASES } from '../../src/model/dimensions.ts';

describe('styles', () => {
  const sizes = { vocab: 9, context: 8, layers: 1, heads: 2, dModel: 12 };

  it('fill in what is left open, and keep what is given', () => {
    expect(gpt2Style(sizes)).toMatchObject({ kvHeads: 2, headDim: 6, dFf: 48, tiedHead: true, biases: ALL_BIASES });
    expect(llamaStyle(sizes)).toMatchObject({ kvHeads: 2, headDim: 6, dFf: 32, tiedHead: true, biases: NO_BIASES });
    expect(llamaStyle({ ...sizes, kvHeads: 1, dFf: 7, tiedHead: false })).toMatchObject({
      kvHeads: 1,
      dFf: 7,
      tiedHead: false,
    });
  });

  it('keep a SwiGLU layer within a tenth of the parameters of the 4 · d_model GELU layer it replaces', () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 512 }), (half) => {
        const dModel = 2 * half;
        const { dFf } = llamaStyle({ ...sizes, heads: 1, dModel });
        expect(Math.abs(3 * dFf - 8 * dModel) / (8 * dModel)).toBeLessThan(0.1);
      }),
      { seed: 1 },
    );
  });
});

describe('checkDimensions', () => {
  const good = llamaStyle({ vocab: 9, context: 8, layers: 1, heads: 4, dModel: 16 });

  it('returns dimensions that fit', () => {
    expect(checkDimensions(good)).toBe(good);
  });

  it('names everything that does not fit, at once', () => {
    const bad = { ...good, vocab: 0, layers: 1.5, kvHeads: 3, headDim: 5 };
    expect(() => checkDimensions(bad)).toThrow(
      new ConfigError([
        'model.vocab: expected a positive integer, received 0.',
        'model.layers: expected a positive integer, received 1.5.',
        'model.kvHeads: 3 does not divide heads 4.',
        'model.headDim: rotary positions turn pairs, so it must be even; received 5 of 5.',
      ]),
    );
  });

  it('asks for even heads of rotary models only', () => {
    expect(gpt2Style({ vocab: 9, context: 8, layers: 1, heads: 3, dModel: 15 }).headDim).toBe(5);
    expect(() => llamaStyle({ vocab: 9, context: 8, layers: 1, heads: 3, dModel: 15 })).toThrow(ConfigError);
  });

  it('refuses a width that heads do not divide', () => {
    expect(() => gpt2Style({ vocab: 9, context: 8, layers: 1, heads: 3, dModel: 16 })).toThrow(
      /^model\.headDim: expected a positive integer, received 5\.33/,
    );
  });
});
