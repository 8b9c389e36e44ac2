/** The life of values in the engine: where they are, that they come back, and that old graphs are swept away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engine, openEngine, runGraph, sweepEngine } from '../../src/compile/engine.ts';
import { addOutput, FLOAT32 } from '../../src/compile/graph.ts';
import { setCompilation } from '../../src/compile/mode.ts';
import { addPlaceholder } from '../../src/compile/variables.ts';
import { packSequences } from '../../src/data/packing.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { generate } from '../../src/rollout/generate.ts';
import { nextTokenLoss, nextTokenUpdate } from '../../src/steps/language-model.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import { createAdamW, disposeAdamW } from '../../src/training/adamw.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStop, tinyStyles } from '../model/tiny-model.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-6, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const update = { learningRate: 1e-2, clipNorm: 1, where: 'step' };
const rows = packSequences([{ inputIds: tinyIds(10, 1), lossMask: new Int32Array(10).fill(1) }], 12, 0);
const prompts = [5, 2, 9].map((length, seed) => tinyIds(length, seed));
const sampling = { temperature: 0.8, topK: 0, topP: 1, maxNewTokens: 12, batchSize: 3 };

describe.runIf(lanesToTest().includes('tensorflow'))('the engine', () => {
  beforeAll(async () => {
    await useLane('tensorflow');
  });
  afterAll(() => setCompilation({}));

  it('gives values back to eager code, and takes them again after an eager step', () => {
    const run = (modes: readonly ('on' | 'off')[]): Float32Array => {
      const model = tinyModel('gpt2');
      const adam = createAdamW(model.parameters.layout, adamOptions);
      for (const compile of modes) {
        setCompilation({ compile });
        nextTokenUpdate(model, adam, [rows], 0, update);
      }
      const values = readParameters(model.parameters).slice();
      expect([...model.parameters.flat.dataSync()]).toEqual([...values]);
      expect(adam.step).toBe(modes.length);
      disposeAdamW(adam);
      disposeModel(model);
      return values;
    };
    expect(run(['on', 'off', 'off', 'on'])).toBeAllclose(run(['off', 'off', 'off', 'off']), { rtol: 1e-3, atol: 1e-4 });
  });

  it('holds nothing when models and optimizers are gone', () => {
    setCompilation({ compile: 'on' });
    const before = openEngine()?.live.size ?? 0;
    const model = tinyModel('llama');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    nextTokenUpdate(model, adam, [rows, rows], 0, update);
    generate(model, prompts, sampling, tinyStop, seededRandom(1));
    expect(engine().live.size).toBeGreaterThan(before);
    disposeAdamW(adam);
    disposeModel(model);
    expect(engine().live.size).toBe(before);
  });

  it('frees what is fed and fetched', () => {
    const size = 2 ** 16;
    const port = addPlaceholder(engine(), FLOAT32, [size]);
    const negative = addOutput(engine().graph, { op: 'Neg', inputs: [port] });
    const values = new Float32Array(size).fill(1);
    const run = (times: number): number => {
      for (let i = 0; i < times; i++) runGraph(engine(), [{ port, shape: [size], values }], [negative], []);
      return process.memoryUsage.rss();
    };
    const before = run(100);
    // 2 × 256 KB a call would be 500 MB.
    expect(run(1000) - before).toBeLessThan(100e6);
  });

  it.each([
    { why: 'most of it is garbage', garbage: 1e9, nodes: 0 },
    { why: 'there is too much of it', garbage: 0, nodes: 1e9 },
  ])('begins anew when $why, and what lives goes on as if nothing had been', ({ garbage, nodes }) => {
    setCompilation({ compile: 'on' });
    const [model, twin] = [tinyModel('gpt2'), tinyModel('gpt2')];
    const [adam, twinAdam] = [model, twin].map(({ parameters }) => createAdamW(parameters.layout, adamOptions));
    const both = (): number[] =>
      [nextTokenUpdate(model, adam!, [rows], 0, update), nextTokenUpdate(twin, twinAdam!, [rows], 0, update)].map(
        ({ loss }) => loss,
      );
    both();
    const old = engine();
    // As many models, or shapes, would leave it, which would take long.
    old.garbage += garbage;
    old.graph.nodes += nodes;
    sweepEngine();
    expect(openEngine()).toBeNull();
    const [first, second] = [nextTokenUpdate(model, adam!, [rows], 0, update), nextTokenLoss(twin, [rows], 0)];
    expect(engine()).not.toBe(old);
    expect(first.loss).toBeCloseTo(second, 5);
    for (const one of [adam!, twinAdam!]) disposeAdamW(one);
    for (const one of [model, twin]) disposeModel(one);
  });

  it.each(tinyStyles)('%s: decodes the tokens that eager decoding draws, greedy, drawn and filtered', (style) => {
    for (const more of [{ temperature: 0 }, {}, { topK: 5 }, { repetitionPenalty: 1.3 }]) {
      const [eager, compiled] = (['off', 'on'] as const).map((compile) => {
        setCompilation({ compile });
        const model = tinyModel(style);
        const random = seededRandom(4, 'draws');
        const responses = generate(model, prompts, { ...sampling, ...more }, tinyStop, random);
        disposeModel(model);
        return { responses, after: random.uniform() };
      });
      expect(compiled!.responses.map(({ ids }) => [...ids])).toEqual(eager!.responses.map(({ ids }) => [...ids]));
      // The generator was asked as often.
      expect(compiled!.after).toBe(eager!.after);
      compiled!.responses.forEach(({ logProbs }, row) => {
        expect(logProbs).toBeAllclose(eager!.responses[row]!.logProbs, { rtol: 1e-4, atol: 1e-5 });
      });
    }
  });

  it('makes no new graph for prompts of about the same length', () => {
    setCompilation({ compile: 'on' });
    const model = tinyModel('llama');
    generate(model, prompts, sampling, tinyStop, seededRandom(1));
    const { traces } = engine();
    const others = [8, 3, 7].map((length, seed) => tinyIds(length, 10 + seed));
    generate(model, others, sampling, tinyStop, seededRandom(2));
    expect(engine().traces).toBe(traces);
    disposeModel(model);
  });
});
