import { beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import type { TokenBatch } from '../../src/batch/token-batch.ts';
import { rowBatches } from '../../src/batch/token-batch.ts';
import { InvariantError } from '../../src/errors.ts';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import type { LearnSettings } from '../../src/execution/phases.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, newModel } from '../../src/model/model.ts';
import type { DistillOptions, StudentAndTeacher } from '../../src/objectives/distill.ts';
import { askTeacher, distillation, layOutForBoth } from '../../src/objectives/distill.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import { seededRandom } from '../../src/random.ts';
import '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const sequences = [9, 7, 12, 5].map((length, seed) => ({
  ids: tinyIds(length, seed),
  learned: Int32Array.from({ length }, (_, i) => (i > 2 ? 1 : 0)),
}));
const rows = packSequences(sequences, 12, 0);
const rate = { learningRate: 0.01, clipNorm: null, where: 'test' };
const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;

/** A fresh student with its optimizer, used and freed. */
async function withStudent<T>(use: (student: Model, adam: AdamW) => Promise<T>, seed = 2): Promise<T> {
  const student = tinyModel('llama', 'tokens', seed);
  const adam = createAdamW(student.parameters.layout, settings);
  try {
    return await use(student, adam);
  } finally {
    disposeModel(student);
    disposeAdamW(adam);
  }
}
/** One update; the teacher is asked where it counts. */
async function distilled(
  models: StudentAndTeacher,
  adam: AdamW,
  microBatches: readonly TokenBatch[],
  { alpha, temperature, ...settings }: LearnSettings & DistillOptions,
) {
  const laidOut = microBatches.map((part) => layOutForBoth(models, part));
  const parts = alpha > 0 ? laidOut.map((part) => askTeacher(models, part)) : laidOut;
  return learn(models.student, adam, distillation({ alpha, temperature }), parts, settings);
}
const weightsOf = (model: Model): Float32Array => model.parameters.flat.dataSync() as Float32Array;

describe.each(lanesToTest())('on the %s lane', (lane) => {
  let teacher: Model;
  beforeAll(async () => {
    await useLane(lane);
    teacher = tinyModel('gpt2');
    return () => disposeModel(teacher);
  });

  it('with alpha 0 is the update of the next token', async () => {
    const found = await withStudent(async (student, adam) => {
      const update = await distilled({ student, teacher }, adam, [rows], {
        ...rate,
        alpha: 0,
        temperature: 2,
      });
      return { loss: update.loss, kl: update.stats.kl, weights: weightsOf(student) };
    });
    const expected = await withStudent(async (student, adam) => {
      const { loss } = await learnFrom(student, adam, nextToken, [rows], rate);
      return { loss, kl: 0, weights: weightsOf(student) };
    });
    expect(found).toEqual(expected);
  });

  it('does not depend on how rows are split into micro-batches', async () => {
    const options = { ...rate, alpha: 0.7, temperature: 2 };
    const update = (size: number) =>
      withStudent(async (student, adam) => {
        const { loss, stats } = await distilled({ student, teacher }, adam, rowBatches(rows, size), options);
        return [loss, stats.kl, stats.crossEntropy];
      });
    expect(await update(rows.batch)).toBeAllclose(await update(1), { rtol: 1e-5, atol: 1e-6 });
  });

  it('with alpha 1 brings the student to the teacher', async () => {
    await withStudent(async (student, adam) => {
      const options = { ...rate, learningRate: 0.02, alpha: 1, temperature: 1 };
      const step = async () => (await distilled({ student, teacher }, adam, [rows], options)).stats.kl;
      const first = await step();
      for (let i = 0; i < 60; i++) await step();
      expect(await step()).toBeLessThan(0.05 * first);
    });
  });

  it('is at its minimum, without a gradient, where student and teacher are one model', async () => {
    await withStudent(async (student, adam) => {
      const same = tinyModel('llama', 'tokens', 2);
      const options = { ...rate, alpha: 1, temperature: 3 };
      const { loss, gradientNorm } = await distilled({ student, teacher: same }, adam, [rows], options);
      expect([loss, gradientNorm]).toBeAllclose([0, 0], { rtol: 0, atol: 1e-5 });
      disposeModel(same);
    });
  });

  it.each([28, 40])('compares the tokens both have where the teacher has an embedding of %i rows', async (vocab) => {
    const sizes = { vocab, context: 24, layers: 1, heads: 2, dModel: 8 };
    const other = newModel(gpt2Style(sizes), 'tokens', seededRandom(1));
    // Ids that every embedding has.
    const low = { ...rows, ids: rows.ids.map((id) => id % 28) };
    await withStudent(async (student, adam) => {
      const { loss } = await distilled({ student, teacher: other }, adam, [low], {
        ...rate,
        alpha: 1,
        temperature: 1,
      });
      expect(loss).toBeGreaterThan(0);
      expect(loss).toBeLessThan(20);
    });
    disposeModel(other);
  });

  it('refuses rows without a learned token, and frees its tensors', async () => {
    const nothing = { ...rows, learned: new Int32Array(rows.learned.length) };
    const options = { ...rate, alpha: 0.5, temperature: 2 };
    await withStudent(async (student, adam) => {
      await distilled({ student, teacher }, adam, [rows], options);
      await expectNeutralAfter(async () => {
        await expect(distilled({ student, teacher }, adam, [nothing], options)).rejects.toThrow(InvariantError);
        await distilled({ student, teacher }, adam, [rows], options);
      });
    });
  });
});
