import { afterAll, describe, expect, it } from 'vitest';
import { allowsBfloat16, setCompilation, traceOptions } from '../../src/graph/mode.ts';
import { Runtime } from '../../src/run/sections.ts';

describe('runtime.precision', () => {
  afterAll(() => setCompilation({}));

  it.each([
    ['f32', 'f32'],
    ['tf32', 'f32'],
    ['bf16', 'bf16'],
  ] as const)('%s makes graphs in %s', (precision, traced) => {
    setCompilation(Runtime.parse({ precision }));
    expect(traceOptions()).toEqual({ precision: traced });
  });

  it('bf16 makes graphs in f32 where the processor has no bfloat16 products, and still allows rounded weights', () => {
    setCompilation({ precision: 'bf16', bfloat16Products: false });
    expect(traceOptions()).toEqual({ precision: 'f32' });
    expect(allowsBfloat16()).toBe(true);
    setCompilation({ precision: 'f32', bfloat16Products: true });
    expect(allowsBfloat16()).toBe(false);
  });

  it('is f32 unless it is set, and knows no other', () => {
    expect(Runtime.parse({}).precision).toBe('f32');
    expect(Runtime.safeParse({ precision: 'float32' }).success).toBe(false);
  });
});
