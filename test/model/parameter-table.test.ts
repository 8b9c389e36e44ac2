import { describe, expect, it } from 'vitest';
import { gpt2Style, llamaStyle } from '../../src/model/dimensions.ts';
import { parameterCount, parameterSpecs } from '../../src/model/parameter-table.ts';

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

  it('says what each does and how deep it lies: layer 1 of a model with biases, learned positions and head norms', () => {
    const base = gpt2Style({ vocab: 9, context: 8, layers: 2, heads: 2, dModel: 4, dFf: 6, tiedHead: false });
    const specs = parameterSpecs({ ...base, headNorm: true }, 'tokens');
    const told = specs
      .filter(({ layer }) => layer !== 0)
      .map(({ name, role, layer, shape, fanIn }) => [name, role, layer, shape, fanIn]);
    expect(told).toEqual([
      ['embedding.tokens', 'embedding.tokens', null, [9, 4], null],
      ['embedding.positions', 'embedding.positions', null, [8, 4], null],
      ['blocks.1.attention.norm.gain', 'gain', 1, [4], null],
      ['blocks.1.attention.norm.bias', 'bias', 1, [4], null],
      ['blocks.1.attention.qkv.weight', 'attention.qkv', 1, [4, 12], 4],
      ['blocks.1.attention.qkv.bias', 'bias', 1, [12], null],
      ['blocks.1.attention.query_norm.gain', 'gain', 1, [2], null],
      ['blocks.1.attention.key_norm.gain', 'gain', 1, [2], null],
      ['blocks.1.attention.output.weight', 'attention.output', 1, [4, 4], 4],
      ['blocks.1.attention.output.bias', 'bias', 1, [4], null],
      ['blocks.1.mlp.norm.gain', 'gain', 1, [4], null],
      ['blocks.1.mlp.norm.bias', 'bias', 1, [4], null],
      ['blocks.1.mlp.input.weight', 'mlp.input', 1, [4, 6], 4],
      ['blocks.1.mlp.input.bias', 'bias', 1, [6], null],
      ['blocks.1.mlp.output.weight', 'mlp.output', 1, [6, 4], 6],
      ['blocks.1.mlp.output.bias', 'bias', 1, [4], null],
      ['final_norm.gain', 'gain', null, [4], null],
      ['final_norm.bias', 'bias', null, [4], null],
      ['head.weight', 'head.tokens', null, [4, 9], 4],
    ]);
  });
});
