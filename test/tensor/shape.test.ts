import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { assertShape } from '../../src/tensor/shape.ts';

describe('assertShape', () => {
  it('accepts a shape that fits, with null for any size', () => {
    expect(assertShape([2, 7], { batch: 2, seq: null }, 'tokens')).toBeUndefined();
    expect(assertShape([], {}, 'loss')).toBeUndefined();
  });

  it.each([[[2, 7, 1]], [[3, 7]], [[2]]])('refuses %j and says what was expected', (shape) => {
    expect(() => assertShape(shape, { batch: 2, seq: null }, 'tokens')).toThrow(
      new ShapeError(`tokens: expected shape [batch=2, seq], received [${shape.join(', ')}].`),
    );
  });
});
