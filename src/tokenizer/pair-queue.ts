/** A priority queue of token pairs for byte-pair encoding: most frequent first, ties to the smaller ids. */

/** One candidate merge: two neighbouring token ids and how often they were neighbours when it was queued. */
export interface PairCount {
  left: number;
  right: number;
  count: number;
}

/** Binary heap; counts may go stale, so the reader compares `count` with the true one after popping. */
export interface PairQueue {
  push(pair: PairCount): void;
  pop(): PairCount | undefined;
}

/** True where `a` must be merged before `b`. Ties go to the smaller ids, as in Hugging Face's trainer. */
function isBefore(a: PairCount, b: PairCount): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.left !== b.left) return a.left < b.left;
  return a.right < b.right;
}

/** An empty queue. */
export function createPairQueue(): PairQueue {
  const heap: PairCount[] = [];
  const at = (i: number): PairCount => heap[i] as PairCount;
  const swap = (i: number, j: number): void => {
    const held = at(i);
    heap[i] = at(j);
    heap[j] = held;
  };
  return {
    push(pair) {
      heap.push(pair);
      let child = heap.length - 1;
      while (child > 0) {
        const parent = (child - 1) >> 1;
        if (!isBefore(at(child), at(parent))) break;
        swap(child, parent);
        child = parent;
      }
    },
    pop() {
      const top = heap[0];
      const last = heap.pop();
      if (top === undefined || last === undefined || heap.length === 0) return top;
      heap[0] = last;
      let parent = 0;
      for (;;) {
        let best = parent;
        for (const child of [2 * parent + 1, 2 * parent + 2]) {
          if (child < heap.length && isBefore(at(child), at(best))) best = child;
        }
        if (best === parent) return top;
        swap(parent, best);
        parent = best;
      }
    },
  };
}
