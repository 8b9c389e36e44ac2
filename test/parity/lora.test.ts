/** Low-rank adapters that PEFT made: logits, loss, every gradient, merging, and the folders we write. */
import { beforeAll, describe, expect, it } from 'vitest';
import { readAdapterFolder, writeAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { adapterPlan } from '../../src/checkpoint/adapter-plan.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { decode, selectPositions } from '../../src/model/decoder.ts';
import { scores } from '../../src/model/heads.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { adaptModel, disposeModel, modelWeights, trainNothing, withoutAdapters } from '../../src/model/model.ts';
import type { ParameterSpec } from '../../src/tensor/parameters.ts';
import { parameterValues } from '../../src/tensor/parameters.ts';
import type { Scalar, Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import { lossAndGradient } from '../../src/training/gradient.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { disposeTensors, everyLogit, lastTokens, paddedInputs, scoresAt, targetLoss, targetsOf } from './batches.ts';

const cases = [
  ...['llama-qv', 'llama-all', 'llama-rank-stabilized', 'gpt2-all', 'gpt-neox-all'],
  ...['gpt2-default', 'gpt-neox-default', 'llama-score'],
];

type Expected = Record<'inputIds' | 'attentionMask' | 'logits', FixtureTensor> & { loss: number; family: string };

const inFolder = useTemporaryFolder();

function load(name: string): Model {
  const { family } = fixture<Expected>(`lora/${name}.json`);
  const base = loadModelFolder(fixturePath(`families/${family}`), { plan: trainNothing() }).model;
  const { plan, head, read } = readAdapterFolder(fixturePath(`lora/${name}`), base.dimensions);
  return adaptModel(base, head, plan, read);
}

/** Logits of the fixture's rows, 0 on padding; or the scores of their last tokens. */
function logitsOf(model: Model, { inputIds, attentionMask }: Expected): Float32Array {
  const inputs = paddedInputs(model.dimensions, inputIds, attentionMask);
  const last = lastTokens(attentionMask);
  const { dimensions, head } = model;
  const read = (): Tensor =>
    head === 'score'
      ? scoresAt(dimensions, modelWeights(model), inputs, last)
      : everyLogit(dimensions, modelWeights(model), inputs);
  const found = take(tf.tidy(read));
  disposeInputs(inputs);
  last.dispose();
  if (head === 'score') return found;
  return found.map((value, i) => (attentionMask.data[Math.floor(i / dimensions.vocab)] ? value : 0));
}

/** What the fixture's loss is: cross-entropy of every real token but the first, or the mean square of score − 1. */
function lossOf(model: Model, { inputIds, attentionMask }: Expected, recompute: boolean) {
  const { dimensions, head } = model;
  const inputs = paddedInputs(dimensions, inputIds, attentionMask);
  const last = lastTokens(attentionMask);
  const learned = attentionMask.data.map((flag, i) => (i % (inputIds.shape[1] as number) === 0 ? 0 : flag));
  const targets = targetsOf(inputIds, { shape: inputIds.shape, data: learned });
  const loss = (weights: Weights): Scalar => {
    if (head === 'tokens') return targetLoss(dimensions, weights, inputs, targets, { recompute });
    const { hidden } = decode(dimensions, weights, inputs, [], { recompute });
    return tf.mean(tf.square(tf.sub(scores(weights, selectPositions(hidden, last)), 1)));
  };
  const found = lossAndGradient(model.parameters, (weights) => ({ loss: loss(weights), stats: {} }));
  disposeTensors(targets);
  disposeInputs(inputs);
  last.dispose();
  return found;
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  describe.each(cases)('%s', (name) => {
    const expected = fixture<Expected>(`lora/${name}.json`);

    it('gives PEFT’s logits, and other ones than its base', () => {
      const model = load(name);
      expect(logitsOf(model, expected)).toBeAllclose(expected.logits.data, tolerance.forward);
      // A score model's head is trained with the adapters, so it has none without.
      const { parameters, head } = model;
      const off = parameters.adapters && { ...parameters.adapters, scale: 0 };
      const unchanged =
        head === 'score' ? { ...model, parameters: { ...parameters, adapters: off } } : withoutAdapters(model);
      expect(logitsOf(unchanged, expected)).not.toBeAllclose(expected.logits.data, { rtol: 0.1, atol: 0.1 });
      disposeModel(model);
    });

    it.each([false, true])('gives PEFT’s loss and every gradient (recomputing: %s)', (recompute) => {
      const model = load(name);
      const { parameters } = model;
      const { loss, gradient } = lossOf(model, expected, recompute);
      expect([loss]).toBeAllclose([expected.loss], tolerance.forward);
      // As an adapter file, so that names, transposition and order are those of PEFT.
      const flat = take(gradient);
      const asAdapter = { ...model, parameters: { ...parameters, flat: tf.tensor1d(flat) } };
      writeAdapterFolder(inFolder(), asAdapter, 'x');
      asAdapter.parameters.flat.dispose();
      const found = readTensors(inFolder('adapter_model.safetensors'));
      const gradients = readTensors(fixturePath(`lora/${name}/gradients.safetensors`));
      expect([...found.keys()].sort()).toEqual([...gradients.keys()].sort());
      for (const [key, { shape, values }] of gradients) {
        expect(found.get(key)!.shape, key).toEqual(shape);
        expect(found.get(key)!.values, key).toBeAllclose(values, tolerance.gradient);
      }
      disposeModel(model);
    });

    it('merged into its base gives the same logits', () => {
      const model = load(name);
      writeModelFolder(inFolder(), model, { tokenizer: byteTokenizer() });
      const merged = loadModelFolder(inFolder()).model;
      expect(merged.parameters.adapters).toBeNull();
      const largest = Math.max(...expected.logits.data.map(Math.abs));
      const [a, b] = [logitsOf(merged, expected), logitsOf(model, expected)];
      expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / largest).toBeLessThan(1e-5);
      disposeModel(model);
      disposeModel(merged);
    });

    it('comes back bit for bit from the folder we write', () => {
      const model = load(name);
      writeAdapterFolder(inFolder(), model, 'base');
      const [ours, theirs] = [inFolder(), fixturePath(`lora/${name}`)].map((folder) =>
        readTensors(`${folder}/adapter_model.safetensors`),
      );
      expect(new Map([...ours!].sort())).toEqual(new Map([...theirs!].sort()));
      const again = readAdapterFolder(inFolder(), model.dimensions);
      expect(again).toMatchObject({ base: 'base', head: model.head, plan: model.parameters.adapters });
      disposeModel(model);
    });
  });
});

