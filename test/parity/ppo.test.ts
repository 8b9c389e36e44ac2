/** Two PPO rollouts of four inner epochs each against PyTorch: what is fixed in a rollout, then every update. */
import { beforeAll, describe, expect, it } from 'vitest';
import { estimateAdvantages, whiten } from '../../src/alignment/gae.ts';
import { klPerResponse } from '../../src/alignment/kl.ts';
import { rewardedScores, shapeRewards } from '../../src/alignment/shape-rewards.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { DecoderInputs } from '../../src/model/inputs.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelFrom, modelWeights } from '../../src/model/model.ts';
import { tokenLogProbs } from '../../src/objectives/log-probabilities.ts';
import { clippedPolicyLoss, clippedValueLoss } from '../../src/objectives/ppo.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import type { Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, floats, take } from '../helpers/fixtures.ts';
import { updateParameters } from '../helpers/update-parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { disposeTensors, everyLogit, paddedInputs, scoresAt } from './batches.ts';

type Rollout = Record<'inputIds' | 'attentionMask' | 'responseMask' | 'scores' | 'endedWithEos', FixtureTensor>;
type Fixed = Record<'logProbabilities' | 'values' | 'rewards' | 'returns' | 'whitenedAdvantages', FixtureTensor> & {
  kl: number;
};
const courses = ['policyLosses', 'valueLosses', 'approximateKls', 'clipFractions'] as const;
const moreCourses = ['valueClipFractions', 'ratioMeans', 'policyGradientNorms', 'valueGradientNorms'] as const;
type Course = (typeof courses)[number] | (typeof moreCourses)[number];
interface Trajectories {
  optimizer: Record<'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'maximumNorm', number>;
  ppo: Record<'learningRate' | 'innerEpochs' | 'temperature' | 'beta' | 'gamma' | 'lambda', number> &
    Record<'clipRange' | 'valueClipRange' | 'valueCoefficient' | 'missingEos', number> &
    Record<'promptWidth' | 'responseWidth', number> &
    Record<Course, number[]> & { rollouts: Rollout[]; fixed: Fixed[] };
}

const { optimizer, ppo } = fixture<Trajectories>('trajectories.json');

/** One rollout on the device: rows, and which positions predict the response tokens. */
interface Batch {
  readonly inputs: DecoderInputs;
  readonly at: Tensor1D;
  readonly labels: Tensor1D;
}

function batchOf(model: Model, rollout: Rollout): Batch {
  const [rows, seq] = rollout.inputIds.shape as [number, number];
  const tokens = Array.from({ length: rows * ppo.responseWidth }, (_, i) => {
    return Math.floor(i / ppo.responseWidth) * seq + ppo.promptWidth + (i % ppo.responseWidth);
  });
  return {
    inputs: paddedInputs(model.dimensions, rollout.inputIds, rollout.attentionMask),
    at: tf.tensor1d(
      tokens.map((i) => i - 1),
      'int32',
    ),
    labels: tf.tensor1d(
      tokens.map((i) => rollout.inputIds.data[i]!),
      'int32',
    ),
  };
}

/** [batch · response] log-probabilities of the response tokens at the sampling temperature. */
function logProbs(model: Model, weights: Weights, batch: Batch): Tensor1D {
  const logits = tf.gather(everyLogit(model.dimensions, weights, batch.inputs), batch.at) as Tensor2D;
  return tokenLogProbs(logits, batch.labels, ppo.temperature);
}

const masked = (values: Float32Array, mask: Float32Array): Float32Array => values.map((value, i) => value * mask[i]!);

/** What stays fixed during the inner epochs of one rollout, on the host. */
function experience(policy: Model, reference: Model, critic: Model, rollout: Rollout, batch: Batch) {
  const responseMask = floats(rollout.responseMask);
  const read = (model: Model) => take(tf.tidy(() => logProbs(model, modelWeights(model), batch)));
  const policyLogProbs = masked(read(policy), responseMask);
  const values = masked(
    take(tf.tidy(() => scoresAt(critic.dimensions, modelWeights(critic), batch.inputs, batch.at))),
    responseMask,
  );
  const responses = { mask: responseMask, response: ppo.responseWidth };
  const referenceLogProbs = masked(read(reference), responseMask);
  const ended = Uint8Array.from(rollout.endedWithEos.data);
  const scores = rewardedScores(floats(rollout.scores), ended, ppo.missingEos);
  const rewards = shapeRewards(scores, policyLogProbs, referenceLogProbs, responses, ppo.beta, 'k1');
  const kl = klPerResponse(policyLogProbs, referenceLogProbs, responses);
  const { advantages, returns } = estimateAdvantages(rewards, values, responses, ppo.gamma, ppo.lambda);
  return { policyLogProbs, values, rewards, returns, advantages: whiten(advantages, responseMask), kl, responseMask };
}

