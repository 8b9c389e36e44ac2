/** Low-rank adapters that PEFT made: logits, loss, every gradient, merging, and the folders we write. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TokenBatch } from '../../src/batch/token-batch.ts';
import { readAdapterFolder, writeAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { adapterPlan } from '../../src/checkpoint/adapter-plan.ts';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { lossAndGradient } from '../../src/execution/gradient.ts';
import { learn } from '../../src/execution/learn.ts';
import { decode, selectPositions } from '../../src/model/decoder.ts';
import { scores } from '../../src/model/heads.ts';
import { hostValues } from '../../src/model/host-values.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { adaptModel, disposeModel, modelWeights, trainNothing, withoutAdapters } from '../../src/model/model.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import type { ParameterSpec } from '../../src/tensor/parameters.ts';
import { adapterSpecs, parameterValues } from '../../src/tensor/parameters.ts';
import { createStoredVector } from '../../src/tensor/stored-vector.ts';
import type { Scalar, Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { readTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { disposeTensors, everyLogit, lastTokens, paddedInputs, scoresAt, targetLoss, targetsOf } from './batches.ts';

const cases = [
  ...['llama-qv', 'llama-all', 'llama-rank-stabilized', 'gpt2-all', 'gpt-neox-all'],
  ...['gpt2-default', 'gpt-neox-default', 'llama-score'],
  ...['llama-tokens', 'llama-tokens-tied', 'gpt2-tokens', 'gpt-neox-tokens'],
];
const withTokens = cases.filter((name) => name.includes('tokens'));

type Expected = Record<'inputIds' | 'attentionMask' | 'logits', FixtureTensor> & { loss: number; family: string };

const inFolder = useTemporaryFolder();

function load(name: string): Model {
  const { family } = fixture<Expected>(`lora/${name}.json`);
  const base = loadModelFolder(fixturePath(`families/${family}`), { plan: trainNothing(), tokenizer: null }).model;
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
    const { hidden } = decode(dimensions, weights, inputs, { recompute });
    return tf.mean(tf.square(tf.sub(scores(weights, selectPositions(hidden, last)), 1)));
  };
  const found = lossAndGradient(model.parameters, (weights) => ({ loss: loss(weights), stats: {} }));
  disposeTensors(targets);
  disposeInputs(inputs);
  last.dispose();
  return found;
}

/** The fixture's rows, everything but the first token and padding learned. */
function batchOf({ inputIds, attentionMask }: Expected): TokenBatch {
  const [batch, seq] = inputIds.shape as [number, number];
  const each = (of: (visible: number, column: number, i: number) => number): Int32Array =>
    Int32Array.from(attentionMask.data, (visible, i) => of(visible, i % seq, i));
  return {
    batch,
    seq,
    ids: Int32Array.from(inputIds.data),
    segments: each((visible) => visible),
    positions: each((visible, column) => visible * column),
    learned: each((visible, column) => (column === 0 ? 0 : visible)),
  };
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
      const asAdapter = { ...model, parameters: { ...parameters, stored: createStoredVector(tf.tensor1d(flat)) } };
      writeAdapterFolder(inFolder(), asAdapter, 'x');
      asAdapter.parameters.stored.dispose();
      const found = readTensors(inFolder('adapter_model.safetensors'));
      const gradients = readTensors(fixturePath(`lora/${name}/gradients.safetensors`));
      expect([...found.keys()].sort()).toEqual([...gradients.keys()].sort());
      for (const [key, { shape, values }] of gradients) {
        expect(found.get(key)!.shape, key).toEqual(shape);
        expect(found.get(key)!.values, key).toBeAllclose(values, tolerance.gradient);
      }
      disposeModel(model);
    });

    it.runIf(withTokens.includes(name))('has PyTorch’s rows, and all else, after a step of AdamW', async () => {
      const model = load(name);
      const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-3, epsilonStyle: 'pytorch', weightDecay: 0.1 } as const;
      const adam = createAdamW(model.parameters.layout, options);
      const batch = nextToken.layOut(model, batchOf(expected));
      const { loss } = await learn(model, adam, nextToken, [batch], { learningRate: 0.1, clipNorm: null, where: name });
      expect([loss]).toBeAllclose([expected.loss], tolerance.forward);
      writeAdapterFolder(inFolder(), model, 'x');
      const [found, theirs] = [inFolder('adapter_model'), fixturePath(`lora/${name}/stepped`)].map((path) =>
        readTensors(`${path}.safetensors`),
      );
      expect([...found!.keys()].sort()).toEqual([...theirs!.keys()].sort());
      // A small gradient divided by itself and 1e-3: its relative error, times the rate of 0.1.
      for (const [key, { values }] of theirs!)
        expect(found!.get(key)!.values, key).toBeAllclose(values, { rtol: 1e-4, atol: 1e-5 });
      disposeAdamW(adam);
      disposeModel(model);
    });

    it('merged into its base gives the same logits', () => {
      const model = load(name);
      writeModelFolder(inFolder(), model, { tokenizer: byteTokenizer() });
      const merged = loadModelFolder(inFolder(), { tokenizer: null }).model;
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

describe('rows of tokens', () => {
  it('are read in any order, and lie in the order of their ids', () => {
    const { dimensions } = readModelConfig(fixturePath('families/llama2/config.json'));
    const { plan, read } = readAdapterFolder(fixturePath('adapters/tokens-untied'), dimensions);
    expect(plan.tokenRows).toMatchObject([{ name: 'embedding.tokens.rows', ids: [3, 7, 40] }]);
    const spec = adapterSpecs(plan).at(-1)!;
    const given = readTensors(fixturePath('adapters/tokens-untied/adapter_model.safetensors'));
    const { values, shape } = given.get('base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta')!;
    expect([spec.role, spec.shape]).toEqual(['embedding.tokens', shape]);
    const row = (i: number): Float32Array => values.subarray(i * shape[1]!, (i + 1) * shape[1]!);
    // The file has those of 3, 40 and 7.
    expect(read(spec)).toEqual(Float32Array.from([...row(0), ...row(2), ...row(1)]));
  });

  it.each([
    ['llama3', ['embedding.tokens.rows']],
    ['llama2', ['embedding.tokens.rows', 'head.rows']],
  ])('begin as the table’s, and change nothing yet: %s', (family, names) => {
    const folder = fixturePath(`families/${family}`);
    const { dimensions } = readModelConfig(`${folder}/config.json`);
    const settings = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj'], rankStabilized: false };
    const adapters = adapterPlan(dimensions, 'tokens', settings, [45, 46]);
    expect(adapters.tokenRows.map(({ name }) => name)).toEqual(names);
    for (const frozenPrecision of ['float32', 'bfloat16'] as const) {
      const plan = { ...trainNothing(frozenPrecision), adapters };
      const { model } = loadModelFolder(folder, { plan, tokenizer: null });
      const whole = loadModelFolder(folder, { plan: trainNothing(), tokenizer: null }).model;
      const expected = fixture<Expected>('lora/llama-qv.json');
      const [found, without] = [logitsOf(model, expected), logitsOf(whole, expected)];
      const close = frozenPrecision === 'float32' ? tolerance.forward : { rtol: 0.1, atol: 0.1 };
      expect(found).toBeAllclose(without, close);
      // The rows themselves are never rounded.
      const spec = model.parameters.layout.specs.find(({ name }) => name === 'embedding.tokens.rows')!;
      const table = hostValues(whole)('embedding.tokens');
      const rows = parameterValues(model.parameters.layout, take(model.parameters.flat.clone()), spec.name);
      expect(rows).toEqual(table.slice(45 * dimensions.dModel, 47 * dimensions.dModel));
      disposeModel(model);
      disposeModel(whole);
    }
  });
});

describe('a plan', () => {
  it('chooses the modules PEFT chooses', () => {
    // What a case names; every linear layer where it names nothing. A plan has no choice of layers.
    const chosen: Readonly<Record<string, readonly string[]>> = {
      ...{ 'llama-qv': ['q_proj', 'v_proj'], 'llama-score': ['q_proj', 'v_proj'] },
      ...{ 'llama-tokens': ['q_proj', 'v_proj'], 'llama-tokens-tied': ['q_proj', 'v_proj'], 'gpt2-tokens': ['c_attn'] },
      ...{ 'gpt-neox-default': ['query_key_value'], 'gpt-neox-tokens': ['query_key_value'] },
    };
    for (const name of cases.filter((one) => one !== 'gpt2-default')) {
      const { family } = fixture<Expected>(`lora/${name}.json`);
      const { dimensions } = loadModelFolder(fixturePath(`families/${family}`), {
        plan: trainNothing(),
        tokenizer: null,
      }).model;
      const saved = readAdapterFolder(fixturePath(`lora/${name}`), dimensions);
      const rankStabilized = ['llama-rank-stabilized', 'gpt-neox-default'].includes(name);
      const settings = { rank: 4, alpha: 8, dropout: 0, targets: chosen[name] ?? ['all-linear'], rankStabilized };
      const newTokens = withTokens.includes(name) ? [9, 45, 46, 60] : [];
      const { places, tokenRows } = adapterPlan(dimensions, saved.head, settings, newTokens);
      expect({ places, tokenRows }).toEqual({ places: saved.plan.places, tokenRows: saved.plan.tokenRows });
      if (rankStabilized) expect(saved.plan.scale).toBeCloseTo(4, 12);
    }
  });

  it('starts with adapters that change nothing', () => {
    const folder = fixturePath('families/llama3');
    const { dimensions } = loadModelFolder(folder, { plan: trainNothing(), tokenizer: null }).model;
    const adapters = adapterPlan(dimensions, 'tokens', {
      ...{ rank: 2, alpha: 4, dropout: 0, targets: ['all-linear'], rankStabilized: false },
    });
    const { model } = loadModelFolder(folder, { plan: { ...trainNothing(), adapters }, tokenizer: null });
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

describe('an adapter that PEFT computes otherwise', () => {
  const { dimensions } = readModelConfig(fixturePath('families/llama3/config.json'));
  const refused: readonly (readonly [changes: Readonly<Record<string, unknown>>, named: string])[] = [
    [{ peft_type: 'IA3' }, 'peft_type'],
    [{ bias: 'all' }, 'bias'],
    [{ use_dora: true }, 'use_dora'],
    [{ lora_bias: true }, 'lora_bias'],
    [{ rank_pattern: { q_proj: 2 } }, 'rank_pattern'],
    [{ alpha_pattern: { q_proj: 2 } }, 'alpha_pattern'],
    [{ layer_replication: [[0, 2]] }, 'layer_replication'],
    [{ alora_invocation_tokens: [9, 20] }, 'alora_invocation_tokens'],
    [{ init_lora_weights: 'pissa_niter_16' }, 'init_lora_weights'],
    [{ init_lora_weights: 'olora' }, 'init_lora_weights'],
    [{ some_new_method: { factor: 2 } }, 'some_new_method'],
    [{ r: 0 }, 'r'],
  ];

  it.each(refused)('is refused by name: %j', async (changes, named) => {
    copyAdapter('llama-qv', changes);
    const problems = await problemsOf(() => readAdapterFolder(inFolder(), dimensions), inFolder());
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^adapter_config.json ${named}: .*expected`))]);
  });

  it('is refused where it names rows that it does not bring, or brings rows that the model has not', async () => {
    copyAdapter('llama-qv', { trainable_token_indices: [3] });
    const rows = 'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta';
    expect(await problemsOf(() => readAdapterFolder(inFolder(), dimensions), inFolder())).toEqual([
      `adapter_model.safetensors: tensor "${rows}": expected shape [1, 24], received nothing.`,
    ]);
    const smaller = { ...dimensions, vocab: 50 };
    expect(
      await problemsOf(() => readAdapterFolder(fixturePath('lora/llama-tokens-tied'), smaller), fixturePath('lora')),
    ).toEqual([expect.stringMatching(/has rows of tokens 60; expected some of the model's 50/)]);
  });

  it('is refused where its tensors have another rank than it says, or fit another model', async () => {
    copyAdapter('llama-qv', { r: 8 });
    const problems = await problemsOf(() => readAdapterFolder(inFolder(), dimensions), inFolder());
    const first = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
    expect(problems[0]).toBe(`adapter_model.safetensors: tensor "${first}": expected shape [8, 24], received [4, 24].`);
    const wider = readModelConfig(fixturePath('families/gpt-neox/config.json')).dimensions;
    const others = await problemsOf(() => readAdapterFolder(inFolder(), wider), inFolder());
    expect(others).toContain('adapter_model.safetensors: changes no linear layer of this model.');
  });

  it('is read where the difference is only in how it began', () => {
    copyAdapter('llama-qv', {
      init_lora_weights: 'gaussian',
      layers_to_transform: [0, 1],
      peft_version: '9.9',
      eva_config: {},
    });
    expect(readAdapterFolder(inFolder(), dimensions).plan.rank).toBe(4);
  });
});

/** An adapter of the fixtures with other words in adapter_config.json. */
function copyAdapter(name: string, changes: Readonly<Record<string, unknown>>): void {
  const from = fixturePath(`lora/${name}`);
  symlinkSync(join(from, 'adapter_model.safetensors'), inFolder('adapter_model.safetensors'));
  const original = JSON.parse(readFileSync(join(from, 'adapter_config.json'), 'utf8')) as object;
  writeFileSync(inFolder('adapter_config.json'), JSON.stringify({ ...original, ...changes }));
}
