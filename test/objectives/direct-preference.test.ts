/** Learning from pairs directly through the real packed path: step-0 values, every response read alone, pieces, what is reported. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chunks } from '../../src/batch/chunks.ts';
import { promptAndResponse } from '../../src/batch/response-batch.ts';
import type { TokenSequence } from '../../src/batch/token-batch.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { directPreference } from '../../src/objectives/direct-preference.ts';
import type { PairIds } from '../../src/objectives/pair-batch.ts';
import type { PreferenceLoss, PreferenceLossKind } from '../../src/objectives/preference-losses.ts';
import { usualBeta } from '../../src/objectives/preference-losses.ts';
import { tolerance } from '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { logSoftmax, readAlone } from '../helpers/read-alone.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStyles } from '../model/tiny-model.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const settings = { learningRate: 0.01, clipNorm: 1, where: 'dpo step 1' };

/** Three answers to one prompt, all compared; then a pair of another prompt. */
const answers = [2, 5, 9].map((length, i) => promptAndResponse(tinyIds(4, 1), tinyIds(length, 10 + i)));
const others = [4, 6].map((length, i) => promptAndResponse(tinyIds(6, 2), tinyIds(length, 20 + i)));
const pairs: PairIds[] = [
  ...answers.flatMap((chosen, i) => answers.slice(i + 1).map((rejected) => ({ chosen, rejected, margin: 0 }))),
  { chosen: others[0]!, rejected: others[1]!, margin: 0 },
];

const lossOf = (kind: PreferenceLossKind, changes: Partial<PreferenceLoss> = {}): PreferenceLoss => ({
  ...{ kind, beta: usualBeta[kind], labelSmoothing: 0, targetMargin: 0.25, sft: 0, referenceFree: false },
  ...changes,
});

