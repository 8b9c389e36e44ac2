/** Each invariant holds for a real rollout, and each is found when it is broken on purpose. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Rollout } from '../../src/alignment/collect.ts';
import type { Checks, RolloutCheck } from '../../src/alignment/invariants.ts';
import { checkFirstUpdate, checkReference, checkRollout } from '../../src/alignment/invariants.ts';
import { InvariantError } from '../../src/errors.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { ppoWorld } from './ppo-world.ts';

const goOn = 'The last checkpoint is kept. runtime.checks: warn goes on in spite of this.';
const check: RolloutCheck = { isFirst: true, checks: 'strict', where: 'ppo step 1' };
const limit = 'expected a difference of at most 0.002, received';

describe.each(lanesToTest())('checkRollout on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  /** The problems that strict checks find in a rollout changed by hand. */
  async function problems(
    change: (rollout: Rollout) => Partial<Rollout>,
    options: Partial<RolloutCheck> = {},
  ): Promise<string[]> {
    const world = ppoWorld();
    const rollout = await world.rollout();
    try {
      checkRollout({ ...rollout, ...change(rollout) }, world.models, { ...check, ...options }, () => undefined);
      return [];
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      return [...error.problems];
    } finally {
      world.dispose();
    }
  }

  /** Adds to the first response token of the first row. */
  const nudge = (values: Float32Array, by: number): Float32Array => values.map((x, i) => (i === 0 ? x + by : x));

  it('finds nothing in a real rollout', async () => {
    expect(await problems(() => ({}))).toEqual([]);
  });

  it('finds a cache that disagrees with a full pass, also by NaN', async () => {
    const name = 'log-probabilities of cached, left-padded decoding and of a full, right-padded pass';
    expect(await problems(({ drawnLogProbs }) => ({ drawnLogProbs: nudge(drawnLogProbs, 0.5) }))).toEqual([
      `ppo step 1: ${name}: ${limit} 5.00e-1.`,
      goOn,
    ]);
    expect(await problems(({ drawnLogProbs }) => ({ drawnLogProbs: nudge(drawnLogProbs, Number.NaN) }))).toEqual([
      `ppo step 1: ${name}: ${limit} Infinity.`,
      goOn,
    ]);
  });

  it('finds a policy that is not the reference before the first update, and does not ask later', async () => {
    const moved = ({ referenceLogProbs }: Rollout) => ({ referenceLogProbs: nudge(referenceLogProbs, 0.25) });
    expect(await problems(moved)).toEqual([
      `ppo step 1: log-probabilities of policy and reference before the first update (KL 0): ${limit} 2.50e-1.`,
      goOn,
    ]);
    expect(await problems(moved, { isFirst: false })).toEqual([]);
  });

  it('finds a score that depends on its batch, and a row without a response, both at once', async () => {
    const found = await problems(({ scores, responses }) => ({
      scores: nudge(scores, 1),
      responses: [...responses.slice(0, 3), new Int32Array()],
    }));
    expect(found).toEqual([
      `ppo step 1: reward of a response alone and in its batch: ${limit} 1.00e+0.`,
      'ppo step 1: rows without a response: expected 0, received 1.',
      goOn,
    ]);
  });

  it('never looks at masked tokens', async () => {
    const spoil = (values: Float32Array, mask: Float32Array): Float32Array => values.map((x, i) => (mask[i] ? x : 99));
    expect(
      await problems(({ drawnLogProbs, referenceLogProbs, mask }) => ({
        drawnLogProbs: spoil(drawnLogProbs, mask),
        referenceLogProbs: spoil(referenceLogProbs, mask),
      })),
    ).toEqual([]);
  });

  it.runIf(lane === 'tensorflow')('allows for what bfloat16 products round, and for no more', async () => {
    setCompilation({ compile: 'on', precision: 'bf16' });
    try {
      const found = (by: number) => problems(({ drawnLogProbs }) => ({ drawnLogProbs: nudge(drawnLogProbs, by) }));
      expect(await found(0)).toEqual([]);
      // A mantissa of 8 bits: 50 · 2⁻⁸.
      expect((await found(0.4))[0]).toMatch(
        /^ppo step 1: log-probabilities .* expected a difference of at most 0\.1953125,/,
      );
      const first = (ratio: number) =>
        checkFirstUpdate('strict', { ratio, approxKl: 0, clipFraction: 0 }, 'x', () => {});
      expect(first(1.01)).toBeUndefined();
      expect(() => first(1.02)).toThrow(InvariantError);
    } finally {
      setCompilation({});
    }
  });

  it('warns, or keeps still, where asked', async () => {
    const world = ppoWorld();
    const rollout = await world.rollout();
    const broken = { ...rollout, scores: nudge(rollout.scores, 1) };
    const said = (checks: Checks): string[] => {
      const lines: string[] = [];
      checkRollout(broken, world.models, { ...check, checks }, (line) => lines.push(line));
      return lines;
    };
    expect(said('warn')).toEqual([
      `warning: ppo step 1: reward of a response alone and in its batch: ${limit} 1.00e+0.`,
    ]);
    expect(said('off')).toEqual([]);
    expectNeutral(() => {
      said('warn');
    });
    world.dispose();
  });
});

describe('checkFirstUpdate', () => {
  const say = (): void => undefined;

  it('accepts ratio 1, KL 0 and nothing clipped, up to rounding', () => {
    expect(
      checkFirstUpdate('strict', { ratio: 1.0000001, approxKl: 1e-13, clipFraction: 0 }, 'x', say),
    ).toBeUndefined();
  });

  it('names all three when the policy is not the one that sampled', () => {
    const stats = { ratio: 1.25, approxKl: 0.5, clipFraction: 0.125 };
    const expected = [
      'ppo step 3: ratio of the first update: expected 1, received 1.25.',
      'ppo step 3: approx_kl of the first update: expected 0, received 0.5.',
      'ppo step 3: clip_fraction of the first update: expected 0, received 0.125.',
    ];
    expect(() => checkFirstUpdate('strict', stats, 'ppo step 3', say)).toThrow(new InvariantError([...expected, goOn]));
    const lines: string[] = [];
    checkFirstUpdate('warn', stats, 'ppo step 3', (line) => lines.push(line));
    expect(lines).toEqual(expected.map((line) => `warning: ${line}`));
  });

  it('takes NaN for a failure', () => {
    const stats = { ratio: Number.NaN, approxKl: Number.NaN, clipFraction: Number.NaN };
    expect(() => checkFirstUpdate('strict', stats, 'x', say)).toThrow(InvariantError);
  });
});

it('a policy that learns from pairs directly begins at its reference: refused, told or not looked at', () => {
  const said: string[] = [];
  const check = (furthest: number, checks: 'strict' | 'warn' | 'off') =>
    checkReference(furthest, checks, (line) => said.push(line));
  const problem =
    'dpo: log-probabilities of policy and reference before the first update: expected the same, within 0.002 nats a token, received 0.1 apart.';
  expect(() => check(0.1, 'strict')).toThrow(problem);
  check(1e-4, 'strict');
  check(0.1, 'off');
  expect(said).toEqual([]);
  check(0.1, 'warn');
  expect(said).toEqual([`warning: ${problem}`]);
});
