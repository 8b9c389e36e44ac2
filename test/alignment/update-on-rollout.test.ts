/** The inner loop: epochs and minibatches, the target KL, and what it must not change. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Rollout } from '../../src/alignment/collect.ts';
import { responseLogProbs } from '../../src/alignment/score-responses.ts';
import type { InnerLoopOptions, UpdateTargets } from '../../src/alignment/update-on-rollout.ts';
import { updateOnRollout } from '../../src/alignment/update-on-rollout.ts';
import { packSequences } from '../../src/batch/packing.ts';
import { InvariantError } from '../../src/errors.ts';
import { nextTokenLoss } from '../../src/objectives/next-token.ts';
import { ppoPolicy, ppoValue } from '../../src/objectives/ppo.ts';
import { seededRandom } from '../../src/random.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';
import type { PpoWorld } from './ppo-world.ts';
import { ppoWorld } from './ppo-world.ts';

const options: InnerLoopOptions = {
  epochs: 2,
  minibatches: 2,
  microBatch: 1,
  clipRange: 0.2,
  valueClipRange: 0.2,
  targetKl: null,
  temperature: 0.8,
  policy: { learningRate: 0.01, clipNorm: 1 },
  critic: { learningRate: 0.01, clipNorm: 1 },
  checks: 'strict',
  where: 'ppo step 1',
  say: () => undefined,
};

async function withWorld<T>(work: (world: PpoWorld) => Promise<T>): Promise<T> {
  const world = ppoWorld();
  const result = await work(world);
  world.dispose();
  return result;
}

/** Advantages that differ by row, and returns 1 above the values. */
function targetsOf(rollout: Rollout): UpdateTargets {
  return {
    advantages: rollout.mask.map((flag, i) => flag * (Math.floor(i / 6) % 2 === 0 ? 1 : -1)),
    returns: rollout.values.map((value, i) => rollout.mask[i]! * (value + 1)),
  };
}

/** One inner loop on a rollout of seed 1. */
async function learn(world: PpoWorld, changes: Partial<InnerLoopOptions> = {}, random = seededRandom(5)) {
  const rollout = await world.rollout();
  const all = { ...options, ...changes };
  return updateOnRollout(world.models, world.optimizers, rollout, targetsOf(rollout), all, random);
}