describe('a plan', () => {
  it('chooses the modules PEFT chooses', () => {
    // What a case names; every linear layer where it names nothing. A plan has no choice of layers.
    const chosen: Readonly<Record<string, readonly string[]>> = {
      ...{ 'llama-qv': ['q_proj', 'v_proj'], 'llama-score': ['q_proj', 'v_proj'] },
      'gpt-neox-default': ['query_key_value'],
    };
    for (const name of cases.filter((one) => one !== 'gpt2-default')) {
      const { family } = fixture<Expected>(`lora/${name}.json`);
      const { dimensions } = loadModelFolder(fixturePath(`families/${family}`), { plan: trainNothing() }).model;
      const saved = readAdapterFolder(fixturePath(`lora/${name}`), dimensions);
      const rankStabilized = ['llama-rank-stabilized', 'gpt-neox-default'].includes(name);
      const settings = { rank: 4, alpha: 8, dropout: 0, targets: chosen[name] ?? ['all-linear'], rankStabilized };
      const { places } = adapterPlan(dimensions, saved.head, settings);
      expect(places).toEqual(saved.plan.places);
      if (rankStabilized) expect(saved.plan.scale).toBeCloseTo(4, 12);
    }
  });

  it('starts with adapters that change nothing', () => {
    const folder = fixturePath('families/llama3');
    const { dimensions } = loadModelFolder(folder, { plan: trainNothing() }).model;
    const adapters = adapterPlan(dimensions, 'tokens', {
      ...{ rank: 2, alpha: 4, dropout: 0, targets: ['all-linear'], rankStabilized: false },
    });
    const { model } = loadModelFolder(folder, { plan: { ...trainNothing(), adapters } });
    const base = withoutAdapters(model);
    const expected = fixture<Expected>('lora/llama-qv.json');
    expect(logitsOf(model, expected)).toEqual(logitsOf(base, expected));
    const values = (spec: ParameterSpec): Float32Array =>
      parameterValues(model.parameters.layout, take(model.parameters.flat.clone()), spec.name);
    const [a] = model.parameters.layout.specs.filter(({ name }) => name.endsWith('.a'));
    expect(values(a!).some((value) => value !== 0)).toBe(true);
    disposeModel(model);
  });
});
