import { beforeAll, describe, expect, it } from 'vitest';
import { collectRollout } from '../../src/alignment/collect.ts';
import { responseLogProbs, responseScores, responseValues } from '../../src/alignment/score-responses.ts';
import { generate } from '../../src/decoding/generate.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyModel, tinyStop } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';
import { ppoWorld, promptIds, sampling } from './ppo-world.ts';

describe.each(lanesToTest())('a rollout on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('holds what was drawn, packed, in columns that are multiples of 16', async () => {
    const world = ppoWorld();
    const rollout = await world.rollout();
    const drawn = await generate(world.models.policy, promptIds, sampling, tinyStop, seededRandom(1));
    const { batch } = rollout;
    expect([batch.tokens.batch, batch.tokens.seq, batch.grid.response]).toEqual([1, 48, 16]);
    drawn.forEach(({ ids, ended, logProbs }, row) => {
      expect(rollout.responses[row]).toEqual(ids);
      expect(rollout.ended[row]).toBe(ended ? 1 : 0);
      const at = (values: Float32Array): number[] => [...values.subarray(16 * row, 16 * row + 16)];
      const padded = (values: ArrayLike<number>): number[] =>
        Array.from({ length: 16 }, (_, t) => (t < ids.length ? values[t]! : 0));
      expect(at(rollout.drawnLogProbs)).toEqual(padded(logProbs));
      expect(at(rollout.mask)).toEqual(padded(ids.map(() => 1)));
    });
    world.dispose();
  });

  it('has equal log-probabilities of policy and reference, however they were read; 0 where masked', async () => {
    const world = ppoWorld();
    const rollout = await world.rollout();
    expect(rollout.referenceLogProbs).toBeAllclose(rollout.logProbs);
    expect(rollout.drawnLogProbs).toBeAllclose(rollout.logProbs, { rtol: 1e-4, atol: 1e-4 });
    for (const values of [rollout.drawnLogProbs, rollout.logProbs, rollout.entropy, rollout.values]) {
      rollout.mask.forEach((flag, i) => {
        if (flag) expect(values[i]).not.toBe(0);
        else expect(values[i]! + 0).toBe(0);
      });
    }
    world.dispose();
  });

  it('normalises scores as (raw − mean) / deviation; the critic still is the reward model', async () => {
    const world = ppoWorld();
    const rollout = await world.rollout();
    const raw = responseScores(world.models.reward, rollout.batch);
    expect(rollout.scores).toBeAllclose(raw.map((x) => (x - 0.5) / 2));
    expect(rollout.values.some((value) => value !== 0)).toBe(true);
    world.dispose();
  });

  it('reads each number off its own model once policy and critic have moved', async () => {
    const world = ppoWorld();
    const [reference, critic] = [tinyModel('llama', 'tokens', 8), tinyModel('llama', 'score', 9)];
    const models = { ...world.models, reference, critic };
    const rollout = await collectRollout(models, promptIds, sampling, tinyStop, seededRandom(1));
    const { batch } = rollout;
    const { temperature } = sampling;
    expect(rollout.logProbs).toEqual(responseLogProbs(world.models.policy, batch, temperature));
    expect(rollout.referenceLogProbs).toEqual(responseLogProbs(reference, batch, temperature));
    expect(rollout.referenceLogProbs).not.toBeAllclose(rollout.logProbs);
    // The world's scores have mean 0.5 and deviation 2, so a critic's output is 0.25 above its value.
    expect(rollout.values).toEqual(responseValues(critic, batch, 0.25));
    expect(rollout.values).not.toBeAllclose(responseValues(world.models.reward, batch, 0.25));
    disposeModel(reference);
    disposeModel(critic);
    world.dispose();
  });

  it('leaves no tensors behind', async () => {
    const world = ppoWorld();
    await expectNeutralAfter(async () => {
      await world.rollout();
    });
    world.dispose();
  });
});
