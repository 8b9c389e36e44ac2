/** PPO with a pre-training mix against PyTorch: losses, the norms of both gradients and of their sum, update by update. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import { packedResponseBatch } from '../../src/batch/response-batch.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Learned } from '../../src/execution/learn.ts';
import { learn } from '../../src/execution/learn.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import type { PpoRows } from '../../src/objectives/ppo.ts';
import { ppoPolicy } from '../../src/objectives/ppo.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, floats } from '../helpers/fixtures.ts';
import { useLane, waysToTest } from '../helpers/use-lane.ts';

type Rows = 'ids' | 'mask' | 'responseMask' | 'mixIds' | 'mixMask' | 'mixLossMask';
type Course = Record<'policyLosses' | 'mixLosses' | 'policyNorms' | 'mixNorms' | 'norms', number[]>;
const from = fixture<
  Record<Rows | 'oldLogProbabilities' | 'advantages', FixtureTensor> &
    Record<'maximumNorm' | 'learningRate' | 'clipRange' | 'temperature' | 'promptWidth', number> & {
      optimizer: Record<'beta1' | 'beta2' | 'epsilon' | 'weightDecay', number>;
      courses: (Course & { coefficient: number })[];
    }
>('pretraining-mix.json');

/** The visible tokens of padded rows. */
function sequences(ids: FixtureTensor, mask: FixtureTensor, learned: readonly number[]): TokenSequence[] {
  const [batch, seq] = ids.shape as [number, number];
  return Array.from({ length: batch }, (_, row) => {
    const visible = Array.from({ length: seq }, (_, t) => row * seq + t).filter((i) => mask.data[i] === 1);
    const take = (data: readonly number[]): Int32Array => Int32Array.from(visible, (i) => data[i]!);
    return { ids: take(ids.data), learned: take(learned) };
  });
}

const response = from.responseMask.shape[1]!;
/** 1 where a token of the rollout is a response's. */
const answered = from.ids.data.map((_, i) => {
  const [row, t] = [Math.floor(i / from.ids.shape[1]!), (i % from.ids.shape[1]!) - from.promptWidth];
  return t < 0 ? 0 : from.responseMask.data[row * response + t]!;
});
const rollout = sequences(from.ids, from.mask, answered);
const grid = { sequences: rollout.length, response };
const numbers = { oldLogProbs: floats(from.oldLogProbabilities), advantages: floats(from.advantages) };
const unread = new Float32Array(numbers.oldLogProbs.length);
const rowsOf = (lines: readonly number[]): PpoRows => {
  const batch = packedResponseBatch(
    lines.map((line) => rollout[line]!),
    0,
    { grid, lines },
  );
  return { ...numbers, batch, oldValues: unread, returns: unread };
};
const mixed = packSequences(sequences(from.mixIds, from.mixMask, from.mixLossMask.data), 24, 0);

/** The updates of a course; `lines` are the micro-batches of a rollout. */
async function learned(coefficient: number, lines: readonly (readonly number[])[]): Promise<Learned<never>[]> {
  const model: Model = loadModelFolder(fixturePath('models/llama-tied'), { tokenizer: null }).model;
  const adam = createAdamW(model.parameters.layout, { ...from.optimizer, epsilonStyle: 'pytorch' });
  const policy = ppoPolicy(from);
  const parts = lines.map((each) => policy.layOut(model, rowsOf(each)));
  const added = { loss: nextToken, microBatches: [nextToken.layOut(model, mixed)], coefficient };
  const settings = { learningRate: from.learningRate, clipNorm: from.maximumNorm, where: 'ppo' };
  const updates: Learned<never>[] = [];
  for (const _ of from.courses[0]!.norms) updates.push(await learn(model, adam, policy, parts, settings, added));
  expect(adam.step).toBe(updates.length);
  disposeAdamW(adam);
  disposeModel(model);
  return updates;
}

describe.each(waysToTest())('on the $lane lane, graphs $compile', ({ lane, compile }) => {
  beforeAll(async () => {
    await useLane(lane);
    setCompilation({ compile });
  });
  afterAll(() => setCompilation({}));

  it.each(from.courses)('follows PyTorch with coefficient $coefficient', async (expected) => {
    for (const lines of [[[0, 1, 2, 3]], [[2], [0, 3], [1]]]) {
      const updates = await learned(expected.coefficient, lines);
      const course = (number: (update: Learned<never>) => number): number[] => updates.map(number);
      const { trajectory } = tolerance;
      expect(course(({ loss }) => loss)).toBeAllclose(expected.policyLosses, trajectory);
      expect(course(({ added }) => added!.loss)).toBeAllclose(expected.mixLosses, trajectory);
      expect(course(({ added }) => added!.norms.own)).toBeAllclose(expected.policyNorms, trajectory);
      expect(course(({ added }) => added!.norms.added)).toBeAllclose(expected.mixNorms, trajectory);
      expect(course(({ gradientNorm }) => gradientNorm)).toBeAllclose(expected.norms, trajectory);
    }
  });
});
