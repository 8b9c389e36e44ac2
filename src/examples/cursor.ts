/** A place in endlessly reshuffled data, small enough for a checkpoint and exact on resume. */
import { DataError } from '../errors.ts';
import { type Random, type RandomState, randomFromState, seededRandom } from '../random.ts';

/** What a checkpoint keeps. */
export interface CursorState {
  /** Full passes begun before this one. */
  epoch: number;
  /** Items of this pass already handed out. */
  index: number;
  /** Number of items; another number means other data. */
  count: number;
  /** The generator before this pass was shuffled. */
  random: RandomState;
}

/** Hands out indices of items, every one once per pass. */
export interface Cursor {
  /** The next indices; a batch may span two passes. */
  next(batchSize: number): number[];
  state(): CursorState;
}

/**
 * Starts a cursor over `count` items, or continues a saved one: the indices that follow are those that would have
 * followed without the interruption.
 *
 * @param label separates cursors of the same seed
 * @throws DataError when there are no items, or the saved cursor counted another number of them
 */
export function createCursor(count: number, from: number | CursorState, label = 'data order'): Cursor {
  if (!Number.isInteger(count) || count < 1) {
    throw new DataError(`data cursor: expected at least one item, received ${count}. Check that the dataset has rows.`);
  }
  const isFresh = typeof from === 'number';
  if (!isFresh && from.count !== count) {
    throw new DataError(
      `data cursor: the dataset has changed; expected ${from.count} items as in the checkpoint, received ${count}. ` +
        'Restore the dataset, or start a new run.',
    );
  }
  let epoch = isFresh ? 0 : from.epoch;
  let index = isFresh ? 0 : from.index;
  const random: Random = isFresh ? seededRandom(from, label) : randomFromState(from.random);
  let before = random.state();
  const items = Array.from({ length: count }, (_, i) => i);
  let order = random.shuffle(items);
  return {
    next(batchSize) {
      const batch: number[] = [];
      while (batch.length < batchSize) {
        if (index === count) {
          epoch++;
          index = 0;
          before = random.state();
          order = random.shuffle(items);
        }
        const part = order.slice(index, index + batchSize - batch.length);
        batch.push(...part);
        index += part.length;
      }
      return batch;
    },
    state: () => ({ epoch, index, count, random: before }),
  };
}
