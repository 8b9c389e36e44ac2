import { beforeAll, describe, expect, it } from 'vitest';
import { explainedVariance, ppoMetrics, rolloutMetrics } from '../../src/alignment/ppo-metrics.ts';
import '../helpers/allclose.ts';
import { useLane } from '../helpers/use-lane.ts';
import { ppoWorld } from './ppo-world.ts';

const f = (...values: number[]): Float32Array => Float32Array.from(values);

describe('explainedVariance', () => {
  const ones = f(1, 1, 1);

  it('is 1 for a critic that is right up to a constant, 0 for a constant one, negative for a worse one', () => {
    expect(explainedVariance(f(1, 2, 6), f(2, 3, 7), ones)).toBe(1);
    expect(explainedVariance(f(4, 4, 4), f(1, 2, 6), ones)).toBe(0);
    expect(explainedVariance(f(6, 2, 1), f(1, 2, 6), ones)).toBeLessThan(0);
  });

  it('is 1 − 1/4 where errors are half as spread as returns', () => {
    expect([explainedVariance(f(1, 3), f(0, 4), f(1, 1))]).toBeAllclose([0.75]);
  });

  it('looks at the mask alone, and is 0 where returns do not vary', () => {
    expect([explainedVariance(f(1, 99, 3), f(0, -99, 4), f(1, 0, 1))]).toBeAllclose([0.75]);
    expect(explainedVariance(f(1, 2), f(3, 3), f(1, 1))).toBe(0);
  });
});

describe('rolloutMetrics', () => {
  beforeAll(async () => {
    await useLane();
  });

  it('gives every declared metric of a rollout, from its parts', async () => {
    const world = ppoWorld();
    const rollout = {
      ...(await world.rollout()),
      responses: [f(1, 1), f(1), f(1, 1, 1, 1), f(1)].map((ids) => Int32Array.from(ids)),
      ended: Uint8Array.of(1, 1, 0, 1),
    };
    world.dispose();
    const numbers = {
      scores: f(1, 2, 3, -1),
      kl: f(0, 4, 2, 2),
      klWeight: 0.5,
      returns: rollout.values,
      gold: [0.25, 0.75, 0.5, 0.5],
    };
    const inner = {
      ...{ epochs: 2, updates: 8, policyLoss: 0.1, valueLoss: 0.2, clipFraction: 0.3, valueClipFraction: 0.4 },
      mix: { loss: 2.5, gradientRatio: 0.25 },
      ...{ ratio: 1.5, gradientNorm: 0.6, valueGradientNorm: 0.7, approxKl: 0.8, approxKlByEpoch: [0, 0.9] },
    };
    const entropy = rollout.entropy.filter((_, i) => rollout.mask[i] === 1);
    const found = rolloutMetrics(rollout, numbers, inner);
    expect(found).toEqual({
      'reward/score': 1.25,
      'reward/rlhf': 0.25,
      'reward/gold': 0.5,
      'kl/response': 2,
      'kl/weight': 0.5,
      'loss/policy': 0.1,
      'policy/approx_kl': 0.8,
      'policy/approx_kl_first': 0,
      'policy/clip_fraction': 0.3,
      'policy/ratio': 1.5,
      'policy/entropy': entropy.reduce((sum, x) => sum + x, 0) / entropy.length,
      'policy/gradient_norm': 0.6,
      'policy/mix_loss': 2.5,
      'policy/mix_gradient_ratio': 0.25,
      'policy/inner_epochs': 2,
      'loss/value': 0.2,
      'value/clip_fraction': 0.4,
      'value/explained_variance': 1,
      'value/gradient_norm': 0.7,
      'response/length': 2,
      'response/eos_fraction': 0.75,
    });
    const declared = Object.keys(ppoMetrics).filter((name) => !/^(held_out|speed|optimizer)\//.test(name));
    expect(Object.keys(found).sort()).toEqual(declared.sort());
  });
});
