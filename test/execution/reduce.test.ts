/** An update divided over workers that exchange their gradients: the same as the undivided one. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import { InvariantError } from '../../src/errors.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Learned } from '../../src/execution/learn.ts';
import { learn } from '../../src/execution/learn.ts';
import type { MicroBatch } from '../../src/execution/objective.ts';
import type { Reduce } from '../../src/execution/phases.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import type { HostArray } from '../../src/tensor/host-arrays.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import '../helpers/allclose.ts';
import { useLane, waysToTest } from '../helpers/use-lane.ts';
import { tinyDimensions, tinyIds, tinyModel } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

/** ε is large, so that a step changes weights by at most 1 for each 1 that its gradient changes: learningRate / ε. */
const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-2, epsilonStyle: 'pytorch', weightDecay: 0.1 } as const;
const settings = { learningRate: 1e-2, clipNorm: 1, where: 'pretrain step 3' };
const UPDATES = 3;

/** Micro-batches that count 4, 9 and 14 tokens. */
const [a, b, c] = [5, 10, 15].map((length) => {
  const ids = tinyIds(length, length);
  const rows = packSequences([{ ids, learned: ids.map(() => 1) }], 16, 0);
  return nextToken.layOut({ dimensions: tinyDimensions.llama } as Model, rows);
}) as [MicroBatch, MicroBatch, MicroBatch];

/** The micro-batch with another mask in place of the ones of `a`. */
function masked(value: number, count = a.count): MicroBatch {
  const mask = a.arrays.mask as HostArray;
  return { count, arrays: { ...a.arrays, mask: { ...mask, values: mask.values.map((flag) => flag * value) } } };
}

/** A worker's updates of a model of its own, each on the same micro-batches: their numbers, the bytes of weights and moments. */
async function worker(parts: readonly MicroBatch[], reduce?: Reduce, mixed?: readonly MicroBatch[]) {
  const model = tinyModel();
  const adam = createAdamW(model.parameters.layout, adamOptions);
  const numbers: Learned<never>[] = [];
  const added = mixed && { loss: nextToken, microBatches: mixed, coefficient: 0.5 };
  try {
    while (numbers.length < UPDATES) {
      numbers.push(await learn(model, adam, nextToken, parts, { ...settings, ...(reduce && { reduce }) }, added));
    }
    const weights = readParameters(model.parameters).slice();
    const bytes = [weights, adam.first.read(), adam.second.read()].map((values) =>
      createHash('sha256')
        .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
        .digest('hex'),
    );
    return { told: { numbers, bytes }, weights };
  } finally {
    disposeAdamW(adam);
    disposeModel(model);
  }
}

type Own = Parameters<Reduce>[0];

/** Gives every worker the sums of all, added from the first to the last and rounded as the arrays are. */
function addUp(all: readonly Own[]): void {
  const [first, ...others] = all as [Own, ...Own[]];
  for (const arrays of others) {
    expect(arrays.map(({ length }) => length)).toEqual(first.map(({ length }) => length));
    for (const [i, sums] of first.entries()) sums.set(sums.map((sum, at) => sum + arrays[i]![at]!));
  }
  for (const arrays of others) arrays.forEach((array, i) => void array.set(first[i]!));
}

/**
 * Runs workers in one process, in turn: each goes on until it has to exchange, or is done.
 */
async function together<T>(workers: readonly ((reduce: Reduce) => Promise<T>)[]): Promise<PromiseSettledResult<T>[]> {
  const given: Own[] = [];
  const waiting: (() => void)[] = [];
  const next = (): void => waiting.shift()?.();
  const turn = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  const reduce: Reduce = async (own) => {
    given.push(own);
    if (given.length === workers.length) addUp(given.splice(0));
    const later = turn();
    next();
    await later;
  };
  const runs = workers.map(async (run) => {
    await turn();
    return run(reduce).finally(next);
  });
  next();
  return Promise.allSettled(runs);
}

/** What workers with these shares have after their updates. */
async function divided(shares: readonly (readonly MicroBatch[])[]) {
  const runs = await together(shares.map((share) => (reduce: Reduce) => worker(share, reduce)));
  return runs.map((run) => {
    if (run.status === 'rejected') throw run.reason;
    return run.value;
  });
}

