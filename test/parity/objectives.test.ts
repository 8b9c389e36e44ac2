/** Tensor objectives against PyTorch float64: values, statistics and gradients. */
import { beforeAll, describe, expect, it } from 'vitest';
import { bradleyTerry, bradleyTerryLoss } from '../../src/objectives/bradley-terry.ts';
import { maskedCrossEntropy } from '../../src/objectives/cross-entropy.ts';
import { tokenEntropy, tokenLogProbs } from '../../src/objectives/log-probabilities.ts';
import { clippedPolicyLoss, clippedValueLoss } from '../../src/objectives/ppo.ts';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { asRows, fixture, take, upload, uploadIntegers } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

interface Objectives {
  tokenLogProbabilities: {
    logits: FixtureTensor;
    targets: FixtureTensor;
    weights: FixtureTensor;
    atTemperature: Record<string, { logProbabilities: FixtureTensor; gradient: FixtureTensor; entropy: FixtureTensor }>;
  };
  crossEntropy: Record<'logits' | 'targets' | 'lossMask' | 'gradient', FixtureTensor> & { loss: number };
  bradleyTerry: Record<'chosen' | 'rejected' | 'margins', FixtureTensor> & {
    accuracy: number;
    cases: {
      margin: boolean;
      centring: number;
      loss: number;
      chosenGradient: FixtureTensor;
      rejectedGradient: FixtureTensor;
    }[];
  };
  ppoPolicy: Record<'oldLogProbabilities' | 'advantages' | 'responseMask', FixtureTensor> & {
    clipRange: number;
    cases: (Record<'newLogProbabilities' | 'gradient', FixtureTensor> &
      Record<'loss' | 'clipFraction' | 'approximateKl' | 'ratioMean', number>)[];
  };
  ppoValue: Record<'oldValues' | 'returns' | 'responseMask', FixtureTensor> & {
    clipRange: number;
    cases: (Record<'newValues' | 'gradient', FixtureTensor> & Record<'loss' | 'clipFraction', number>)[];
  };
}

const expected = fixture<Objectives>('objectives.json');
const flat = <T extends Tensor>(from: FixtureTensor): T => upload<T>(from, [from.data.length]);
const total = (mask: FixtureTensor): number => mask.data.reduce((sum, value) => sum + value, 0);
const scalar = (x: Scalar): number[] => [...x.dataSync()];

