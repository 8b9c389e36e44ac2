/** Batches read one ahead, while the step before is running; order and saved place are those of reading when needed. */
import type { Cursor, CursorState } from './cursor.ts';

/** The batches of a run, in the order of its cursor. */
export interface ReadAhead<Batch> {
  /**
   * The next batch: already there if the event loop has turned since the last one was asked for, read now otherwise.
   * @throws what reading it threw, even if that was a step ago
   */
  next(): Batch;
  /** The cursor's place after the last batch given out, whatever has been read since: what a checkpoint keeps. */
  state(): CursorState;
}

/** A batch, or why it could not be read. */
interface Made<Batch> {
  readonly after: CursorState;
  readonly give: () => Batch;
}

/**
 * Reads batches ahead. The cursor belongs to the reader from now on.
 * @param size items of a batch
 * @param count batches that will be asked for: no more are read
 * @param read makes a batch of its items; may depend on nothing that a step changes
 */
export function readAhead<Batch>(
  cursor: Cursor,
  size: number,
  count: number,
  read: (items: readonly number[]) => Batch,
): ReadAhead<Batch> {
  let state = cursor.state();
  let left = count;
  let ready: Made<Batch> | null = null;
  let waiting: NodeJS.Immediate | undefined;
  const make = (): Made<Batch> => {
    const items = cursor.next(size);
    const after = cursor.state();
    try {
      const batch = read(items);
      return { after, give: () => batch };
    } catch (error) {
      return {
        after,
        give: () => {
          throw error;
        },
      };
    }
  };
  return {
    next: () => {
      clearImmediate(waiting);
      const { after, give } = ready ?? make();
      ready = null;
      left -= 1;
      const batch = give();
      state = after;
      if (left > 0) {
        waiting = setImmediate(() => {
          ready = make();
        });
      }
      return batch;
    },
    state: () => state,
  };
}
