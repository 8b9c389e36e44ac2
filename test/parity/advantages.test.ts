/** Host arithmetic of PPO (KL, rewards, advantages, whitening, controller) against N+ and lm-human-preferences formulae. */
import { describe, expect, it } from 'vitest';
import { estimateAdvantages, maskedMoments, rescaleToUnitVariance, whiten } from '../../src/alignment/gae.ts';
import type { KlEstimator } from '../../src/alignment/kl.ts';
import { klEstimate, nextKlWeight } from '../../src/alignment/kl.ts';
import { rewardedScores, shapeRewards } from '../../src/alignment/shape-rewards.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, floats } from '../helpers/fixtures.ts';

interface Objectives {
  kl: Record<'logProbabilities' | 'referenceLogProbabilities' | KlEstimator, FixtureTensor>;
  gae: Record<'rewards' | 'values' | 'responseMask', FixtureTensor> & {
    cases: { gamma: number; lambda: number; advantages: FixtureTensor; returns: FixtureTensor }[];
  };
  whitening: Record<'values' | 'mask' | 'whitened' | 'whitenedMeanKept', FixtureTensor> & {
    mean: number;
    variance: number;
    published: Record<'values' | 'whitened', FixtureTensor> & { biasedVariance: number; unbiasedVariance: number };
  };
  rewardShaping: Record<
    'logProbabilities' | 'referenceLogProbabilities' | 'responseMask' | 'scores' | 'endedWithEos' | 'rewards',
    FixtureTensor
  > & { beta: number; missingEos: number };
  adaptiveKl: Record<'initial' | 'target' | 'horizon' | 'batch', number> & {
    observed: number[];
    coefficients: number[];
  };
}

const expected = fixture<Objectives>('objectives.json');

/** Where the tokens stand, by a [batch, response] mask of a fixture. */
const gridOf = (mask: FixtureTensor) => ({ mask: floats(mask), response: mask.shape[1]! });

describe('KL estimators', () => {
  it.each(['k1', 'k2', 'k3'] as const)('gives %s per token', (estimator) => {
    const { logProbabilities, referenceLogProbabilities } = expected.kl;
    const found = logProbabilities.data.map((value, i) =>
      klEstimate(estimator, value, referenceLogProbabilities.data[i]!),
    );
    expect(found).toBeAllclose(expected.kl[estimator].data, tolerance.byHand);
  });
});

describe('generalized advantage estimation', () => {
  it.each(expected.gae.cases)('equals N+ on ragged rows with γ $gamma and λ $lambda', ({ gamma, lambda, ...from }) => {
    const { rewards, values, responseMask } = expected.gae;
    const found = estimateAdvantages(floats(rewards), floats(values), gridOf(responseMask), gamma, lambda);
    expect(found.advantages).toBeAllclose(from.advantages.data, tolerance.byHand);
    expect(found.returns).toBeAllclose(from.returns.data, tolerance.byHand);
  });
});

describe('whitening', () => {
  const { values, mask, whitened, whitenedMeanKept, published, mean, variance } = expected.whitening;

  it('centres and scales over the mask as lm-human-preferences does', () => {
    expect(whiten(floats(values), floats(mask))).toBeAllclose(whitened.data, tolerance.byHand);
  });

  it('keeps the mean where asked, as lm-human-preferences does for rewards', () => {
    expect(rescaleToUnitVariance(floats(values), floats(mask))).toBeAllclose(whitenedMeanKept.data, tolerance.byHand);
  });

  it('uses the biased variance: .0667 and not .075 in the published example', () => {
    const everything = new Float32Array(published.values.data.length).fill(1);
    const found = maskedMoments(floats(published.values), everything).variance;
    expect([found]).toBeAllclose([published.biasedVariance], tolerance.byHand);
    expect([found]).not.toBeAllclose([published.unbiasedVariance], { rtol: 0.05 });
    expect(whiten(floats(published.values), everything)).toBeAllclose(published.whitened.data, tolerance.byHand);
  });

  it('gives the mean and variance over the mask', () => {
    const found = maskedMoments(floats(values), floats(mask));
    expect([found.mean, found.variance]).toBeAllclose([mean, variance], tolerance.byHand);
  });
});

describe('reward shaping', () => {
  it('puts −β · k1 on every response token and the score, or −1 without EOS, on the last', () => {
    const from = expected.rewardShaping;
    const scores = rewardedScores(floats(from.scores), Uint8Array.from(from.endedWithEos.data), from.missingEos);
    const [logProbs, referenceLogProbs] = [floats(from.logProbabilities), floats(from.referenceLogProbabilities)];
    const found = shapeRewards(scores, logProbs, referenceLogProbs, gridOf(from.responseMask), from.beta, 'k1');
    expect(found).toBeAllclose(from.rewards.data, tolerance.byHand);
  });
});

describe('adaptive KL controller', () => {
  it('follows lm-human-preferences through a sequence of observed KLs', () => {
    const { initial, target, horizon, batch, observed, coefficients } = expected.adaptiveKl;
    let weight = initial;
    const found = observed.map((kl) => {
      weight = nextKlWeight(weight, { control: 'adaptive', target, horizon }, kl, batch);
      return weight;
    });
    expect(found).toBeAllclose(coefficients, { rtol: 1e-9, atol: 0 });
  });
});
