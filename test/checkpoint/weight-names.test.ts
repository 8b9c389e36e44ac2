import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { parameterCount, parameterSpecs } from '../../src/model/parameter-table.ts';
import { layoutOf, parameterValues } from '../../src/tensor/parameters.ts';
import { fromHuggingFace, toHuggingFace } from '../helpers/tensors.ts';
import { tinyDimensions, tinyStyles } from '../model/tiny-model.ts';

/** Value i at place i, so that every value can be followed. */
const counting = (dimensions: ModelDimensions, head: 'tokens' | 'score'): Float32Array =>
  Float32Array.from({ length: parameterCount(dimensions, head) }, (_, i) => i);

describe('weights in Hugging Face’s names and layouts', () => {
  it.each(tinyStyles)('come back in place, none lost or read twice: %s', (style) => {
    for (const head of ['tokens', 'score'] as const) {
      const dimensions = tinyDimensions[style];
      const flat = counting(dimensions, head);
      const tensors = toHuggingFace(dimensions, head, flat);
      expect([...tensors.values()].reduce((sum, { values }) => sum + values.length, 0)).toBe(flat.length);
      for (const { shape, values } of tensors.values()) {
        expect(shape.reduce((product, size) => product * size, 1)).toBe(values.length);
      }
      expect(fromHuggingFace(dimensions, head, tensors, 'x')).toEqual(flat);
    }
  });

  it('come back for any sizes of Llama', () => {
    const size = fc.integer({ min: 1, max: 3 });
    fc.assert(
      fc.property(size, size, size, size, fc.boolean(), (layers, kvHeads, groups, half, tiedHead) => {
        const heads = kvHeads * groups;
        const dModel = heads * 2 * half;
        const dimensions = llamaStyle({ vocab: 5, context: 4, layers, heads, kvHeads, dModel, dFf: 3, tiedHead });
        const flat = counting(dimensions, 'tokens');
        expect(fromHuggingFace(dimensions, 'tokens', toHuggingFace(dimensions, 'tokens', flat), 'x')).toEqual(flat);
      }),
      { seed: 1, numRuns: 30 },
    );
  });

  it('of Llama are split into q, k, v and gate, up, each transposed', () => {
    const dimensions = llamaStyle({ vocab: 2, context: 4, layers: 1, heads: 2, kvHeads: 1, dModel: 4, dFf: 2 });
    const flat = counting(dimensions, 'tokens');
    const tensors = toHuggingFace(dimensions, 'tokens', flat);
    const start = (name: string): number =>
      parameterValues(layoutOf(parameterSpecs(dimensions, 'tokens')), flat, name)[0]!;
    // Ours is [4, 8]: queries in columns 0–3, keys 4–5, values 6–7.
    const qkv = start('blocks.0.attention.qkv.weight');
    const at = (name: string) => {
      const { shape, values } = tensors.get(`model.layers.0.${name}.weight`)!;
      return { shape, values: [...values] };
    };
    const column = (first: number, width: number, rows: number, c: number): number[] =>
      Array.from({ length: rows }, (_, row) => first + row * width + c);
    expect(at('self_attn.q_proj')).toEqual({
      shape: [4, 4],
      values: [0, 1, 2, 3].flatMap((c) => column(qkv, 8, 4, c)),
    });
    expect(at('self_attn.k_proj')).toEqual({ shape: [2, 4], values: [4, 5].flatMap((c) => column(qkv, 8, 4, c)) });
    expect(at('self_attn.v_proj')).toEqual({ shape: [2, 4], values: [6, 7].flatMap((c) => column(qkv, 8, 4, c)) });
    const input = start('blocks.0.mlp.input.weight');
    expect(at('mlp.gate_proj')).toEqual({ shape: [2, 4], values: [0, 1].flatMap((c) => column(input, 4, 4, c)) });
    expect(at('mlp.up_proj')).toEqual({ shape: [2, 4], values: [2, 3].flatMap((c) => column(input, 4, 4, c)) });
  });

  it('of GPT-2 may lack the prefix, as in OpenAI’s file', () => {
    const dimensions = tinyDimensions.gpt2;
    const flat = counting(dimensions, 'tokens');
    const plain = new Map(
      [...toHuggingFace(dimensions, 'tokens', flat)].map(([name, x]) => [name.replace('transformer.', ''), x]),
    );
    expect(plain.has('wte.weight')).toBe(true);
    expect(fromHuggingFace(dimensions, 'tokens', plain, 'x')).toEqual(flat);
  });

  it('are refused with every tensor that is missing or has another shape', () => {
    const dimensions = tinyDimensions.llama;
    const tensors = toHuggingFace(dimensions, 'tokens', counting(dimensions, 'tokens'));
    tensors.delete('model.norm.weight');
    tensors.set('model.embed_tokens.weight', { shape: [16, 32], values: new Float32Array(512) });
    expect(() => fromHuggingFace(dimensions, 'tokens', tensors, 'model.safetensors')).toThrow(
      new CheckpointError([
        'model.safetensors: tensor "model.embed_tokens.weight": expected shape [32, 16] by config.json, received [16, 32].',
        'model.safetensors: tensor "model.norm.weight" is missing.',
      ]),
    );
  });
});
