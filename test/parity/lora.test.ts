/** Low-rank adapters that PEFT made: logits, loss, every gradient, merging, and the folders we write. */
import { beforeAll, describe, expect, it } from 'vitest';
import { readAdapterFolder, writeAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { adapterPlan } from '../../src/checkpoint/adapter-plan.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { adaptModel, disposeModel, modelWeights, trainNothing, withoutAdapters } from '../../src/model/model.ts';
import type { ParameterSpec } from '../../src/tensor/parameters.ts';
import { parameterValues } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import { lossAndGradient } from '../../src/training/gradient.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { disposeTensors, everyLogit, paddedInputs, targetLoss, targetsOf } from './batches.ts';

const cases = ['llama-qv', 'llama-all', 'llama-rank-stabilized', 'gpt2-all', 'gpt-neox-all'];

type Expected = Record<'inputIds' | 'attentionMask' | 'logits', FixtureTensor> & { loss: number; family: string };

const inFolder = useTemporaryFolder();

function load(name: string): Model {
  const { family } = fixture<Expected>(`lora/${name}.json`);
  const base = loadModelFolder(fixturePath(`families/${family}`), { plan: trainNothing() }).model;
  const { plan, head, read } = readAdapterFolder(fixturePath(`lora/${name}`), base.dimensions);
  return adaptModel(base, head, plan, read);
}

/** Logits of the fixture's rows, 0 on padding. */
function logitsOf(model: Model, { inputIds, attentionMask }: Expected): Float32Array {
  const inputs = paddedInputs(model.dimensions, inputIds, attentionMask);
  const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
  disposeInputs(inputs);
  const { vocab } = model.dimensions;
  return found.map((value, i) => (attentionMask.data[Math.floor(i / vocab)] ? value : 0));
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
      const base = withoutAdapters(model);
      expect(logitsOf(base, expected)).not.toBeAllclose(expected.logits.data, { rtol: 0.1, atol: 0.1 });
      disposeModel(model);
    });

    it.each([false, true])('gives PEFT’s loss and every gradient (recomputing: %s)', (recompute) => {
      const model = load(name);
      const { dimensions, parameters } = model;
      const inputs = paddedInputs(dimensions, expected.inputIds, expected.attentionMask);
      const width = expected.inputIds.shape[1]!;
      const learned = expected.attentionMask.data.map((flag, i) => (i % width === 0 ? 0 : flag));
      const targets = targetsOf(expected.inputIds, { shape: expected.inputIds.shape, data: learned });
      const { loss, gradient } = lossAndGradient(parameters, (weights) => ({
        loss: targetLoss(dimensions, weights, inputs, targets, { recompute }),
        stats: {},
      }));
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
      disposeTensors(targets);
      disposeInputs(inputs);
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
      expect(again).toMatchObject({ base: 'base', head: 'tokens', plan: model.parameters.adapters });
      disposeModel(model);
    });
  });
});

describe('a plan', () => {
  it('chooses the modules PEFT chooses', () => {
    for (const name of cases) {
      const { family } = fixture<Expected>(`lora/${name}.json`);
      const { dimensions } = loadModelFolder(fixturePath(`families/${family}`), { plan: trainNothing() }).model;
      const targets = name === 'llama-qv' ? ['q_proj', 'v_proj'] : ['all-linear'];
      const rankStabilized = name === 'llama-rank-stabilized';
      const settings = { rank: 4, alpha: 8, dropout: 0, targets, rankStabilized };
      const { places } = adapterPlan(dimensions, 'tokens', settings);
      const saved = readAdapterFolder(fixturePath(`lora/${name}`), dimensions);
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
