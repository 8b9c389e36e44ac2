/** Compiled steps against the same steps run eagerly: losses, statistics, norms, parameters, for every step function. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { responseLogProbsAndEntropy, responseScores, responseValues } from '../../src/alignment/score-responses.ts';
import { packSequences } from '../../src/batch/packing.ts';
import { gridMask, promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { rowsOfTable, type TokenTable, tokenTables } from '../../src/checkpoint/adapter-plan.ts';
import { InvariantError } from '../../src/errors.ts';
import type { AdamW, AdamWOptions } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import type { Objective } from '../../src/execution/objective.ts';
import type { LearnSettings } from '../../src/execution/phases.ts';
import { engine } from '../../src/graph/engine.ts';
import type { CompileSettings } from '../../src/graph/mode.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { Model } from '../../src/model/model.ts';
import { assembleModel, disposeModel, modelFrom } from '../../src/model/model.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { askTeacher, distillation, layOutForBoth } from '../../src/objectives/distill.ts';
import { nextToken, nextTokenLoss } from '../../src/objectives/next-token.ts';
import type { PpoRows } from '../../src/objectives/ppo.ts';
import { ppoPolicy, ppoValue } from '../../src/objectives/ppo.ts';
import { scorePairs } from '../../src/objectives/score-pairs.ts';
import { seededRandom } from '../../src/random.ts';
import { layoutOf, parameterValues, readParameters } from '../../src/tensor/parameters.ts';
import '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyDimensions, tinyIds, tinyModel, tinyStyles, tinyValues } from '../model/tiny-model.ts';

const adamOptions: AdamWOptions = {
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-6,
  epsilonStyle: 'pytorch',
  weightDecay: 0.1,
  rateOf: ({ role }) => (role === 'embedding.tokens' || role === 'embedding.positions' ? 0.5 : 1),
};
const update = { learningRate: 3e-3, clipNorm: 1, where: 'step' };

const rows = packSequences(
  [1, 2, 3, 4].map((seed) => ({
    ids: tinyIds(5 + seed, seed),
    learned: Int32Array.from({ length: 5 + seed }, (_, t) => (t < 2 ? 0 : 1)),
  })),
  12,
  0,
);
const pairs = [1, 2, 3].map((seed) => ({
  chosen: promptAndResponse(tinyIds(4, seed), tinyIds(2 + seed, 10 + seed)),
  rejected: promptAndResponse(tinyIds(4, seed), tinyIds(5, 20 + seed)),
  margin: seed / 10,
}));
const batch = responseBatch(
  [1, 2, 3, 4].map((seed) => promptAndResponse(tinyIds(2 + seed, seed), tinyIds(6 - seed, 10 + seed))),
  0,
  { seq: 12, response: 6 },
);
const mask = gridMask(batch);
const rollout: PpoRows = {
  batch,
  oldLogProbs: mask.map((flag, i) => flag * (-3 - (i % 5) / 10)),
  oldValues: mask.map((flag, i) => (flag * (i % 7)) / 7),
  advantages: mask.map((flag, i) => flag * ((i % 3) - 1)),
  returns: mask.map((flag, i) => (flag * (i % 4)) / 2),
};

const teachers = new WeakMap<Model, Model>();

/** A model to learn from, one for each student. */
function teacherOf(student: Model): Model {
  const teacher = teachers.get(student) ?? tinyModel('gpt2', 'tokens', 7);
  teachers.set(student, teacher);
  return teacher;
}

interface Numbers {
  readonly loss: number;
  readonly gradientNorm: number;
  readonly stats: Readonly<Record<string, number>>;
}

/** An update on the same micro-batches, for every model. */
function updateOn<Batch, Name extends string>(
  objective: Objective<Batch, Name>,
  batches: readonly Batch[],
  settings: LearnSettings = update,
) {
  return (model: Model, adam: AdamW): Promise<Numbers> => learnFrom(model, adam, objective, batches, settings);
}

const policy = ppoPolicy({ clipRange: 0.2, temperature: 0.7 });

