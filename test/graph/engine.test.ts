/** The life of values in the engine: where they are, that they come back, and that old graphs are swept away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packSequences } from '../../src/batch/packing.ts';
import { generate } from '../../src/decoding/generate.ts';
import { InvariantError, LaneError } from '../../src/errors.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { engine, openEngine, runGraph, runGraphAsync, sweepEngine } from '../../src/graph/engine.ts';
import { addOutput, FLOAT32, flag, type } from '../../src/graph/graph.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import {
  addPlaceholder,
  assignVariables,
  createVariable,
  destroyVariables,
  readVariables,
} from '../../src/graph/variables.ts';
import { disposeModel } from '../../src/model/model.ts';
import { nextToken, nextTokenLoss } from '../../src/objectives/next-token.ts';
import { seededRandom } from '../../src/random.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import '../helpers/allclose.ts';
import { learnFrom } from '../helpers/learn-from.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStop, tinyStyles } from '../model/tiny-model.ts';

const adamOptions = { beta1: 0.9, beta2: 0.99, epsilon: 1e-6, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
const update = { learningRate: 1e-2, clipNorm: 1, where: 'step' };
const rows = packSequences([{ ids: tinyIds(10, 1), learned: new Int32Array(10).fill(1) }], 12, 0);
const prompts = [5, 2, 9].map((length, seed) => tinyIds(length, seed));
const sampling = { temperature: 0.8, topK: 0, topP: 1, maxNewTokens: 12, batchSize: 3 };

describe.runIf(lanesToTest().includes('tensorflow'))('the engine', () => {
  beforeAll(async () => {
    await useLane('tensorflow');
  });
  afterAll(() => setCompilation({}));

  it('gives values back to eager code, and takes them again after an eager step', async () => {
    const run = async (modes: readonly ('on' | 'off')[]): Promise<Float32Array> => {
      const model = tinyModel('gpt2');
      const adam = createAdamW(model.parameters.layout, adamOptions);
      for (const compile of modes) {
        setCompilation({ compile });
        await learnFrom(model, adam, nextToken, [rows], update);
      }
      const values = readParameters(model.parameters).slice();
      expect([...model.parameters.flat.dataSync()]).toEqual([...values]);
      expect(adam.step).toBe(modes.length);
      disposeAdamW(adam);
      disposeModel(model);
      return values;
    };
    const mixed = await run(['on', 'off', 'off', 'on']);
    expect(mixed).toBeAllclose(await run(['off', 'off', 'off', 'off']), { rtol: 1e-3, atol: 1e-4 });
  });

  it('holds nothing when models and optimizers are gone', async () => {
    setCompilation({ compile: 'on' });
    const before = openEngine()?.live.size ?? 0;
    const model = tinyModel('llama');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    await learnFrom(model, adam, nextToken, [rows, rows], update);
    await generate(model, prompts, sampling, tinyStop, seededRandom(1));
    expect(engine().live.size).toBeGreaterThan(before);
    disposeAdamW(adam);
    disposeModel(model);
    expect(engine().live.size).toBe(before);
  });

  it.each([
    ['runGraph', runGraph],
    ['runGraphAsync', runGraphAsync],
  ] as const)('%s frees what is fed and fetched', async (_, runIt) => {
    const size = 2 ** 16;
    const port = addPlaceholder(engine(), FLOAT32, [size]);
    const negative = addOutput(engine().graph, { op: 'Neg', inputs: [port] });
    const values = new Float32Array(size).fill(1);
    const run = async (times: number): Promise<number> => {
      for (let i = 0; i < times; i++) await runIt(engine(), [{ port, shape: [size], values }], [negative], []);
      return process.memoryUsage.rss();
    };
    const before = await run(100);
    // 2 × 256 KB a call would be 500 MB.
    expect((await run(1000)) - before).toBeLessThan(100e6);
  });

  it('turns the event loop while a graph runs on another thread, and only then', async () => {
    const size = 1500;
    const port = addPlaceholder(engine(), FLOAT32, [size, size]);
    const attributes = { T: type(FLOAT32), transpose_a: flag(false), transpose_b: flag(false) };
    const product = addOutput(engine().graph, { op: 'MatMul', inputs: [port, port], attributes });
    const values = new Float32Array(size * size).fill(1);
    const turnsOf = async (runIt: typeof runGraph | typeof runGraphAsync): Promise<number> => {
      let turns = 0;
      const timer = setInterval(() => (turns += 1), 1);
      const [found] = await runIt(engine(), [{ port, shape: [size, size], values }], [product], []);
      clearInterval(timer);
      expect(found?.every((value) => value === size)).toBe(true);
      return turns;
    };
    expect(await turnsOf(runGraph)).toBe(0);
    expect(await turnsOf(runGraphAsync)).toBeGreaterThan(0);
  });

  it('says what TensorFlow says, on either thread, and goes on', async () => {
    const variable = createVariable(engine(), FLOAT32, [2]);
    expect(() => readVariables(engine(), [variable])).toThrow(LaneError);
    await expect(runGraphAsync(engine(), [], [variable.value], [])).rejects.toThrow(/^TensorFlow: .*uninitialized/s);
    assignVariables(engine(), [{ variable, values: Float32Array.of(3, 4) }]);
    expect(await runGraphAsync(engine(), [], [variable.value], [])).toEqual([Float32Array.of(3, 4)]);
    destroyVariables(engine(), [variable]);
  });

  it('refuses whatever would run while a step is not done: a forgotten await is an error', async () => {
    setCompilation({ compile: 'on' });
    const model = tinyModel('gpt2');
    const adam = createAdamW(model.parameters.layout, adamOptions);
    const first = learnFrom(model, adam, nextToken, [rows, rows], update);
    const refusal = new InvariantError(
      'compiled step: a training step is still running; expected the next one after it. Await the promise of every update.',
    );
    await expect(learnFrom(model, adam, nextToken, [rows, rows], update)).rejects.toThrow(refusal);
    expect(() => nextTokenLoss(model, [rows])).toThrow(refusal);
    expect(() => readParameters(model.parameters)).toThrow(refusal);
    const before = (await first).loss;
    expect(adam.step).toBe(1);
    expect((await learnFrom(model, adam, nextToken, [rows, rows], update)).loss).toBeLessThan(before);
    disposeAdamW(adam);
    disposeModel(model);
  });

  /** Two equal models after an update each. */
  async function trainedTwins() {
    const models = [tinyModel('gpt2'), tinyModel('gpt2')] as const;
    const adams = models.map(({ parameters }) => createAdamW(parameters.layout, adamOptions));
    const learnOnce = async (which: 0 | 1) => learnFrom(models[which], adams[which]!, nextToken, [rows], update);
    await learnOnce(0);
    await learnOnce(1);
    return {
      /** The next update of the first: its loss. */
      step: async () => (await learnOnce(0)).loss,
      /** That this is the loss of the second, too, which is still where both were. */
      expectAsTwin: (loss: number) => {
        expect(loss).toBeCloseTo(nextTokenLoss(models[1], [rows]), 5);
        for (const adam of adams) disposeAdamW(adam);
        for (const model of models) disposeModel(model);
      },
    };
  }

  it.each([
    { why: 'most of it is garbage', garbage: 1e9, nodes: 0 },
    { why: 'there is too much of it', garbage: 0, nodes: 1e9 },
  ])('begins anew when $why, and what lives goes on as if nothing had been', async ({ garbage, nodes }) => {
    setCompilation({ compile: 'on' });
    const { step, expectAsTwin } = await trainedTwins();
    const old = engine();
    // As many models, or shapes, would leave it, which would take long.
    old.garbage += garbage;
    old.graph.nodes += nodes;
    sweepEngine();
    expect(openEngine()).toBeNull();
    const loss = await step();
    expect(engine()).not.toBe(old);
    expectAsTwin(loss);
  });

  it('begins anew where XLA is switched on or off, and what lives goes on', async () => {
    setCompilation({ compile: 'on' });
    const { step, expectAsTwin } = await trainedTwins();
    const old = engine();
    setCompilation({ compile: 'on', xla: true });
    expect([openEngine(), engine().xla, old.xla]).toEqual([null, true, false]);
    const loss = await step();
    setCompilation({ compile: 'on' });
    expect(engine().xla).toBe(false);
    expectAsTwin(loss);
  });

  it.each(tinyStyles)('%s: decodes the tokens that eager decoding draws, greedy, drawn and filtered', async (style) => {
    for (const more of [{ temperature: 0 }, {}, { topK: 5 }, { repetitionPenalty: 1.3 }]) {
      const draw = async (compile: 'off' | 'on') => {
        setCompilation({ compile });
        const model = tinyModel(style);
        const random = seededRandom(4, 'draws');
        const responses = await generate(model, prompts, { ...sampling, ...more }, tinyStop, random);
        disposeModel(model);
        return { responses, after: random.uniform() };
      };
      const eager = await draw('off');
      const compiled = await draw('on');
      expect(compiled.responses.map(({ ids }) => [...ids])).toEqual(eager.responses.map(({ ids }) => [...ids]));
      // The generator was asked as often.
      expect(compiled.after).toBe(eager.after);
      compiled.responses.forEach(({ logProbs }, row) => {
        expect(logProbs).toBeAllclose(eager.responses[row]!.logProbs, { rtol: 1e-4, atol: 1e-5 });
      });
    }
  });

  it('makes no new graph for prompts of about the same length', async () => {
    setCompilation({ compile: 'on' });
    const model = tinyModel('llama');
    await generate(model, prompts, sampling, tinyStop, seededRandom(1));
    const { traces } = engine();
    const others = [8, 3, 7].map((length, seed) => tinyIds(length, 10 + seed));
    await generate(model, others, sampling, tinyStop, seededRandom(2));
    expect(engine().traces).toBe(traces);
    disposeModel(model);
  });
});
