/** Ten training steps from the same weights on the same batch as PyTorch: losses and gradient norms, step by step. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { bradleyTerry } from '../../src/objectives/bradley-terry.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath } from '../helpers/fixtures.ts';
import { updateParameters } from '../helpers/update-parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import type { LanguageModel } from './batches.ts';
import {
  disposeTensors,
  languageModels,
  lastTokens,
  paddedInputs,
  scoresAt,
  targetLoss,
  targetsOf,
} from './batches.ts';

interface Course {
  losses: number[];
  gradientNorms: number[];
}
interface Trajectories {
  optimizer: Record<'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'maximumNorm', number>;
  language: Record<'inputIds' | 'attentionMask' | 'lossMask', FixtureTensor> &
    Record<LanguageModel, Course> & { learningRate: number };
  bradleyTerry: Record<'chosenIds' | 'chosenMask' | 'rejectedIds' | 'rejectedMask', FixtureTensor> &
    Course & { learningRate: number; centring: number };
}

const { optimizer, language, bradleyTerry: pairs } = fixture<Trajectories>('trajectories.json');

/** Trains as long as the fixture did and compares every step. */
function expectCourse(model: Model, expected: Course, learningRate: number, loss: (weights: Weights) => Scalar): void {
  const adam = createAdamW(model.parameters.layout, { ...optimizer, epsilonStyle: 'pytorch' });
  const steps = expected.losses.map((_, step) =>
    updateParameters(model.parameters, adam, [(weights) => ({ loss: loss(weights), stats: {} })], {
      learningRate,
      clipNorm: optimizer.maximumNorm,
      where: `step ${step}`,
    }),
  );
  disposeAdamW(adam);
  expect(steps.map((step) => step.loss)).toBeAllclose(expected.losses, tolerance.trajectory);
  expect(steps.map((step) => step.gradientNorm)).toBeAllclose(expected.gradientNorms, tolerance.trajectory);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(languageModels)('%s learns a masked batch as PyTorch does', (name) => {
    const { model } = loadModelFolder(fixturePath(`models/${name}`), { tokenizer: null });
    const inputs = paddedInputs(model.dimensions, language.inputIds, language.attentionMask);
    const targets = targetsOf(language.inputIds, language.lossMask);
    expectCourse(model, language[name], language.learningRate, (weights) =>
      targetLoss(model.dimensions, weights, inputs, targets),
    );
    disposeTensors(targets);
    disposeInputs(inputs);
    disposeModel(model);
  });

  it('a scalar head learns preferences by Bradley–Terry as PyTorch does', () => {
    const { model } = loadModelFolder(fixturePath('models/llama-scores'), { tokenizer: null });
    const { dimensions } = model;
    const chosen = paddedInputs(dimensions, pairs.chosenIds, pairs.chosenMask);
    const rejected = paddedInputs(dimensions, pairs.rejectedIds, pairs.rejectedMask);
    const [lastChosen, lastRejected] = [lastTokens(pairs.chosenMask), lastTokens(pairs.rejectedMask)];
    const margin = tf.tensor1d(new Float32Array(lastChosen.size));
    expectCourse(model, pairs, pairs.learningRate, (weights) => {
      const better = scoresAt(dimensions, weights, chosen, lastChosen);
      const worse = scoresAt(dimensions, weights, rejected, lastRejected);
      return bradleyTerry(better, worse, { margin, centring: pairs.centring }).loss;
    });
    tf.dispose([lastChosen, lastRejected, margin]);
    disposeInputs(chosen);
    disposeInputs(rejected);
    disposeModel(model);
  });
});