/** One update of each kind; `head` of the model it takes. */
const steps: readonly {
  name: string;
  head: 'tokens' | 'score';
  run: (model: Model, adam: AdamW) => Promise<Numbers>;
}[] = [
  { name: 'next token', head: 'tokens', run: updateOn(nextToken, [rows]) },
  { name: 'next token in two parts', head: 'tokens', run: updateOn(nextToken, [rows, rows]) },
  { name: 'pairs', head: 'score', run: updateOn(scorePairs({ centring: 0.01, padId: 0 }), [pairs]) },
  {
    name: 'pairs in parts',
    head: 'score',
    run: updateOn(scorePairs({ centring: 0, padId: 0 }), [pairs.slice(0, 2), pairs.slice(2)]),
  },
  { name: 'policy', head: 'tokens', run: updateOn(policy, [rollout]) },
  { name: 'value', head: 'score', run: updateOn(ppoValue({ clipRange: 0.2 }), [rollout]) },
  {
    name: 'distillation',
    head: 'tokens',
    run: (model, adam) => {
      const models = { student: model, teacher: teacherOf(model) };
      const part = askTeacher(models, layOutForBoth(models, rows));
      return learn(model, adam, distillation({ alpha: 0.5, temperature: 2 }), [part], update);
    },
  },
];

/** Runs updates of a fresh model; `freeze` trains adapters of rank 2 with dropout on it instead of all of it. */
async function trajectory(
  settings: Partial<CompileSettings>,
  make: () => Model,
  count: number,
  run: (model: Model, adam: AdamW, step: number) => Promise<Numbers>,
  options: AdamWOptions = adamOptions,
) {
  setCompilation({ compile: 'on', ...settings });
  const model = make();
  const adam = createAdamW(model.parameters.layout, options);
  const numbers: Numbers[] = [];
  while (numbers.length < count) numbers.push(await run(model, adam, numbers.length));
  const result = {
    numbers,
    parameters: readParameters(model.parameters).slice(),
    first: adam.first.read().slice(),
    second: adam.second.read().slice(),
    step: adam.step,
  };
  disposeAdamW(adam);
  disposeModel(model);
  return result;
}

/** What one eager and one compiled run give. */
async function inBothModes<T>(run: (compile: 'on' | 'off') => Promise<T>): Promise<readonly [T, T]> {
  return [await run('off'), await run('on')];
}

function listed({ loss, gradientNorm, stats }: Numbers): number[] {
  return [loss, gradientNorm, ...Object.values(stats)];
}

function adapted(): Model {
  const dimensions = tinyDimensions.llama;
  const layout = layoutOf(parameterSpecs(dimensions, 'tokens'));
  const values = tinyValues(dimensions, 'tokens');
  const places = layout.specs
    .filter(({ role }) => role === 'attention.output')
    .map((matrix) => ({ name: `${matrix.name}.0`, matrix, from: 0, to: 16 }));
  const [table] = tokenTables(dimensions, 'tokens') as [TokenTable];
  const plan = {
    trains: () => false,
    adapters: { places, tokenRows: [rowsOfTable(table, [3, 7, 8])], scale: 2, dropout: 0.3, rank: 2 },
    frozenPrecision: 'float32',
    recompute: true,
  } as const;
  const read = ({ name }: { name: string }): Float32Array => parameterValues(layout, values, name).slice();
  return assembleModel(dimensions, 'tokens', read, plan, seededRandom(3, 'adapters'));
}