/** The inner epochs of one rollout; appends to `found`. */
function improve(
  trained: { policy: Model; critic: Model; policyAdam: AdamW; criticAdam: AdamW },
  batch: Batch,
  fixed: ReturnType<typeof experience>,
  found: Record<Course, number[]>,
): void {
  const { policy, critic, policyAdam, criticAdam } = trained;
  const count = fixed.responseMask.reduce((sum, value) => sum + value, 0);
  const rollout = {
    oldLogProbs: tf.tensor1d(fixed.policyLogProbs),
    advantages: tf.tensor1d(fixed.advantages),
    oldValues: tf.tensor1d(fixed.values),
    returns: tf.tensor1d(fixed.returns),
    responseMask: tf.tensor1d(fixed.responseMask),
  };
  const options = { learningRate: ppo.learningRate, clipNorm: optimizer.maximumNorm, where: 'ppo' };
  for (let epoch = 0; epoch < ppo.innerEpochs; epoch++) {
    const policyStep = updateParameters(
      policy.parameters,
      policyAdam,
      [
        (weights) => {
          const { loss, ...stats } = clippedPolicyLoss(logProbs(policy, weights, batch), rollout, ppo.clipRange, count);
          return { loss, stats };
        },
      ],
      options,
    );
    const valueStep = updateParameters(
      critic.parameters,
      criticAdam,
      [
        (weights) => {
          const values = scoresAt(critic.dimensions, weights, batch.inputs, batch.at);
          const { loss, clipFraction } = clippedValueLoss(values, rollout, ppo.valueClipRange, count);
          return { loss: tf.mul(loss, ppo.valueCoefficient), stats: { clipFraction } };
        },
      ],
      options,
    );
    found.policyLosses.push(policyStep.loss);
    found.valueLosses.push(valueStep.loss / ppo.valueCoefficient);
    found.approximateKls.push(policyStep.stats.approxKl);
    found.clipFractions.push(policyStep.stats.clipFraction);
    found.valueClipFractions.push(valueStep.stats.clipFraction);
    found.ratioMeans.push(policyStep.stats.ratio);
    found.policyGradientNorms.push(policyStep.gradientNorm);
    found.valueGradientNorms.push(valueStep.gradientNorm);
  }
  disposeTensors(rollout);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  const found = Object.fromEntries([...courses, ...moreCourses].map((name) => [name, []])) as unknown as Record<
    Course,
    number[]
  >;
  const fixed: ReturnType<typeof experience>[] = [];

  beforeAll(async () => {
    await useLane(lane);
    const policy = loadModelFolder(fixturePath('models/llama-tied'), { tokenizer: null }).model;
    const critic = loadModelFolder(fixturePath('models/llama-scores'), { tokenizer: null }).model;
    const reference = modelFrom(policy.dimensions, policy.head, readParameters(policy.parameters));
    const settings = { ...optimizer, epsilonStyle: 'pytorch' } as const;
    const policyAdam = createAdamW(policy.parameters.layout, settings);
    const criticAdam = createAdamW(critic.parameters.layout, settings);
    for (const rollout of ppo.rollouts) {
      const batch = batchOf(policy, rollout);
      const now = experience(policy, reference, critic, rollout, batch);
      fixed.push(now);
      improve({ policy, critic, policyAdam, criticAdam }, batch, now, found);
      disposeTensors(batch);
      disposeInputs(batch.inputs);
    }
    for (const adam of [policyAdam, criticAdam]) disposeAdamW(adam);
    for (const model of [policy, critic, reference]) disposeModel(model);
  });

  it.each([0, 1])('fixes rewards, returns and whitened advantages of rollout %i as N+ does', (index) => {
    const expected = ppo.fixed[index]!;
    const now = fixed[index]!;
    // After four updates the second rollout carries the differences of a trajectory.
    const allowed = index === 0 ? tolerance.forward : tolerance.trajectory;
    expect(now.policyLogProbs).toBeAllclose(expected.logProbabilities.data, allowed);
    expect(now.values).toBeAllclose(expected.values.data, allowed);
    expect(now.rewards).toBeAllclose(expected.rewards.data, allowed);
    expect(now.returns).toBeAllclose(expected.returns.data, allowed);
    expect(now.advantages).toBeAllclose(expected.whitenedAdvantages.data, allowed);
    expect([now.kl.reduce((sum, value) => sum + value, 0) / now.kl.length]).toBeAllclose([expected.kl], allowed);
  });

  it.each([...courses, ...moreCourses])('follows PyTorch’s %s through both rollouts', (name) => {
    expect(found[name]).toBeAllclose(ppo[name], tolerance.trajectory);
  });

  it('has the shape of the N+ reference log: exact zeros at first, then a rise, and zeros again at the next rollout', () => {
    for (const start of [0, ppo.innerEpochs]) {
      const kls = found.approximateKls.slice(start, start + ppo.innerEpochs);
      expect([kls[0], found.clipFractions[start], found.ratioMeans[start]]).toEqual([0, 0, 1]);
      expect(Math.abs(found.policyLosses[start]!)).toBeLessThan(1e-6);
      expect(kls).toEqual([...kls].sort((a, b) => a - b));
      expect(kls[1]).toBeGreaterThan(0);
    }
  });
});
