import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCursor } from '../../src/examples/cursor.ts';

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });

describe('createCursor', () => {
  it('hands out every item once a pass, in another order each pass', () => {
    const cursor = createCursor(50, 1);
    const first = cursor.next(50);
    const second = cursor.next(50);
    const sorted = (list: number[]) => [...list].sort((a, b) => a - b);
    expect(sorted(first)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(sorted(second)).toEqual(sorted(first));
    expect(second).not.toEqual(first);
  });

  it('gives the same order whatever the batch sizes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), sizes, (count, batches) => {
        const cursor = createCursor(count, 7);
        const inParts = batches.flatMap((size) => cursor.next(size));
        expect(inParts).toEqual(createCursor(count, 7).next(inParts.length));
      }),
      { seed: 1 },
    );
  });

  it('continues from its saved state, through JSON, as if it had not been stopped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), sizes, fc.integer(), (count, batches, seed) => {
        const cursor = createCursor(count, seed);
        for (const size of batches) cursor.next(size);
        const resumed = createCursor(count, JSON.parse(JSON.stringify(cursor.state())));
        expect(resumed.state()).toEqual(cursor.state());
        expect(resumed.next(40)).toEqual(cursor.next(40));
      }),
      { seed: 2 },
    );
  });

  it('counts passes', () => {
    const cursor = createCursor(4, 1);
    cursor.next(4);
    expect([cursor.state().epoch, cursor.state().index]).toEqual([0, 4]);
    cursor.next(1);
    expect([cursor.state().epoch, cursor.state().index]).toEqual([1, 1]);
  });

  it('refuses no items, and other data than was saved', () => {
    expect(() => createCursor(0, 1)).toThrow(
      'data cursor: expected at least one item, received 0. Check that the dataset has rows.',
    );
    expect(() => createCursor(5, createCursor(4, 1).state())).toThrow(
      'data cursor: the dataset has changed; expected 4 items as in the checkpoint, received 5. ' +
        'Restore the dataset, or start a new run.',
    );
  });
});
