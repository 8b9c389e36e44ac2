/** Every family of models with weights of transformers: logits, greedy text, three steps of training, and what we write. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder, writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { generate } from '../../src/decoding/generate.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel, modelWeights } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Weights } from '../../src/tensor/weights.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { updateParameters } from '../helpers/update-parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { disposeTensors, everyLogit, paddedInputs, targetLoss, targetsOf } from './batches.ts';

const families = [
  ...[
    'gpt2',
    'llama2',
    'llama3',
    'llama-linear',
    'llama-dynamic',
    'llama-yarn',
    'llama-biases',
    'mistral',
    'qwen2',
    'qwen3',
    'opt',
  ],
  ...['gpt-neox', 'gpt-neox-sequential', 'gpt-neo', 'gemma2', 'gemma3', 'phi3'],
];

interface Expected {
  rows: Record<'inputIds' | 'attentionMask' | 'logits', FixtureTensor>;
  greedy: Record<'promptIds' | 'attentionMask' | 'tokens', FixtureTensor>;
  trained: { losses: number[]; logits: FixtureTensor };
}

const inFolder = useTemporaryFolder();
const load = (name: string): Model => loadModelFolder(fixturePath(`families/${name}`), { tokenizer: null }).model;

/** One row of a batch without its padding. */
function alone({ inputIds, attentionMask }: Expected['rows'], row: number): Record<'ids' | 'mask', FixtureTensor> {
  const [, width] = inputIds.shape as [number, number];
  const length = attentionMask.data.slice(row * width, (row + 1) * width).reduce((sum, flag) => sum + flag, 0);
  const ids = inputIds.data.slice(row * width, row * width + length);
  return { ids: { shape: [1, length], data: ids }, mask: { shape: [1, length], data: ids.map(() => 1) } };
}

/** The rows with their padding moved to the left. */
function leftPadded(tensor: FixtureTensor, mask: FixtureTensor): FixtureTensor {
  const [rows, width] = mask.shape as [number, number];
  const unit = tensor.data.length / mask.data.length;
  const data = Array.from({ length: rows }, (_, row) => {
    const real = mask.data.slice(row * width, (row + 1) * width).reduce((sum, flag) => sum + flag, 0);
    const whole = tensor.data.slice(row * width * unit, (row + 1) * width * unit);
    return [...whole.slice(real * unit), ...whole.slice(0, real * unit)];
  });
  return { shape: tensor.shape, data: data.flat() };
}

/** Logits of rows, 0 on padding. */
function logitsOf(model: Model, ids: FixtureTensor, mask: FixtureTensor): Float32Array {
  const inputs = paddedInputs(model.dimensions, ids, mask);
  const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
  disposeInputs(inputs);
  const { vocab } = model.dimensions;
  return found.map((value, i) => (mask.data[Math.floor(i / vocab)] ? value : 0));
}

/** Logits of each row alone, 0 on padding. */
function rowByRow(model: Model, rows: Expected['rows']): number[] {
  const [count, width] = rows.inputIds.shape as [number, number];
  return Array.from({ length: count }, (_, row) => {
    const { ids, mask } = alone(rows, row);
    const padding = (width - ids.data.length) * model.dimensions.vocab;
    return [...logitsOf(model, ids, mask), ...new Array<number>(padding).fill(0)];
  }).flat();
}

/** The rows as one micro-batch, or each as its own; every real token but the first of a row is learned. */
function lessonsOf(model: Model, rows: Expected['rows'], isApart: boolean) {
  const [count] = rows.inputIds.shape as [number];
  const parts = isApart
    ? Array.from({ length: count }, (_, row) => alone(rows, row))
    : [{ ids: rows.inputIds, mask: rows.attentionMask }];
  const lessons = parts.map(({ ids, mask }) => {
    const learned = mask.data.map((flag, i) => (i % (ids.shape[1] as number) === 0 ? 0 : flag));
    const targets = targetsOf(ids, { shape: ids.shape, data: learned });
    return { inputs: paddedInputs(model.dimensions, ids, mask), targets };
  });
  const total = lessons.reduce((sum, { targets }) => sum + targets.count, 0);
  return lessons.map(({ inputs, targets }) => ({ inputs, targets: { ...targets, count: total } }));
}

