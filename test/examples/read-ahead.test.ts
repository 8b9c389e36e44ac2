import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { createCursor } from '../../src/examples/cursor.ts';
import { readAhead } from '../../src/examples/read-ahead.ts';

const [items, size, count] = [7, 3, 6];

/** Batches, and the place saved after each, read when they are needed. */
function inTurn() {
  const cursor = createCursor(items, 1);
  return Array.from({ length: count }, () => ({ batch: cursor.next(size), place: cursor.state() }));
}

describe('readAhead', () => {
  it.each([
    ['where the event loop turns in every step', () => true],
    ['where it never does', () => false],
    ['where it does in some', (step: number) => step % 3 === 1],
  ])('gives the batches and the places of reading in turn %s', async (_, turns) => {
    const batches = readAhead(createCursor(items, 1), size, count, (batch) => batch);
    expect(batches.state()).toEqual(createCursor(items, 1).state());
    for (const [step, expected] of inTurn().entries()) {
      expect(batches.next()).toEqual(expected.batch);
      if (turns(step)) await turn();
      // Whatever has been read meanwhile.
      expect(batches.state()).toEqual(expected.place);
    }
  });

  it('reads one batch while the event loop turns, and none after the last', async () => {
    const read: number[] = [];
    const batches = readAhead(createCursor(items, 1), size, 3, () => read.push(1));
    const seen: number[] = [];
    for (let step = 0; step < 3; step++) {
      batches.next();
      for (let i = 0; i < 3; i++) await turn();
      seen.push(read.length);
    }
    expect(seen).toEqual([2, 3, 3]);
  });

  it('goes on from a saved place as if nothing had been read ahead', async () => {
    const cursor = createCursor(items, 1);
    const batches = readAhead(cursor, size, count, (batch) => batch);
    batches.next();
    await turn();
    const resumed = readAhead(createCursor(items, batches.state()), size, count - 1, (batch) => batch);
    for (const { batch } of inTurn().slice(1)) expect(resumed.next()).toEqual(batch);
  });

  it('throws what reading threw at the step that needs the batch, and not before', async () => {
    const failure = new DataError('row 5: nothing to learn.');
    let reads = 0;
    const batches = readAhead(createCursor(items, 1), size, count, (batch) => {
      reads += 1;
      if (reads === 2) throw failure;
      return batch;
    });
    const [first, , third] = inTurn();
    expect(batches.next()).toEqual(first!.batch);
    await turn();
    expect(reads).toBe(2);
    expect(batches.state()).toEqual(first!.place);
    expect(() => batches.next()).toThrow(failure);
    expect(batches.state()).toEqual(first!.place);
    expect(batches.next()).toEqual(third!.batch);
  });
});