describe.each(lanesToTest())('updateOnRollout on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('makes epochs · minibatches updates of policy and critic; KL starts at 0 and rises', async () => {
    await withWorld(async (world) => {
      const result = await learn(world, { epochs: 3, minibatches: 4 });
      expect([result.epochs, result.updates]).toEqual([3, 12]);
      expect([world.optimizers.policy.step, world.optimizers.critic.step]).toEqual([12, 12]);
      expect(result.approxKlByEpoch[0]).toBeLessThan(1e-9);
      expect(result.approxKlByEpoch[1]).toBeGreaterThan(1e-6);
      expect(result.approxKlByEpoch.length).toBe(3);
    });
  });

  it('reports the numbers of the updates: of one, its own', async () => {
    const found = await withWorld((world) => learn(world, { epochs: 1, minibatches: 1, microBatch: 4 }));
    const [policy, value] = await withWorld(async (world) => {
      const { batch, logProbs, values } = await world.rollout();
      const { advantages, returns } = targetsOf(await world.rollout());
      // Mean 0.5 and deviation 2 of the world's scores: the critic puts out 0.25 more than the value.
      const raised = { oldValues: values.map((value) => value + 0.25), returns: returns.map((value) => value + 0.25) };
      const rows = { batch, oldLogProbs: logProbs, advantages, ...raised };
      const { clipRange, temperature, where } = options;
      const { policy, critic } = world.models;
      return [
        await learnFrom(policy, world.optimizers.policy, ppoPolicy({ clipRange, temperature }), [rows], {
          ...options.policy,
          where,
        }),
        await learnFrom(critic, world.optimizers.critic, ppoValue({ clipRange }), [rows], { ...options.critic, where }),
      ] as const;
    });
    expect([found.policyLoss, found.gradientNorm, found.ratio, found.clipFraction]).toBeAllclose(
      [policy.loss, policy.gradientNorm, policy.stats.ratio, policy.stats.clipFraction],
      tolerance.trajectory,
    );
    expect([found.valueLoss, found.valueGradientNorm, found.valueClipFraction]).toBeAllclose(
      [value.loss, value.gradientNorm, value.stats.clipFraction],
      tolerance.trajectory,
    );
  });

  it('changes neither the reference nor the reward model', async () => {
    await withWorld(async (world) => {
      const { reference, reward, policy, critic } = world.models;
      const values = () => [reference, reward, policy, critic].map((model) => readParameters(model.parameters).slice());
      const before = values();
      await learn(world);
      const after = values();
      expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
      expect(after[2]).not.toEqual(before[2]);
      expect(after[3]).not.toEqual(before[3]);
    });
  });

  it('uses each row once in an epoch: one minibatch of all rows does not depend on the shuffle', async () => {
    const run = (seed: number) => withWorld((world) => learn(world, { minibatches: 1, epochs: 2 }, seededRandom(seed)));
    const [a, b] = [await run(1), await run(2)];
    expect([a.policyLoss, a.valueLoss, a.approxKl]).toBeAllclose(
      [b.policyLoss, b.valueLoss, b.approxKl],
      tolerance.trajectory,
    );
    const four = (seed: number) =>
      withWorld((world) => learn(world, { minibatches: 4, epochs: 1 }, seededRandom(seed)));
    expect((await four(1)).gradientNorm).not.toBe((await four(2)).gradientNorm);
  });

  it('does not depend on the size of micro-batches', async () => {
    const values = (microBatch: number) =>
      withWorld(async (world) => {
        const result = await learn(world, { microBatch, minibatches: 1 });
        return [result.policyLoss, result.valueLoss, result.approxKl, result.gradientNorm, result.valueGradientNorm];
      });
    const whole = await values(4);
    expect(await values(3)).toBeAllclose(whole, tolerance.trajectory);
    expect(await values(1)).toBeAllclose(whole, tolerance.trajectory);
  });

  it('makes likelier what had an advantage', async () => {
    await withWorld(async (world) => {
      const rollout = await world.rollout();
      await learn(world);
      const gain = responseLogProbs(world.models.policy, rollout.batch, 0.8).reduce((sum, value, i) => {
        return sum + (Math.floor(i / 6) % 2 === 0 ? 1 : -1) * (value - rollout.logProbs[i]!);
      }, 0);
      expect(gain).toBeGreaterThan(0);
    });
  });

  describe('with rows that are mixed in', () => {
    const rows = [9, 12, 7].map((length) => {
      const ids = tinyIds(length, length);
      return packSequences([{ ids, learned: ids.map(() => 1) }], 16, 0);
    });
    /** Rows in turn, and how often they were asked for. */
    const mixOf = (coefficient: number) => {
      const mix = { asked: 0, coefficient, next: () => rows[mix.asked++ % rows.length]! };
      return mix;
    };
    /** One update on all rows, and the weights after it. */
    const once = (mix?: ReturnType<typeof mixOf>) =>
      withWorld(async (world) => {
        const result = await learn(world, { epochs: 1, minibatches: 1, microBatch: 4, mix });
        const { policy, critic } = world.models;
        return { result, weights: [policy, critic].map((model) => readParameters(model.parameters).slice()) };
      });

    it('tells their loss and how long their gradient is beside the policy’s own, which γ multiplies', async () => {
      const before = await withWorld((world) => Promise.resolve(nextTokenLoss(world.models.policy, [rows[0]!])));
      const plain = await once();
      expect(plain.result.mix).toBeNull();
      const ratios = [];
      for (const coefficient of [0.5, 1, 4]) {
        const { result, weights } = await once(mixOf(coefficient));
        expect([result.mix!.loss, result.policyLoss]).toBeAllclose([before, plain.result.policyLoss]);
        ratios.push(result.mix!.gradientRatio / coefficient);
        expect(result.gradientNorm).not.toBeCloseTo(plain.result.gradientNorm, 4);
        expect(weights[0]).not.toEqual(plain.weights[0]);
        expect(weights[1]).toEqual(plain.weights[1]);
      }
      const [first] = ratios as [number];
      expect(first).toBeGreaterThan(0.01);
      expect(ratios).toBeAllclose([first, first, first]);
    });

    it('changes nothing with γ 0', async () => {
      const [plain, measured] = [await once(), await once(mixOf(0))];
      expect(measured.weights).toEqual(plain.weights);
      expect({ ...measured.result, mix: null }).toEqual(plain.result);
      expect(measured.result.mix).toMatchObject({ gradientRatio: 0, loss: expect.any(Number) });
    });

    it('takes the next rows in each update, none in those that are not made, and their mean', async () => {
      const mix = mixOf(0);
      const losses = await withWorld((world) =>
        Promise.resolve(rows.map((one) => nextTokenLoss(world.models.policy, [one]))),
      );
      const still = { learningRate: 1e-12, clipNorm: 1 };
      const { updates, ...result } = await withWorld((world) => learn(world, { epochs: 3, policy: still, mix }));
      expect([updates, mix.asked]).toEqual([6, 6]);
      expect([result.mix!.loss]).toBeAllclose([losses.reduce((sum, loss) => sum + loss, 0) / 3]);
      const stopped = mixOf(1);
      await withWorld((world) => learn(world, { epochs: 2, minibatches: 4, targetKl: 1e-8, mix: stopped }));
      expect(stopped.asked).toBe(2);
    });

    it('makes likelier what is mixed in, where else it would not', async () => {
      const lossAfter = (mix?: ReturnType<typeof mixOf>) =>
        withWorld(async (world) => {
          await learn(world, { epochs: 4, mix });
          return nextTokenLoss(world.models.policy, rows);
        });
      expect(await lossAfter(mixOf(2))).toBeLessThan((await lossAfter()) - 0.05);
    });
  });

  it('stops once the KL passes its target, within an epoch', async () => {
    await withWorld(async (world) => {
      const result = await learn(world, { epochs: 50, minibatches: 2, targetKl: 1e-4 });
      expect(result.approxKl).toBeGreaterThan(1e-4);
      expect(result.updates).toBeLessThan(100);
      expect(result.epochs).toBe(Math.ceil(result.updates / 2));
    });
    // The first update sees KL 0, the second what the first did.
    await withWorld(async (world) => {
      const random = seededRandom(5);
      const result = await learn(world, { epochs: 2, minibatches: 4, targetKl: 1e-8 }, random);
      expect([result.updates, result.epochs]).toEqual([2, 1]);
      // Nothing is drawn for passes that are not made.
      const once = seededRandom(5);
      once.shuffle([0, 1, 2, 3]);
      expect(random.state()).toEqual(once.state());
    });
  });

  it('says at once when the policy is not the one that sampled', async () => {
    await withWorld(async (world) => {
      await expect(learn(world, { temperature: 1.5 })).rejects.toThrow(InvariantError);
      const lines: string[] = [];
      await learn(world, { temperature: 1.5, checks: 'warn', say: (line) => lines.push(line) });
      expect(lines.join('\n')).toMatch(/^warning: ppo step 1: ratio of the first update: expected 1, received /);
    });
  });

  it('repeats itself bit for bit', async () => {
    const run = () =>
      withWorld(async (world) => [await learn(world), readParameters(world.models.policy.parameters).slice()]);
    expect(await run()).toEqual(await run());
  });

  it('leaves no tensors behind', async () => {
    await withWorld(async (world) => {
      const rollout = await world.rollout();
      const targets = { advantages: rollout.mask, returns: rollout.values };
      await expectNeutralAfter(async () => {
        const unchecked = { ...options, checks: 'off' as const };
        await updateOnRollout(world.models, world.optimizers, rollout, targets, unchecked, seededRandom(1));
        const ids = tinyIds(9, 1);
        const mix = { coefficient: 2, next: () => packSequences([{ ids, learned: ids.map(() => 1) }], 16, 0) };
        await updateOnRollout(world.models, world.optimizers, rollout, targets, { ...unchecked, mix }, seededRandom(1));
      });
    });
  });
});
