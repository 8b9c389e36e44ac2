import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import {
  ALL_BIASES,
  checkDimensions,
  gpt2Style,
  llamaStyle,
  NO_BIASES,
  parameterCount,
  parameterSpecs,
} from '../../src/model/dimensions.ts';

describe('parameterCount', () => {
  it('gives GPT-2’s published 124,439,808 parameters', () => {
    const gpt2 = gpt2Style({ vocab: 50_257, context: 1024, layers: 12, heads: 12, dModel: 768 });
    expect(parameterCount(gpt2, 'tokens')).toBe(124_439_808);
  });

  it('gives Llama 2 7B’s published 6,738,415,616 parameters', () => {
    const sizes = { vocab: 32_000, context: 4096, layers: 32, heads: 32, dModel: 4096, dFf: 11_008, tiedHead: false };
    expect(parameterCount(llamaStyle(sizes), 'tokens')).toBe(6_738_415_616);
  });

  it('counts one score weight a dimension in place of the token head', () => {
    const sizes = { vocab: 32, context: 8, layers: 1, heads: 2, dModel: 16 };
    const [tied, untied] = [llamaStyle(sizes), llamaStyle({ ...sizes, tiedHead: false })];
    expect(parameterCount(tied, 'score')).toBe(parameterCount(tied, 'tokens') + 16);
    expect(parameterCount(untied, 'score')).toBe(parameterCount(untied, 'tokens') - 32 * 16 + 16);
  });
});

describe('parameterSpecs', () => {
  it('lists every parameter of a Llama layer with grouped heads, linear weights as [in, out]', () => {
    const dimensions = llamaStyle({ vocab: 10, context: 8, layers: 1, heads: 4, kvHeads: 2, dModel: 8, dFf: 6 });
    expect(Object.fromEntries(parameterSpecs(dimensions, 'score').map(({ name, shape }) => [name, shape]))).toEqual({
      'embedding.tokens': [10, 8],
      'blocks.0.attention.norm.gain': [8],
      'blocks.0.attention.qkv.weight': [8, 16],
      'blocks.0.attention.output.weight': [8, 8],
      'blocks.0.mlp.norm.gain': [8],
      'blocks.0.mlp.input.weight': [8, 12],
      'blocks.0.mlp.output.weight': [6, 8],
      'final_norm.gain': [8],
      'score.weight': [8, 1],
    });
  });

  it('gives no name twice', () => {
    for (const style of [gpt2Style, llamaStyle]) {
      const specs = parameterSpecs(style({ vocab: 9, context: 8, layers: 3, heads: 2, dModel: 8 }), 'tokens');
      expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
    }
  });
});

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
