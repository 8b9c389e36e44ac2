/** Native decoding against eager decoding, which is checked against full passes and transformers. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { TokenTable } from '../../src/checkpoint/adapter-plan.ts';
import { rowsOfTable, tokenTables } from '../../src/checkpoint/adapter-plan.ts';
import type { GenerateOptions } from '../../src/decoding/decode-steps.ts';
import { decodeSteps } from '../../src/decoding/decode-steps.ts';
import type { Response } from '../../src/decoding/generate.ts';
import { generate } from '../../src/decoding/generate.ts';
import { nativeDecoding } from '../../src/decoding/native-decoding.ts';
import { takeNativeDecoder } from '../../src/execution/native-decoder.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';
import type { Model } from '../../src/model/model.ts';
import { assembleModel, disposeModel, modelFrom, trainNothing } from '../../src/model/model.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { seededRandom } from '../../src/random.ts';
import { bfloat16Values, toBfloat16 } from '../../src/tensor/half-precision.ts';
import { createNativeDecoder } from '../../src/tensor/native-decoder.ts';
import { useNativeOps } from '../../src/tensor/native-ops.ts';
import { layoutOf, parameterValues, replaceParameters } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { canHaveNativeOps, openNativeLane } from '../helpers/native-ops.ts';
import { useLane } from '../helpers/use-lane.ts';
import { tinyDimensions, tinyIds, tinyStop, tinyValues } from '../model/tiny-model.ts';

const gpt2 = tinyDimensions.gpt2;
const shapes: Record<string, ModelDimensions> = {
  ...tinyDimensions,
  qwen3: { ...tinyDimensions.llama, family: 'qwen3', headNorm: true, headDim: 6 },
  'gpt2, untied': gpt2Style({ vocab: 32, context: 24, layers: 2, heads: 2, dModel: 10, tiedHead: false }),
  gpt_neox: {
    ...gpt2,
    family: 'gpt_neox',
    positions: 'rotary',
    ropeFraction: 0.5,
    residual: 'parallel',
    activation: 'gelu_exact',
    tiedHead: false,
  },
  opt: { ...gpt2, family: 'opt', activation: 'relu' },
};

const plain = { topK: 0, topP: 1, maxNewTokens: 12, batchSize: 3 };
const samplings: Record<string, GenerateOptions> = {
  drawn: { ...plain, temperature: 0.8 },
  greedy: { ...plain, temperature: 0 },
  'top-k': { ...plain, temperature: 1.3, topK: 5 },
  'top-p': { ...plain, temperature: 1.3, topP: 0.7 },
  'min-p': { ...plain, temperature: 1.3, minP: 0.1 },
  'all filters and a penalty': { ...plain, temperature: 0.9, topK: 20, topP: 0.9, minP: 0.02, repetitionPenalty: 1.3 },
  'greedy with a penalty': { ...plain, temperature: 0, repetitionPenalty: 1.3 },
};
/** More prompts than rows, of unequal lengths: rows are filled again while others go on. */
const prompts = [5, 2, 9, 1, 4, 12, 3].map((length, seed) => tinyIds(length, seed));

function answers(
  model: Model,
  options: GenerateOptions,
  isNative: boolean,
  precision: 'f32' | 'bf16' = 'f32',
): Promise<Response[]> {
  useNativeOps(isNative);
  setCompilation(isNative ? { compile: 'on', precision } : { compile: 'off' });
  return generate(model, prompts, options, tinyStop, seededRandom(5));
}

async function expectSame(model: Model, options: GenerateOptions, precision?: 'bf16'): Promise<void> {
  const expected = await answers(model, options, false);
  const found = await answers(model, options, true, precision);
  expect(found.map(({ ids, ended }) => ({ ids, ended }))).toEqual(expected.map(({ ids, ended }) => ({ ids, ended })));
  for (const [i, { logProbs }] of found.entries()) {
    expect(logProbs).toBeAllclose(expected[i]!.logProbs, { rtol: 1e-5, atol: 2e-5 });
  }
}

/** Low-rank changes of two matrices, one of them in part, and rows of tokens, on a frozen trunk. */
function adapted(dimensions: ModelDimensions, frozenPrecision: 'float32' | 'bfloat16'): Model {
  const layout = layoutOf(parameterSpecs(dimensions, 'tokens'));
  const values = tinyValues(dimensions, 'tokens');
  const places = layout.specs.flatMap((matrix) => {
    if (matrix.role === 'mlp.output') return [{ name: `${matrix.name}.0`, matrix, from: 0, to: 16 }];
    return matrix.role === 'attention.qkv' ? [{ name: `${matrix.name}.0`, matrix, from: 3, to: 9 }] : [];
  });
  const tables = tokenTables(dimensions, 'tokens') as TokenTable[];
  const tokenRows = tables.map((table) => rowsOfTable(table, [3, 7, 8]));
  const model = assembleModel(
    dimensions,
    'tokens',
    ({ name }) => parameterValues(layout, values, name).slice(),
    {
      trains: () => false,
      adapters: { places, tokenRows, scale: 2, dropout: 0, rank: 2 },
      frozenPrecision,
      recompute: false,
    },
    seededRandom(3),
  );
  const random = seededRandom(4);
  const { total } = model.parameters.layout;
  replaceParameters(
    model.parameters,
    Float32Array.from({ length: total }, () => 0.3 * random.normal()),
  );
  return model;
}

