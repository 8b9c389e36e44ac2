/** PPO's two updates: exact at the policy that sampled, whole or in micro-batches, and in the direction of advantages. */
import { beforeAll, describe, expect, it } from 'vitest';
import { responseLogProbs, responseValues } from '../../src/alignment/score-responses.ts';
import { gridMask, packedResponseBatch, promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { PpoRows } from '../../src/objectives/ppo.ts';
import { ppoPolicy, ppoValue } from '../../src/objectives/ppo.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const temperature = 0.7;
const options = { learningRate: 0.003, clipNorm: 1, where: 'ppo' };
const policyLoss = ppoPolicy({ clipRange: 0.2, temperature });
const valueLoss = ppoValue({ clipRange: 0.2 });
const sequences = [1, 2, 3, 4].map((seed) => {
  return promptAndResponse(tinyIds(2 + seed, seed), tinyIds(6 - seed, 10 + seed));
});
const batch = responseBatch(sequences, 0, { seq: 12, response: 6 });
const mask = gridMask(batch);
const alternating = mask.map((flag, i) => flag * (Math.floor(i / 6) % 2 === 0 ? 1 : -1));

/** Rows as a rollout of these models would give them. */
function rowsOf(policy: Model, critic: Model): PpoRows {
  const oldValues = responseValues(critic, batch);
  return {
    batch,
    oldLogProbs: responseLogProbs(policy, batch, temperature),
    oldValues,
    advantages: alternating,
    returns: oldValues.map((value, i) => mask[i]! * (value + 1)),
  };
}

function take(rows: PpoRows, lines: number[]): PpoRows {
  const some = lines.map((line) => sequences[line]!);
  return { ...rows, batch: packedResponseBatch(some, 0, { grid: batch.grid, lines }) };
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  /** Runs with fresh models of seed 1; they are disposed afterwards. */
  async function withModels<T>(work: (policy: Model, critic: Model, rows: PpoRows) => Promise<T>): Promise<T> {
    const [policy, critic] = [tinyModel(), tinyModel('llama', 'score')];
    const result = await work(policy, critic, rowsOf(policy, critic));
    disposeModel(policy);
    disposeModel(critic);
    return result;
  }

  it('the first update of a rollout sees ratio 1, KL 0 and nothing clipped', async () => {
    await withModels(async (policy, critic, rows) => {
      const [adam, valueAdam] = [policy, critic].map((model) => createAdamW(model.parameters.layout, adamOptions));
      const found = await learnFrom(policy, adam!, policyLoss, [rows], options);
      expect([found.stats.ratio]).toBeAllclose([1]);
      expect(found.stats.approxKl).toBeLessThan(1e-9);
      expect(found.stats.clipFraction).toBe(0);
      // −mean(A): 5 + 3 tokens with advantage 1, 4 + 2 with −1.
      expect([found.loss]).toBeAllclose([-2 / 14]);
      // Every value is 1 below its return.
      const value = await learnFrom(critic, valueAdam!, valueLoss, [rows], options);
      expect([value.loss, value.stats.clipFraction]).toBeAllclose([0.5, 0]);
      for (const each of [adam!, valueAdam!]) disposeAdamW(each);
    });
  });

  it('takes log-probabilities at the temperature of the rollout: at another the ratio is not 1', async () => {
    await withModels(async (policy, _, rows) => {
      const adam = createAdamW(policy.parameters.layout, adamOptions);
      const found = await learnFrom(policy, adam, ppoPolicy({ clipRange: 0.2, temperature: 1 }), [rows], options);
      expect(found.stats.approxKl).toBeGreaterThan(1e-3);
      disposeAdamW(adam);
    });
  });

  it('makes likelier what had an advantage, and moves values towards returns', async () => {
    await withModels(async (policy, critic, rows) => {
      const [adam, valueAdam] = [policy, critic].map((model) => createAdamW(model.parameters.layout, adamOptions));
      for (let i = 0; i < 3; i++) {
        await learnFrom(policy, adam!, policyLoss, [rows], options);
        await learnFrom(critic, valueAdam!, valueLoss, [rows], options);
      }
      const gain = responseLogProbs(policy, batch, temperature).reduce(
        (sum, value, i) => sum + (value - rows.oldLogProbs[i]!) * alternating[i]!,
        0,
      );
      expect(gain).toBeGreaterThan(0);
      const error = responseValues(critic, batch).reduce((sum, value, i) => sum + (value - rows.returns[i]!) ** 2, 0);
      expect(error).toBeLessThan(14);
      for (const each of [adam!, valueAdam!]) disposeAdamW(each);
    });
  });

  it('makes the same update of a minibatch whole or in micro-batches', async () => {
    const updated = (split: (rows: PpoRows) => PpoRows[]) =>
      withModels(async (policy, critic, rows) => {
        const [adam, valueAdam] = [policy, critic].map((model) => createAdamW(model.parameters.layout, adamOptions));
        const updates = [];
        for (let i = 0; i < 2; i++) {
          updates.push(await learnFrom(policy, adam!, policyLoss, split(rows), options));
          updates.push(await learnFrom(critic, valueAdam!, valueLoss, split(rows), options));
        }
        for (const each of [adam!, valueAdam!]) disposeAdamW(each);
        return {
          numbers: updates.flatMap(({ loss, gradientNorm, stats }) => [loss, gradientNorm, ...Object.values(stats)]),
          policy: readParameters(policy.parameters).slice(),
          critic: readParameters(critic.parameters).slice(),
        };
      });
    const whole = await updated((rows) => [rows]);
    const parts = await updated((rows) => [take(rows, [3, 0]), take(rows, [2]), take(rows, [1])]);
    expect(parts.numbers).toBeAllclose(whole.numbers, tolerance.forward);
    expect(parts.policy).toBeAllclose(whole.policy, tolerance.forward);
    expect(parts.critic).toBeAllclose(whole.critic, tolerance.forward);
  });

  it('leaves no tensors behind', async () => {
    await withModels(async (policy, critic, rows) => {
      const [adam, valueAdam] = [policy, critic].map((model) => createAdamW(model.parameters.layout, adamOptions));
      await expectNeutralAfter(async () => {
        await learnFrom(policy, adam!, policyLoss, [rows, rows], options);
        await learnFrom(critic, valueAdam!, valueLoss, [rows, rows], options);
      });
      for (const each of [adam!, valueAdam!]) disposeAdamW(each);
    });
  });
});
