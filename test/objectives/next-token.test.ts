/** The next-token step: what is learned, that splitting a batch changes nothing, and that it learns. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import type { TokenBatch, TokenSequence } from '../../src/batch/token-batch.ts';
import { rowBatches, takeRows } from '../../src/batch/token-batch.ts';
import { InvariantError } from '../../src/errors.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { disposeModel, modelFrom } from '../../src/model/model.ts';
import { nextToken, nextTokenLoss } from '../../src/objectives/next-token.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyDimensions, tinyIds, tinyModel, tinyStyles, tinyValues } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const options = { learningRate: 0.01, clipNorm: 1, where: 'instruct step 3' };

/** A sequence whose first `prompt` tokens are not learned. */
function example(length: number, prompt: number, seed: number): TokenSequence {
  const learned = Int32Array.from({ length }, (_, t) => (t < prompt ? 0 : 1));
  return { ids: tinyIds(length, seed), learned };
}

const examples = [example(6, 2, 1), example(5, 3, 2), example(7, 1, 3), example(4, 2, 4)];
const packed = packSequences(examples, 12, 0);
const single = (one: TokenSequence): TokenBatch => packSequences([one], one.ids.length, 0);

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(tinyStyles)('%s has the same loss packed as one by one, over learned tokens', (style) => {
    const model = tinyModel(style);
    const tokens = examples.map(({ learned }) => learned.reduce((sum, flag) => sum + flag, 0));
    const sums = examples.map((one, i) => nextTokenLoss(model, [single(one)]) * tokens[i]!);
    const expected = sums.reduce((sum, x) => sum + x, 0) / tokens.reduce((sum, x) => sum + x, 0);
    expect([nextTokenLoss(model, [packed])]).toBeAllclose([expected], tolerance.forward);
    const rows = Array.from({ length: packed.batch }, (_, row) => takeRows(packed, [row]));
    expect([nextTokenLoss(model, rows)]).toBeAllclose([expected], tolerance.forward);
    disposeModel(model);
  });

  it('gives every token the same loss packed as alone, whatever it shares its row with', () => {
    const model = tinyModel();
    const sizes = fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (lengths, which, token) => {
        const chosen = which % lengths.length;
        // One token of one sequence is learned: its loss is the whole loss.
        const at = 1 + (token % (lengths[chosen]! - 1));
        const sequences = lengths.map((length, i) => {
          const learned = Int32Array.from({ length }, (_, t) => (i === chosen && t === at ? 1 : 0));
          return { ids: tinyIds(length, i + 1), learned };
        });
        const together = nextTokenLoss(model, [packSequences(sequences, 12, 0)]);
        const alone = nextTokenLoss(model, [single(sequences[chosen]!)]);
        expect(Math.abs(together - alone)).toBeLessThan(1e-5);
      }),
      { seed: 1, numRuns: 40 },
    );
    disposeModel(model);
  });

  it('is log vocab where the model knows nothing', () => {
    const dimensions = tinyDimensions['llama-untied'];
    const model = modelFrom(dimensions, 'tokens', tinyValues(dimensions, 'tokens').fill(0));
    expect([nextTokenLoss(model, [packed])]).toBeAllclose([Math.log(32)]);
    disposeModel(model);
  });

  it('learns the tokens of the mask alone, and never the first of a sequence', () => {
    const model = tinyModel();
    const one = example(6, 5, 1);
    const all = { ...one, learned: one.learned.map(() => 1) };
    expect([nextTokenLoss(model, [single(one)])]).not.toBeAllclose([nextTokenLoss(model, [single(all)])], {
      rtol: 1e-2,
    });
    // The first token of a sequence has nothing before it to predict it from.
    const fromSecond = { ...one, learned: Int32Array.of(0, 1, 1, 1, 1, 1) };
    expect(nextTokenLoss(model, [single(all)])).toBe(nextTokenLoss(model, [single(fromSecond)]));
    disposeModel(model);
  });

  it('makes the same update of a batch whole or in micro-batches', async () => {
    const updated = async (microBatches: readonly TokenBatch[]) => {
      const model = tinyModel();
      const adam = createAdamW(model.parameters.layout, { ...adamOptions, epsilon: 1e-3 });
      const { loss, gradientNorm, count } = await learnFrom(model, adam, nextToken, microBatches, options);
      const values = readParameters(model.parameters).slice();
      disposeAdamW(adam);
      disposeModel(model);
      return { loss, gradientNorm, count, values };
    };
    const rows = packSequences(examples, 7, 0);
    expect(rows.batch).toBe(4);
    const whole = await updated([rows]);
    const split = await updated(rowBatches(takeRows(rows, [3, 1, 0, 2]), 1));
    expect([split.loss, split.gradientNorm]).toBeAllclose([whole.loss, whole.gradientNorm], tolerance.forward);
    expect(split.count).toBe(whole.count);
    expect(split.values).toBeAllclose(whole.values, { rtol: 1e-4, atol: 1e-5 });
    // 4, 2, 6 and 2 tokens are learned.
    expect(whole.count).toBe(14);
  });

  it('learns one batch by heart', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const losses: number[] = [];
    while (losses.length < 40) losses.push((await learnFrom(model, adam, nextToken, [packed], options)).loss);
    expect(losses[39]!).toBeLessThan(0.3 * losses[0]!);
    expect([nextTokenLoss(model, [packed])]).not.toBeAllclose([losses[0]!]);
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('refuses a batch in which nothing is learned, and leaves the model alone', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const nothing = single({ ids: tinyIds(4, 1), learned: new Int32Array(4) });
    await expectNeutralAfter(async () => {
      await expect(learnFrom(model, adam, nextToken, [nothing], options)).rejects.toThrow(
        new InvariantError(
          'instruct step 3: the batch has no learned tokens (loss_mask 1) to learn from; expected at least one.',
        ),
      );
    });
    expect(readParameters(model.parameters)).toEqual(tinyValues(model.dimensions, 'tokens'));
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('leaves no tensors behind', async () => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    await expectNeutralAfter(async () => {
      await learnFrom(model, adam, nextToken, [packed, packed], options);
      nextTokenLoss(model, [packed]);
    });
    disposeAdamW(adam);
    disposeModel(model);
  });
});
