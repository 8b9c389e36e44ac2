/** What is trained, frozen and adapted, at which rates; and what a run is told to take in memory. */
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { rateOf, trainingPlan } from '../../src/checkpoint/training-plan.ts';
import { CheckpointError, ConfigError } from '../../src/errors.ts';
import { announceMemory, checkMemory, estimateMemory } from '../../src/execution/memory-estimate.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import type { ParameterSpec } from '../../src/tensor/parameters.ts';
import { adapterSpecs } from '../../src/tensor/parameters.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const dimensions = llamaStyle({ vocab: 9, context: 8, layers: 3, heads: 2, dModel: 8, tiedHead: false });
const tuning = {
  method: 'full',
  freeze: { embeddings: false, layers: 0 },
  rates: { layerDecay: 1, embeddings: 1, head: 1 },
} as const;
const lora = { rank: 2, alpha: 4, dropout: 0, targets: ['all-linear'], rankStabilized: false };
const adapted = { method: 'lora', lora, rates: { layerDecay: 1, head: 1 } } as const;
const memory = { recompute: false, frozen: 'float32' } as const;
const specs = parameterSpecs(dimensions, 'tokens');
const namesOf = (some: readonly ParameterSpec[]): string[] => some.map(({ name }) => name);

describe('a plan', () => {
  it('trains everything, or leaves out embeddings and the first layers', () => {
    const all = trainingPlan(dimensions, 'tokens', tuning, memory);
    expect(specs.every(all.trains)).toBe(true);
    const part = trainingPlan(dimensions, 'tokens', { ...tuning, freeze: { embeddings: true, layers: 2 } }, memory);
    const left = namesOf(specs.filter(part.trains));
    expect(left.every((name) => name.startsWith('blocks.2.') || /^(final_norm|head)/.test(name))).toBe(true);
    expect(left).toContain('head.weight');
    expect(left).toContain('blocks.2.mlp.output.weight');
  });

  it('is refused where more layers are to stay than there are, or nothing is frozen that could be kept otherwise', async () => {
    const plan = (freeze: { embeddings: boolean; layers: number }) =>
      problemsOf(() => trainingPlan(dimensions, 'tokens', { ...tuning, freeze }, rounded), '');
    const rounded = { ...memory, frozen: 'bfloat16' } as const;
    expect(await plan({ embeddings: false, layers: 0 })).toEqual([
      'memory.frozen: expected float32, as every matrix is trained and none is frozen; received bfloat16. Use tuning.method=lora or tuning.freeze, or leave it out.',
    ]);
    expect(await plan({ embeddings: false, layers: 4 })).toEqual([
      'tuning.freeze.layers: expected at most 3, the layers of the model; received 4. Correct the number.',
    ]);
    for (const freeze of [
      { embeddings: true, layers: 0 },
      { embeddings: false, layers: 3 },
    ])
      expect(await plan(freeze)).toEqual([]);
    expect(trainingPlan(dimensions, 'tokens', adapted, rounded).frozenPrecision).toBe('bfloat16');
  });

  it('of adapters trains them and a score head, on the layers that are named', () => {
    const plan = (targets: string[]) =>
      trainingPlan(dimensions, 'score', { ...adapted, lora: { ...lora, targets } }, memory);
    const query = plan(['q_proj', 'v_proj']);
    expect(query.adapters?.places.map(({ matrix, from, to }) => [matrix.name, from, to])).toEqual(
      [0, 1, 2].flatMap((layer) => [
        [`blocks.${layer}.attention.qkv.weight`, 0, 8],
        [`blocks.${layer}.attention.qkv.weight`, 16, 24],
      ]),
    );
    expect(namesOf(parameterSpecs(dimensions, 'score').filter(query.trains))).toEqual(['score.weight']);
    expect(() => plan(['c_attn', 'q_proj'])).toThrow(
      new ConfigError(
        'tuning.lora.targets: c_attn: no linear layer of a llama model is called so; expected all-linear or some of ' +
          'q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.',
      ),
    );
  });

  it('slows layers down by their depth below the top, and groups by their factors', () => {
    const ofSpec = rateOf(dimensions, { ...tuning, rates: { layerDecay: 0.5, embeddings: 0.1, head: 3 } });
    const adapters = trainingPlan(dimensions, 'tokens', adapted, memory).adapters!;
    const all = [...specs, ...adapterSpecs(adapters)];
    const rate = (name: string): number => ofSpec(all.find((spec) => spec.name === name)!);
    expect(rate('head.weight')).toBe(3);
    expect(rate('final_norm.gain')).toBe(1);
    expect([0, 1, 2].map((layer) => rate(`blocks.${layer}.mlp.input.weight`))).toEqual([0.125, 0.25, 0.5]);
    expect(rate('embedding.tokens')).toBeCloseTo(0.1 / 16, 12);
    expect(rate('blocks.2.attention.qkv.q_proj.lora.a')).toBe(0.5);
  });
});

describe.each(lanesToTest())('memory on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });
  const large = llamaStyle({ vocab: 600, context: 64, layers: 4, heads: 4, dModel: 64 });
  const shapes = { train: { rows: 4, seq: 64, logits: 64 } };
  const planned = (changes: object) =>
    [
      { dimensions: large, head: 'tokens', plan: trainingPlan(large, 'tokens', tuning, { ...memory, ...changes }) },
    ] as const;

  it('grows with rows where steps are compiled', async () => {
    const whole = await estimateMemory(planned({}), [], shapes);
    const twice = await estimateMemory(planned({}), [], { train: { ...shapes.train, rows: 8 } });
    expect(twice.step / whole.step).toBeGreaterThan(1.6);
  });

  it('counts the micro-batch and the gradient of a loss that is added', async () => {
    const { train } = shapes;
    const alone = await estimateMemory(planned({}), [], shapes);
    const beside = await estimateMemory(planned({}), [], { train, added: { ...train, rows: 8 } });
    expect(beside.step).toBe(
      (await estimateMemory(planned({}), [], { train: { ...train, rows: 8 } })).step + alone.weights,
    );
  });

  it('grows with rows, and is less where layers are computed again, where steps run eagerly', async () => {
    setCompilation({ compile: 'off' });
    onTestFinished(() => setCompilation({}));
    const whole = await estimateMemory(planned({}), [], shapes);
    const twice = await estimateMemory(planned({}), [], { train: { ...shapes.train, rows: 8 } });
    const again = await estimateMemory(planned({ recompute: true }), [], shapes);
    expect(twice.step / whole.step).toBeGreaterThan(1.6);
    expect(again.step).toBeLessThan(0.7 * whole.step);
    expect(whole.moments).toBe(2 * whole.weights);
  });

  it('is refused where it does not fit, naming what would lower it; a small model is let through in silence', async () => {
    const estimate = await estimateMemory(planned({}), [], shapes);
    expect(() => checkMemory(estimate, 0.01, 2 ** 40)).toThrow(CheckpointError);
    expect(() => checkMemory(estimate, 0.01, 2 ** 40)).toThrow(/there are 0\.01 GB[\s\S]*memory\.recompute: true/);
    expect(() => checkMemory(estimate, null, 2 ** 40)).not.toThrow();
    const said: string[] = [];
    await announceMemory((line) => said.push(line), 0.001, { trained: planned({}), others: [] }, shapes);
    expect(said).toEqual([]);
  });
});
