import { describe, expect, it } from 'vitest';
import { gpt2Style } from '../../src/model/dimensions.ts';
import { initialValues, initialValuesOf } from '../../src/model/initialize.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { seededRandom } from '../../src/random.ts';
import { layoutOf, parameterValues } from '../../src/tensor/parameters.ts';
import { specOf } from '../helpers/parameters.ts';

const dimensions = gpt2Style({ vocab: 200, context: 64, layers: 8, heads: 4, dModel: 128 });
const layout = layoutOf(parameterSpecs(dimensions, 'score'));
const values = initialValues(dimensions, 'score', seededRandom(1));

describe('initial values', () => {
  it.each([
    ['embedding.tokens', 0.02],
    ['embedding.positions', 0.02],
    ['blocks.0.attention.qkv.weight', 0.02],
    ['blocks.7.mlp.input.weight', 0.02],
    // 0.02 / √(2 · 8)
    ['blocks.0.attention.output.weight', 0.005],
    ['blocks.7.mlp.output.weight', 0.005],
    ['score.weight', 1 / Math.sqrt(129)],
  ])('%s has mean 0 and standard deviation %f', (name, deviation) => {
    const part = [...parameterValues(layout, values, name)];
    const mean = part.reduce((sum, x) => sum + x, 0) / part.length;
    const square = part.reduce((sum, x) => sum + x * x, 0) / part.length;
    // Four standard errors: σ/√n of the mean, σ²·√(2/n) of the variance.
    expect(Math.abs(mean)).toBeLessThan((4 * deviation) / Math.sqrt(part.length));
    expect(Math.abs(square / deviation ** 2 - 1)).toBeLessThan(4 * Math.sqrt(2 / part.length));
  });

  it('are 1 for gains and 0 for biases', () => {
    for (const { name } of layout.specs) {
      const part = new Set(parameterValues(layout, values, name));
      if (name.endsWith('.gain')) expect([...part], name).toEqual([1]);
      if (name.endsWith('.bias')) expect([...part], name).toEqual([0]);
    }
  });

  it('depend on the seed alone', () => {
    // As bytes: toEqual takes many seconds for a million numbers.
    const equals = (seed: number): boolean =>
      Buffer.from(initialValues(dimensions, 'score', seededRandom(seed)).buffer).equals(Buffer.from(values.buffer));
    expect([equals(1), equals(2)]).toEqual([true, false]);
  });

  it('take 1 / √(d_model + 1) as the deviation of a score head', () => {
    const head = { ...specOf('score.weight', [15, 1]), role: 'head.score', fanIn: 15 } as const;
    const ones = { ...seededRandom(1), normal: () => 1 };
    expect(initialValuesOf(head, dimensions, ones)).toEqual(new Float32Array(15).fill(0.25));
  });

  it('of adapters are even in ±1/√in, and 0 for b', () => {
    const a = { ...specOf('x.a', [16, 400]), role: 'adapter.a', fanIn: 16 } as const;
    const drawn = [...initialValuesOf(a, dimensions, seededRandom(1))];
    expect(Math.max(...drawn.map(Math.abs))).toBeLessThan(0.25);
    // The variance of the uniform distribution is bound² / 3; the relative standard error of its estimate √(4/5/n).
    const square = drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length;
    expect(Math.abs((square * 3) / 0.25 ** 2 - 1)).toBeLessThan(4 * Math.sqrt(0.8 / drawn.length));
    const b = { ...specOf('x.b', [2, 3]), role: 'adapter.b', fanIn: 2 } as const;
    expect([...initialValuesOf(b, dimensions, seededRandom(1))]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
