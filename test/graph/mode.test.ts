import { afterAll, describe, expect, it } from 'vitest';
import { setCompilation, traceOptions } from '../../src/graph/mode.ts';
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

  it('is f32 unless it is set, and knows no other', () => {
    expect(Runtime.parse({}).precision).toBe('f32');
    expect(Runtime.safeParse({ precision: 'float32' }).success).toBe(false);
  });
});