/** The gradient of a scalar function of one tensor, on the host. */
function gradientOf(x: Tensor, f: (x: Tensor) => Tensor): Float32Array {
  return take(tf.grad(f)(x));
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(['1.0', '0.7'])('gives token log-probabilities and entropy at temperature %s', (temperature) => {
    const { logits, targets, weights, atTemperature } = expected.tokenLogProbabilities;
    const from = atTemperature[temperature]!;
    const x = upload<Tensor2D>(logits, asRows(logits.shape));
    const ids = uploadIntegers<Tensor1D>(targets, [targets.data.length]);
    const w = flat(weights);
    const at = Number(temperature);
    expect(take(tokenLogProbs(x, ids, at))).toBeAllclose(from.logProbabilities.data, tolerance.forward);
    expect(take(tokenEntropy(x, at))).toBeAllclose(from.entropy.data, tolerance.forward);
    const gradient = gradientOf(x, (y) => tf.sum(tf.mul(w, tokenLogProbs(y as Tensor2D, ids, at))));
    expect(gradient).toBeAllclose(from.gradient.data, tolerance.gradient);
    tf.dispose([x, ids, w]);
  });

  it('averages cross-entropy over target tokens as torch does with ignored labels', () => {
    const from = expected.crossEntropy;
    const logits = upload<Tensor2D>(from.logits, asRows(from.logits.shape));
    const labels = uploadIntegers<Tensor1D>(from.targets, [from.targets.data.length]);
    const mask = flat<Tensor1D>(from.lossMask);
    const loss = (x: Tensor): Scalar => maskedCrossEntropy(x as Tensor2D, labels, mask, total(from.lossMask));
    expect(scalar(loss(logits))).toBeAllclose([from.loss], tolerance.forward);
    expect(gradientOf(logits, loss)).toBeAllclose(from.gradient.data, tolerance.gradient);
    tf.dispose([logits, labels, mask]);
  });

  it.each(expected.bradleyTerry.cases)('is Bradley–Terry with margin $margin and centring $centring', (from) => {
    const { chosen, rejected, margins, accuracy } = expected.bradleyTerry;
    const [better, worse] = [flat<Tensor1D>(chosen), flat<Tensor1D>(rejected)];
    const margin = from.margin ? flat<Tensor1D>(margins) : tf.tensor1d(margins.data.map(() => 0));
    const terms = (a: Tensor, b: Tensor) =>
      bradleyTerry(a as Tensor1D, b as Tensor1D, { margin, centring: from.centring });
    expect(scalar(terms(better, worse).loss)).toBeAllclose([from.loss], tolerance.forward);
    expect(scalar(terms(better, worse).accuracy)).toBeAllclose([accuracy]);
    const pairs = chosen.data.map((score, i) => {
      const [other, by] = [rejected.data[i] as number, from.margin ? (margins.data[i] as number) : 0];
      return { chosen: score, rejected: other, margin: by };
    });
    expect([bradleyTerryLoss(pairs, from.centring)]).toBeAllclose([from.loss], tolerance.forward);
    const gradients = tf.grads((a: Tensor, b: Tensor) => terms(a, b).loss)([better, worse]);
    expect(take(gradients[0]!)).toBeAllclose(from.chosenGradient.data, tolerance.gradient);
    expect(take(gradients[1]!)).toBeAllclose(from.rejectedGradient.data, tolerance.gradient);
    tf.dispose([better, worse, margin]);
  });

  it.each(expected.ppoPolicy.cases)('clips the policy loss (approximate KL $approximateKl)', (from) => {
    const { oldLogProbabilities, advantages, responseMask, clipRange } = expected.ppoPolicy;
    const rollout = {
      oldLogProbs: flat<Tensor1D>(oldLogProbabilities),
      advantages: flat<Tensor1D>(advantages),
      responseMask: flat<Tensor1D>(responseMask),
    };
    const fresh = flat<Tensor1D>(from.newLogProbabilities);
    const terms = (x: Tensor) => clippedPolicyLoss(x as Tensor1D, rollout, clipRange, total(responseMask));
    const found = terms(fresh);
    expect(scalar(found.loss)).toBeAllclose([from.loss], tolerance.forward);
    expect(scalar(found.approxKl)).toBeAllclose([from.approximateKl], tolerance.forward);
    expect(scalar(found.clipFraction)).toBeAllclose([from.clipFraction], tolerance.forward);
    expect(scalar(found.ratio)).toBeAllclose([from.ratioMean], tolerance.forward);
    expect(gradientOf(fresh, (x) => terms(x).loss)).toBeAllclose(from.gradient.data, tolerance.gradient);
    tf.dispose([fresh, ...Object.values(rollout)]);
  });

  it.each(expected.ppoValue.cases)('clips the value loss (clip fraction $clipFraction)', (from) => {
    const { oldValues, returns, responseMask, clipRange } = expected.ppoValue;
    const rollout = {
      oldValues: flat<Tensor1D>(oldValues),
      returns: flat<Tensor1D>(returns),
      responseMask: flat<Tensor1D>(responseMask),
    };
    const fresh = flat<Tensor1D>(from.newValues);
    const terms = (x: Tensor) => clippedValueLoss(x as Tensor1D, rollout, clipRange, total(responseMask));
    expect(scalar(terms(fresh).loss)).toBeAllclose([from.loss], tolerance.forward);
    expect(scalar(terms(fresh).clipFraction)).toBeAllclose([from.clipFraction], tolerance.forward);
    expect(gradientOf(fresh, (x) => terms(x).loss)).toBeAllclose(from.gradient.data, tolerance.gradient);
    tf.dispose([fresh, ...Object.values(rollout)]);
  });
});