/** Σ log π of the response, of one sequence by itself, in float64. */
function sumLogProb(model: Model, { ids, learned }: TokenSequence): number {
  const states = readAlone(model, ids);
  return [...ids].reduce((sum, token, t) => (learned[t] === 1 ? sum + logSoftmax(states[t - 1]!)[token]! : sum), 0);
}
const length = ({ learned }: TokenSequence): number => learned.reduce((sum, flag) => sum + flag, 0);
const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  /** One update of a new model on the pairs in pieces, against a reference. */
  async function update(loss: PreferenceLoss, referenceOf: (of: TokenSequence) => number, size = pairs.length) {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const objective = directPreference({ loss, referenceOf, padId: 0 });
    const found = await learnFrom(model, adam, objective, chunks(pairs, size), settings);
    const moved = [...adam.first.read()];
    disposeAdamW(adam);
    disposeModel(model);
    return { ...found, moved };
  }
  function atStart(): (of: TokenSequence) => number {
    const model = tinyModel();
    const found = new Map([...answers, ...others].map((each) => [each.ids.join(), sumLogProb(model, each)]));
    disposeModel(model);
    return ({ ids }) => found.get(ids.join())!;
  }

  // The value of each formula where policy and reference agree.
  it.each<[PreferenceLossKind, Partial<PreferenceLoss>, number]>([
    ['sigmoid', {}, Math.LN2],
    ['sigmoid', { labelSmoothing: 0.1 }, Math.LN2],
    ['robust', { labelSmoothing: 0.1 }, Math.LN2],
    ['hinge', {}, 1],
    ['ipo-sum', {}, 25],
    ['ipo-mean', {}, 25],
    ['sigmoid-mean', {}, Math.LN2],
  ])('%s %o costs %d a pair before the first update', async (kind, changes, value) => {
    const { loss, stats } = await update(lossOf(kind, changes), atStart());
    expect([loss]).toBeAllclose([value], { rtol: 1e-5, atol: 0 });
    expect([stats.chosenReward, stats.rejectedReward, stats.chosenShift]).toBeAllclose([0, 0, 0], {
      rtol: 0,
      atol: 1e-4,
    });
  });

  it.each(tinyStyles)('%s: loss, implicit rewards and shift are those of responses read alone', async (style) => {
    const model = tinyModel(style);
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const logProb = (of: TokenSequence): number => sumLogProb(model, of);
    const referenceOf = ({ ids }: TokenSequence): number => -2 * ids.length;
    const shift = (of: TokenSequence): number => logProb(of) - referenceOf(of);
    const differences = pairs.map(({ chosen, rejected }) => 0.1 * (shift(chosen) - shift(rejected)));
    const expected = [
      mean(differences.map((d) => Math.log1p(Math.exp(-d)))) +
        0.5 * mean(pairs.map(({ chosen }) => -logProb(chosen) / length(chosen))),
      mean(differences.map((d) => (d > 0 ? 1 : 0))),
      0.1 * mean(pairs.map(({ chosen }) => shift(chosen))),
      0.1 * mean(pairs.map(({ rejected }) => shift(rejected))),
      mean(pairs.map(({ chosen }) => logProb(chosen))),
      mean(pairs.map(({ rejected }) => logProb(rejected))),
      mean(pairs.map(({ chosen }) => shift(chosen))),
      mean(pairs.map(({ chosen }) => (shift(chosen) < 0 ? 1 : 0))),
    ];
    const objective = directPreference({ loss: lossOf('sigmoid', { sft: 0.5 }), referenceOf, padId: 0 });
    const { loss, stats } = await learnFrom(model, adam, objective, [pairs], settings);
    const found = [
      ...[loss, stats.accuracy, stats.chosenReward, stats.rejectedReward],
      ...[stats.chosenLogProb, stats.rejectedLogProb, stats.chosenShift, stats.displaced],
    ];
    expect(found).toBeAllclose(expected, tolerance.forward);
    disposeAdamW(adam);
    disposeModel(model);
  });

  it.each([
    'sigmoid',
    'ipo-mean',
    'simpo',
    'orpo',
  ] as const)('%s: pieces of one pair give the update of the whole', async (kind) => {
    const loss = lossOf(kind, { sft: 0.3 });
    const referenceOf = ({ ids }: TokenSequence): number => -3 * ids.length;
    const [whole, alone] = [await update(loss, referenceOf), await update(loss, referenceOf, 1)];
    expect([alone.loss, alone.gradientNorm]).toBeAllclose([whole.loss, whole.gradientNorm], tolerance.forward);
    expect(alone.moved).toBeAllclose(whole.moved, tolerance.gradient);
  });

  it('every setting changes the number it claims to', async () => {
    const referenceOf = ({ ids }: TokenSequence): number => -3 * ids.length;
    const at = async (kind: PreferenceLossKind, changes: Partial<PreferenceLoss> = {}): Promise<number> =>
      (await update(lossOf(kind, changes), referenceOf)).loss;
    const plain = await at('sigmoid');
    for (const changes of [{ beta: 0.2 }, { labelSmoothing: 0.1 }, { sft: 1 }, { referenceFree: true }]) {
      expect(Math.abs((await at('sigmoid', changes)) - plain)).toBeGreaterThan(1e-3);
    }
    expect(await at('sigmoid', { targetMargin: 1 })).toBe(plain);
    expect(await at('simpo', { targetMargin: 1 })).toBeGreaterThan((await at('simpo')) + 0.1);
  });
});

it('smoothing the labels weakens the gradient of equal responses, allowing for wrong ones strengthens it', async () => {
  await useLane(lanesToTest()[0]);
  const norm = async (loss: PreferenceLoss): Promise<number> => {
    const model = tinyModel();
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const referenceOf = (of: TokenSequence): number => sumLogProb(model, of);
    const { gradientNorm } = await learnFrom(
      model,
      adam,
      directPreference({ loss, referenceOf, padId: 0 }),
      ...([[pairs], settings] as const),
    );
    disposeAdamW(adam);
    disposeModel(model);
    return gradientNorm;
  };
  const [plain, smoothed, robust] = [
    await norm(lossOf('sigmoid')),
    await norm(lossOf('sigmoid', { labelSmoothing: 0.1 })),
    await norm(lossOf('robust', { labelSmoothing: 0.1 })),
  ];
  // In units of β: ½, 0.4 and 0.625.
  expect([smoothed / plain, robust / plain]).toBeAllclose([0.8, 1.25], { rtol: 1e-3, atol: 0 });
});