/** The largest difference as a share of the largest number. */
function relative(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
    size = Math.max(size, Math.abs(expected[i]!));
    if (Number.isNaN(found[i])) return Number.NaN;
  }
  return difference / size;
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  describe.each(families)('%s', (name) => {
    const expected = fixture<Expected>(`families/${name}.json`);
    const { inputIds, attentionMask, logits } = expected.rows;
    // Dynamic frequencies follow the longest row of a batch, here as in transformers.
    const isDynamic = name === 'llama-dynamic';

    it('gives transformers’ logits for every row alone', () => {
      const model = load(name);
      const { vocab } = model.dimensions;
      for (let row = 0; row < 3; row++) {
        const { ids, mask } = alone(expected.rows, row);
        const from = row * inputIds.shape[1]! * vocab;
        const wanted = logits.data.slice(from, from + ids.data.length * vocab);
        expect(relative(logitsOf(model, ids, mask), wanted)).toBeLessThan(1e-4);
      }
      disposeModel(model);
    });

    it.skipIf(isDynamic)('gives the same for the rows together, padded on the right or on the left', () => {
      const model = load(name);
      expect(relative(logitsOf(model, inputIds, attentionMask), logits.data)).toBeLessThan(1e-4);
      const [ids, mask] = [leftPadded(inputIds, attentionMask), leftPadded(attentionMask, attentionMask)];
      expect(relative(logitsOf(model, ids, mask), leftPadded(logits, attentionMask).data)).toBeLessThan(1e-4);
      disposeModel(model);
    });

    it('writes transformers’ 64 greedy tokens, with its cache and by full passes', async () => {
      const model = load(name);
      const { promptIds, attentionMask: mask, tokens } = expected.greedy;
      const prompts = [0, 1].map((row) =>
        Int32Array.from(alone({ ...expected.greedy, inputIds: promptIds, logits }, row).ids.data),
      );
      expect(mask.shape).toEqual(promptIds.shape);
      const options = { temperature: 0, topK: 0, topP: 1, maxNewTokens: 64, batchSize: isDynamic ? 1 : 2 };
      const drawn = await generate(model, prompts, options, { padId: 0, eosId: -1 }, seededRandom(1));
      expect(drawn.flatMap(({ ids }) => [...ids])).toEqual(tokens.data);
      // The same tokens are the largest logits of full passes over prompt and answer; not where cached keys keep the
      // frequencies of the length they were made at.
      for (const [row, prompt] of isDynamic ? [] : prompts.entries()) {
        const answer = tokens.data.slice(64 * row, 64 * (row + 1));
        const ids = { shape: [1, prompt.length + 64], data: [...prompt, ...answer] };
        const all = logitsOf(model, ids, { shape: ids.shape, data: ids.data.map(() => 1) });
        const { vocab } = model.dimensions;
        const best = answer.map((_, i) => {
          const line = all.subarray((prompt.length + i - 1) * vocab, (prompt.length + i) * vocab);
          return line.indexOf(Math.max(...line));
        });
        expect(best).toEqual(answer);
      }
      disposeModel(model);
    });

    it('learns as PyTorch does for three steps, and what it writes gives the same logits', () => {
      const model = load(name);
      const { dimensions, parameters } = model;
      const lessons = lessonsOf(model, expected.rows, isDynamic);
      const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 } as const;
      const adam = createAdamW(parameters.layout, settings);
      const losses = expected.trained.losses.map((_, step) => {
        const micro = lessons.map(({ inputs, targets }) => (weights: Weights) => ({
          loss: targetLoss(dimensions, weights, inputs, targets),
          stats: {},
        }));
        const options = { learningRate: 1e-2, clipNorm: null, where: `step ${step}` };
        return updateParameters(parameters, adam, micro, options).loss;
      });
      expect(relative(losses, expected.trained.losses)).toBeLessThan(1e-4);
      // Adam divides small gradients by themselves, so that the last digits of float32 grow.
      const after = rowByRow(model, expected.rows);
      expect(relative(after, expected.trained.logits.data)).toBeLessThan(2e-3);

      writeModelFolder(inFolder(), model, { tokenizer: byteTokenizer(), maxShardBytes: 5000 });
      const again = loadModelFolder(inFolder(), { tokenizer: null }).model;
      expect(again.dimensions).toEqual(dimensions);
      expect(relative(rowByRow(again, expected.rows), after)).toBeLessThan(1e-6);
      for (const { inputs, targets } of lessons) {
        disposeTensors(targets);
        disposeInputs(inputs);
      }
      disposeAdamW(adam);
      disposeModel(model);
      disposeModel(again);
    });
  });
});
