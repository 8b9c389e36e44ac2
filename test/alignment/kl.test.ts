import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { klEstimate, nextKlWeight } from '../../src/alignment/kl.ts';
import '../helpers/allclose.ts';

const estimators = ['k1', 'k2', 'k3'] as const;
const logProb = fc.double({ min: -10, max: 0, noNaN: true });

describe('klEstimate', () => {
  it('gives k1, k2 and k3 by hand', () => {
    // Δ = log ½ − log ¼ = log 2: k1 = log 2, k2 = ½ log² 2, k3 = ½ − 1 + log 2
    const found = estimators.map((estimator) => klEstimate(estimator, Math.log(1 / 2), Math.log(1 / 4)));
    expect(found).toBeAllclose([Math.LN2, Math.LN2 ** 2 / 2, Math.LN2 - 0.5], { rtol: 1e-12, atol: 0 });
  });

  it('is 0 at equal policies', () => {
    fc.assert(
      fc.property(logProb, (x) => {
        for (const estimator of estimators) expect(klEstimate(estimator, x, x)).toBe(0);
      }),
      { seed: 1 },
    );
  });

  it('k2 and k3 are never negative; all three agree to second order near 0', () => {
    fc.assert(
      fc.property(logProb, logProb, (policy, reference) => {
        expect(klEstimate('k2', policy, reference)).toBeGreaterThanOrEqual(0);
        expect(klEstimate('k3', policy, reference)).toBeGreaterThanOrEqual(0);
      }),
      { seed: 1 },
    );
    const [k2, k3] = [klEstimate('k2', -1, -1.001), klEstimate('k3', -1, -1.001)];
    expect(Math.abs(k3 / k2 - 1)).toBeLessThan(1e-3);
  });

  it('k1 and k3 average to KL(π ‖ π_ref) over tokens of π; k2 does not', () => {
    const [policy, reference] = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]; // biome-ignore format: rows
    const exact = policy.reduce((sum, p, i) => sum + p * Math.log(p / reference[i]!), 0);
    const means = estimators.map((estimator) =>
      policy.reduce((sum, p, i) => sum + p * klEstimate(estimator, Math.log(p), Math.log(reference[i]!)), 0),
    );
    expect([means[0]!, means[2]!]).toBeAllclose([exact, exact], { rtol: 1e-12, atol: 0 });
    expect(Math.abs(means[1]! - exact)).toBeGreaterThan(0.005);
  });
});

describe('nextKlWeight', () => {
  const control = { control: 'adaptive', target: 6, horizon: 1000 } as const;

  it('stays where it is when fixed or on target', () => {
    expect(nextKlWeight(0.1, { control: 'fixed' }, 60, 100)).toBe(0.1);
    expect(nextKlWeight(0.1, control, 6, 100)).toBe(0.1);
  });

  it('stays above 0 for ever, whatever the KL, in a horizon of at least one rollout; in a fifth of it it would not', () => {
    const positive = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
    const kls = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(
        positive,
        fc.integer({ min: 1, max: 4096 }),
        fc.double({ min: 1, max: 1e4, noNaN: true }),
        kls,
        (
          start,
          responses,
          rollouts,
          seen, // biome-ignore format: one line
        ) => {
          const adaptive = { ...control, horizon: responses * rollouts };
          const end = seen.reduce((weight, kl) => nextKlWeight(weight, adaptive, kl, responses), start);
          expect(end).toBeGreaterThan(0);
          expect(end).toBeLessThan(Number.POSITIVE_INFINITY);
        },
      ),
      { seed: 1 },
    );
    expect(nextKlWeight(0.1, { ...control, horizon: 12 }, 0, 64)).toBeLessThan(0);
  });

  it('moves by the relative error, at most ±0.2, in proportion to the responses seen', () => {
    // 6.6 / 6 − 1 = 0.1 over a tenth of the horizon
    expect([nextKlWeight(0.1, control, 6.6, 100)]).toBeAllclose([0.101], { rtol: 1e-12, atol: 0 });
    expect([nextKlWeight(0.1, control, 600, 100), nextKlWeight(0.1, control, 0, 100)]).toBeAllclose([0.102, 0.098], {
      rtol: 1e-12,
      atol: 0,
    });
  });
});
