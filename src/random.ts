/** The one source of randomness: a small seeded generator whose state fits in a checkpoint. Knows nothing of tensors. */

/** Four unsigned 32-bit words. */
export type RandomState = readonly [number, number, number, number];

/** A generator; every method advances its state. */
export interface Random {
  /** A float64 in [0, 1) with 53 random bits. */
  uniform(): number;
  /** An integer in [0, limit). */
  integer(limit: number): number;
  /** A standard normal number (Box–Muller, one value per call). */
  normal(): number;
  /** One item of a non-empty list. */
  pick<T>(items: readonly T[]): T;
  /** A shuffled copy (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[];
  /** A new independent generator named by a label; advances this one by one draw. */
  fork(label: string): Random;
  /** The state to save; `randomFromState` continues from it exactly. */
  state(): RandomState;
}

/** A generator from a seed (any finite integer) and an optional label that separates streams of the same seed. */
export function seededRandom(seed: number, label = ''): Random {
  let hash = seed | 0;
  // splitmix32 spreads the seed over the state, as the generator's authors advise.
  const word = (): number => {
    hash = (hash + 0x9e3779b9) | 0;
    let z = hash;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  // Mixed part by part, or seed 1 with label "a" would be seed 2 with label "b".
  hash = word() ^ Math.floor(seed / 2 ** 32);
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  return randomFromState([word(), word(), word(), word()]);
}

/**
 * Continues a generator from a saved state.
 * xoshiro128** 1.1 by Blackman and Vigna (public domain), https://prng.di.unimi.it/xoshiro128starstar.c
 */
export function randomFromState(state: RandomState): Random {
  let [a, b, c, d] = state;
  const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  const uniform = (): number => ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 2 ** 53;
  const integer = (limit: number): number => Math.floor(uniform() * limit);
  return {
    uniform,
    integer,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    pick: (items) => items[integer(items.length)] as (typeof items)[number],
    shuffle: (items) => {
      const copy = [...items];
      for (let i = copy.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        const held = copy[i] as (typeof copy)[number];
        copy[i] = copy[j] as (typeof copy)[number];
        copy[j] = held;
      }
      return copy;
    },
    fork: (label) => seededRandom(next(), label),
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

/** A seed for the random numbers of one step: the same whether a run was interrupted before it or not. */
export function stepSeed(seed: number, step: number): number {
  return Math.floor(seededRandom(seed, `step ${step}`).uniform() * 2 ** 31);
}