describe.runIf(lanesToTest().includes('tensorflow'))('compiled steps', () => {
  beforeAll(async () => {
    await useLane('tensorflow');
  });
  afterAll(() => setCompilation({}));

  it.each(steps)('$name: equal to eager ones after one step, and after 50', async ({ head, run }) => {
    const style = head === 'tokens' ? 'gpt2' : 'llama';
    const [eager, compiled] = await inBothModes((compile) =>
      trajectory({ compile }, () => tinyModel(style, head), 50, run),
    );
    expect(listed(compiled.numbers[0]!)).toBeAllclose(listed(eager.numbers[0]!), { rtol: 1e-5, atol: 1e-6 });
    for (const [i, found] of compiled.numbers.entries()) {
      expect([found.loss]).toBeAllclose([eager.numbers[i]!.loss], { rtol: 1e-3, atol: 1e-4 });
    }
    expect(compiled.parameters).toBeAllclose(eager.parameters, { rtol: 1e-3, atol: 1e-3 });
    expect(compiled.step).toBe(50);
  });

  it.each(tinyStyles)('%s: parameters and both moments are equal after one step', async (style) => {
    for (const epsilonStyle of ['pytorch', 'tensorflow'] as const) {
      for (const clipNorm of [null, 0.05]) {
        const [eager, compiled] = await inBothModes((compile) =>
          trajectory(
            { compile },
            () => tinyModel(style),
            1,
            updateOn(nextToken, [rows], { ...update, clipNorm }),
            // The first step is g / (|g| + ε): with a small ε it would show nothing but the rounding of small gradients.
            { ...adamOptions, epsilonStyle, epsilon: 1e-3 },
          ),
        );
        expect(compiled.parameters).toBeAllclose(eager.parameters, { rtol: 1e-5, atol: 1e-6 });
        expect(compiled.first).toBeAllclose(eager.first, { rtol: 1e-4, atol: 1e-7 });
        expect(compiled.second).toBeAllclose(eager.second, { rtol: 1e-4, atol: 1e-9 });
      }
    }
  });

  it('adapters that drop inputs, on frozen layers that are computed again: the seed of a step gives the same masks', async () => {
    const run = (model: Model, adam: AdamW, step: number) =>
      updateOn(nextToken, [rows, rows], { ...update, dropoutSeed: 100 + step })(model, adam);
    const [eager, compiled] = await inBothModes((compile) => trajectory({ compile }, adapted, 5, run));
    for (const [i, found] of compiled.numbers.entries()) {
      expect(listed(found)).toBeAllclose(listed(eager.numbers[i]!), { rtol: 1e-4, atol: 1e-6 });
    }
    expect(compiled.parameters).toBeAllclose(eager.parameters, { rtol: 1e-3, atol: 1e-5 });
    const other = await trajectory({}, adapted, 2, (model, adam, step) =>
      updateOn(nextToken, [rows, rows], { ...update, dropoutSeed: 5 + step })(model, adam),
    );
    // The second step: before the first, a change of zero is the same whatever is dropped.
    expect(other.numbers[1]!.loss).not.toBe(compiled.numbers[1]!.loss);
  });

  it('readings are equal to eager ones', () => {
    const read = (compile: 'on' | 'off'): number[] => {
      setCompilation({ compile });
      const [policy, scorer] = [tinyModel('gpt2'), tinyModel('llama', 'score')];
      const { logProbs, entropy } = responseLogProbsAndEntropy(policy, batch, 0.7);
      const loss = nextTokenLoss(policy, [rows]);
      const found = [loss, ...logProbs, ...entropy, ...responseValues(scorer, batch), ...responseScores(scorer, batch)];
      disposeModel(policy);
      disposeModel(scorer);
      return found;
    };
    expect(read('on')).toBeAllclose(read('off'), { rtol: 1e-5, atol: 1e-5 });
  });

  it('bf16 comes close in losses, and does something else', async () => {
    const run = steps[0]!.run;
    const exact = await trajectory({}, () => tinyModel('gpt2'), 10, run);
    const narrow = await trajectory({ precision: 'bf16' }, () => tinyModel('gpt2'), 10, run);
    for (const [i, { loss }] of narrow.numbers.entries()) {
      expect(Math.abs(loss / exact.numbers[i]!.loss - 1)).toBeLessThan(0.02);
    }
    expect(narrow.numbers[0]!.loss).not.toBe(exact.numbers[0]!.loss);
  });

  it('trace once for each set of shapes', async () => {
    setCompilation({ compile: 'on' });
    const model = tinyModel('gpt2');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const before = engine().traces;
    for (let i = 0; i < 4; i++) await updateOn(nextToken, [rows], { ...update, learningRate: 1e-3 * i })(model, adam);
    expect(engine().traces - before).toBe(1);
    for (let i = 0; i < 3; i++) await updateOn(nextToken, [rows, rows, rows])(model, adam);
    expect(engine().traces - before).toBe(3); // a part, and the application of the sum
    disposeAdamW(adam);
    disposeModel(model);
  });

  it('a step that fails rejects and leaves no trace: the next one is as if it had been the first', async () => {
    const spoiled = { ...rollout, advantages: rollout.advantages.map(() => Number.NaN) };
    const clean = await trajectory({}, () => tinyModel('gpt2'), 1, updateOn(policy, [rollout]));
    const after = await trajectory(
      {},
      () => tinyModel('gpt2'),
      1,
      async (model, adam) => {
        await expect(updateOn(policy, [spoiled])(model, adam)).rejects.toThrow(
          /^step: the loss is NaN and the gradient norm NaN; expected finite numbers/,
        );
        return updateOn(policy, [rollout])(model, adam);
      },
    );
    expect(after).toEqual(clean);
  });

  it.each([1, 2])('a step of %i micro-batches that is not finite changes no parameter and says so', async (parts) => {
    setCompilation({ compile: 'on' });
    const dimensions = tinyDimensions.gpt2;
    const values = tinyValues(dimensions, 'tokens');
    values[3] = Number.POSITIVE_INFINITY;
    const model = modelFrom(dimensions, 'tokens', values);
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const microBatches = Array.from({ length: parts }, () => rows);
    await expect(updateOn(nextToken, microBatches)(model, adam)).rejects.toThrow(InvariantError);
    expect(readParameters(model.parameters)).toEqual(values);
    disposeAdamW(adam);
    disposeModel(model);
  });
});