describe.runIf(canHaveNativeOps())('native decoding', () => {
  beforeAll(async () => {
    expect((await openNativeLane()).versions.nativeOps).toMatch(/ 0 failed/);
  }, 300_000);
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    setCompilation({});
    await useLane('tensorflow');
  });

  it.each(Object.entries(shapes))('%s: the tokens and log-probabilities of eager decoding', async (_, dimensions) => {
    const model = modelFrom(dimensions, 'tokens', tinyValues(dimensions, 'tokens'));
    await expectSame(model, samplings.drawn!);
    await expectSame(model, samplings.greedy!);
    disposeModel(model);
  });

  it.each(Object.entries(samplings))('%s: the tokens that the host draws', async (_, options) => {
    const model = modelFrom(gpt2, 'tokens', tinyValues(gpt2, 'tokens'));
    await expectSame(model, options);
    disposeModel(model);
  });

  it.each(['float32', 'bfloat16'] as const)('reads adapters and rows of tokens on a %s trunk', async (precision) => {
    for (const dimensions of [tinyDimensions.llama, tinyDimensions['llama-untied']]) {
      const model = adapted(dimensions, precision);
      await expectSame(model, samplings.drawn!);
      disposeModel(model);
    }
  });

  it('keeps weights in bfloat16 where products are, and nothing else', async () => {
    const dimensions = tinyDimensions.llama;
    const values = bfloat16Values(toBfloat16(tinyValues(dimensions, 'tokens')));
    const model = modelFrom(dimensions, 'tokens', values);
    // Few rows: where vectors are short bfloat16 is used for those alone.
    const few = [samplings.drawn!, samplings.greedy!].map((options) => ({ ...options, batchSize: 2 }));
    for (const options of few) await expectSame(model, options, 'bf16');
    disposeModel(model);
    const rounded = modelFrom(dimensions, 'tokens', tinyValues(dimensions, 'tokens'));
    const firsts = async (precision: 'f32' | 'bf16') =>
      (await answers(rounded, few[1]!, true, precision)).map(({ logProbs }) => logProbs[0]!);
    const exact = await firsts('f32');
    const narrow = await firsts('bf16');
    expect(narrow).not.toEqual(exact);
    expect(narrow).toBeAllclose(exact, { rtol: 0.1, atol: 0.1 });
    disposeModel(rounded);
    const changed = adapted(dimensions, 'float32');
    await expectSame(changed, few[0]!, 'bf16');
    disposeModel(changed);
  });

  it('reads prompts longer than what it computes at once', async () => {
    const dimensions = { ...tinyDimensions.gemma3, context: 1300 };
    const model = modelFrom(dimensions, 'tokens', tinyValues(dimensions, 'tokens'));
    const long = [tinyIds(1200, 1), tinyIds(700, 2), tinyIds(3, 3)];
    const draw = (isNative: boolean): Promise<Response[]> => {
      useNativeOps(isNative);
      setCompilation({ compile: isNative ? 'on' : 'off' });
      return generate(model, long, { ...samplings.drawn!, maxNewTokens: 4 }, tinyStop, seededRandom(6));
    };
    const [found, expected] = [await draw(true), await draw(false)];
    expect(found.map(({ ids }) => ids)).toEqual(expected.map(({ ids }) => ids));
    disposeModel(model);
  });

  it('reads prompts in parts, with turns in between, as one call reads them: the same bits', async () => {
    useNativeOps(true);
    // A clock by which every part takes long.
    let time = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => (time += 1000));
    const dimensions = { ...gpt2, context: 1300 };
    const model = modelFrom(dimensions, 'tokens', tinyValues(dimensions, 'tokens'));
    // The first parts hold ends of no prompt; the third ends where a prompt does.
    const asked = [1200, 336, 5, 700, 2].map((length, row) => ({ row, ids: tinyIds(length, row) }));
    for (const options of Object.values(samplings)) {
      const [randoms, same] = [0, 1].map(() => asked.map(({ row }) => seededRandom(7, `row ${row}`)));
      const drawing = { sampling: options, random: (row: number) => randoms![row]!, seen: () => [] };
      const size = { rows: asked.length, longestPrompt: 1200, maxNewTokens: 4 };
      const decoding = nativeDecoding({ model, ...size, drawing });
      const whole = takeNativeDecoder(model, { rows: asked.length, columns: 1204 });
      const sampling = { minP: 0, repetitionPenalty: 1, ...options };
      const inOneCall = (given: readonly { row: number; ids: Int32Array; from: number }[]) => {
        const each = (value: (row: number, column: number) => number) =>
          Int32Array.from(given.flatMap(({ row, ids, from }) => Array.from(ids, (_, i) => value(row, from + i))));
        const ids = Int32Array.from(given.flatMap((one) => [...one.ids]));
        const lines = { rows: each((row) => row), columns: each((_, column) => column), ids };
        let last = -1;
        const ends = Int32Array.from(given, (one) => (last += one.ids.length));
        const uniforms = Float64Array.from(given, ({ row }) => (options.temperature === 0 ? 0 : same![row]!.uniform()));
        return whole.read({ ...lines, rotary: null, windowRotary: null }, sampling, ends, uniforms);
      };
      const first = inOneCall(asked.map((one) => ({ ...one, from: 0 })));
      let hadTurn = false;
      setImmediate(() => {
        hadTurn = true;
      });
      expect(await decoding.fill(asked)).toEqual(first);
      expect(hadTurn).toBe(true);
      // What was read stands in the cache as it would, and every row has used as many random numbers.
      const next = first.map(({ id }, row) => ({ row, ids: Int32Array.of(id), from: asked[row]!.ids.length }));
      expect(await decoding.advance(first.map(({ id }, row) => ({ row, id })))).toEqual(inOneCall(next));
      decoding.dispose();
      whole.dispose();
    }
    disposeModel(model);
  });

  it('reads the weights of the moment it begins, and frees what it made', async () => {
    const model = modelFrom(gpt2, 'tokens', tinyValues(gpt2, 'tokens'));
    const before = await answers(model, samplings.drawn!, true);
    replaceParameters(model.parameters, tinyValues(gpt2, 'tokens', 2));
    const { numTensors } = tf.memory();
    expect(await answers(model, samplings.drawn!, true)).not.toEqual(before);
    expect(tf.memory().numTensors).toBe(numTensors);
    await expectSame(model, samplings.drawn!);
    disposeModel(model);
  });

  it('takes the likeliest token where logits are not numbers, and says so in its log-probability', async () => {
    const values = tinyValues(gpt2, 'tokens').fill(Number.NaN);
    const model = modelFrom(gpt2, 'tokens', values);
    for (const options of Object.values(samplings)) {
      const [first] = await answers(model, options, true);
      expect(first!.logProbs[0]).toBeNaN();
    }
    disposeModel(model);
  });

  it('keeps a model that nothing trains, also while another decoding of it goes on', async () => {
    const layout = layoutOf(parameterSpecs(gpt2, 'tokens'));
    const values = tinyValues(gpt2, 'tokens');
    const read = ({ name }: { name: string }): Float32Array => parameterValues(layout, values, name).slice();
    const model = assembleModel(gpt2, 'tokens', read, trainNothing(), seededRandom(1));
    await expectSame(model, samplings.drawn!);
    setCompilation({ compile: 'on' });
    useNativeOps(true);
    const steps = () => decodeSteps(model, prompts, samplings.drawn!, tinyStop, seededRandom(5));
    const [first, second] = [steps(), steps()];
    for (let i = 0; i < 5; i++) {
      expect((await second.next()).value!.drawn).toEqual((await first.next()).value!.drawn);
    }
    await first.return();
    await second.return();
    await expectSame(model, samplings.drawn!);
    disposeModel(model);
  });

  it('refuses rows, ids and sizes beyond what there is', () => {
    const shape = {
      vocab: 4,
      positions: 8,
      layers: 1,
      heads: 1,
      kvHeads: 1,
      headDim: 4,
      dModel: 4,
      dFf: 4,
      rotaryWidth: 0,
    };
    const choices = {
      layerNorm: true,
      gainFromOne: false,
      postNorm: false,
      headNorm: false,
      parallel: false,
      tiedHead: true,
    };
    const biases = { qkvBias: true, outputBias: true, mlpBias: true, narrow: false };
    const numbers = {
      activation: 0,
      normEpsilon: 1e-5,
      embeddingScale: 1,
      attentionScale: 0.5,
      attentionCap: 0,
      logitCap: 0,
    };
    const decoder = createNativeDecoder(
      { ...shape, ...choices, ...biases, ...numbers },
      { windows: [0], turnOwn: false },
    );
    decoder.makeRoom(1, 3);
    expect(() => decoder.set(0, new Float32Array(3))).toThrow('parameter 0 has another size');
    const one = Int32Array.of(0);
    const read = (rows: Int32Array, columns: Int32Array, ids: Int32Array) =>
      decoder.read(
        { rows, columns, ids, rotary: null, windowRotary: null },
        { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
        one,
        Float64Array.of(0.5),
      );
    for (const [rows, columns, ids] of [
      [1, 0, 0],
      [0, 9, 0],
      [0, 0, 4],
      [0, 0, -1],
    ] as const) {
      expect(() => read(Int32Array.of(rows), Int32Array.of(columns), Int32Array.of(ids))).toThrow(
        'beyond what there is',
      );
    }
    expect(() => read(one, one, one)).toThrow('has no values yet');
    decoder.dispose();
  });
});