describe.each(waysToTest())('on the $lane lane, graphs $compile', ({ lane, compile }) => {
  let alone: Awaited<ReturnType<typeof worker>>;
  let whole: typeof alone;

  beforeAll(async () => {
    await useLane(lane);
    setCompilation({ compile });
    alone = await worker([a]);
    whole = await worker([a, b, c]);
  });
  afterAll(() => setCompilation({}));

  it('one worker whose reduction adds nothing: the bytes of an update without', async () => {
    for (const [parts, without] of [[[a], alone] as const, [[a, b, c], whole] as const]) {
      const sizes: number[] = [];
      const reduce: Reduce = async (own) => void sizes.push(own.length);
      expect((await worker(parts, reduce)).told).toEqual(without.told);
      // The count, then the loss with every parameter's gradient: embedding and last norm, 6 in each of 2 layers.
      expect(sizes).toEqual([1, 15, 1, 15, 1, 15]);
    }
  });

  it('two workers have the bytes of the undivided update where they add in its order', async () => {
    expect(whole.told.numbers.map(({ count }) => count)).toEqual([27, 27, 27]);
    const found = await divided([[a, b], [c]]);
    expect(found.map(({ told }) => told)).toEqual([whole.told, whole.told]);
  });

  it('and have its weights within rounding where they add in another', async () => {
    const [first, second] = await divided([[a], [b, c]]);
    expect(first!.told).toEqual(second!.told);
    // a + (b + c) differs from (a + b) + c by two roundings each, in all 2⁻²³ of sums that clipping brings below 1. A weight
    // changes by no more than its gradient (see ε), and is rounded itself; each update adds to what is left of earlier ones.
    expect(first!.weights).toBeAllclose(whole.weights, { rtol: 2 ** -23, atol: UPDATES * 2 ** -23 });
    const apart = alone.weights.map((weight, i) => Math.abs(weight - whole.weights[i]!));
    expect(Math.max(...apart)).toBeGreaterThan(1e-3);
  });

  it('two workers share a loss that is added too', async () => {
    const undivided = await worker([a, b], undefined, [b, c]);
    const runs = await together([
      (reduce: Reduce) => worker([a], reduce, [b]),
      (reduce: Reduce) => worker([b], reduce, [c]),
    ]);
    const found = runs.map((run) => (run as PromiseFulfilledResult<typeof undivided>).value.told);
    expect(found).toEqual([undivided.told, undivided.told]);
    expect(undivided.told.numbers[0]).toMatchObject({ count: 13, added: { count: 23 } });
  });

  it('a worker that counts nothing takes part; one without micro-batches is refused', async () => {
    const found = await divided([[a], [masked(0, 0)]]);
    expect(found.map(({ told }) => told)).toEqual([alone.told, alone.told]);
    const refused = new InvariantError(
      'pretrain step 3: the batch has no learned tokens (loss_mask 1) to learn from; expected at least one.',
    );
    await expect(worker([], async ([count]) => void count!.fill(4))).rejects.toThrow(refused);
  });

  it('all refuse what is not finite with one', async () => {
    const runs = await together([[masked(Number.NaN)], [b]].map((share) => (reduce: Reduce) => worker(share, reduce)));
    for (const run of runs) {
      expect(run).toMatchObject({ status: 'rejected', reason: expect.any(InvariantError) });
      expect(run).toMatchObject({ reason: { message: expect.stringContaining('pretrain step 3: the loss is NaN') } });
    }
  });

  it('leaves no tensors behind, also where the exchange fails', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const update = (reduce: Reduce) => learn(model, adam, nextToken, [a], { ...settings, reduce });
    await expectNeutralAfter(async () => {
      await update(() => Promise.resolve());
      await expect(
        update((own) => (own.length === 1 ? Promise.resolve() : Promise.reject(new Error('gone')))),
      ).rejects.toThrow('gone');
    });
    disposeAdamW(adam);
    disposeModel(model);
  });
});
