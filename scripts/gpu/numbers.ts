/**
 * Numbers of one lane that show whether its results are correct, and in what precision; `check.ts` compares them between
 * lanes, each of which needs a process of its own.
 *
 *   Run      node --import tsx scripts/gpu/numbers.ts --device gpu --precision tf32
 *   Prints   one line of JSON
 */

import { responseLogProbs } from '../../src/alignment/score-responses.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { generate } from '../../src/decoding/generate.ts';
import { engine } from '../../src/graph/engine.ts';
import { compile } from '../../src/graph/function.ts';
import { setCompilation, traceOptions } from '../../src/graph/mode.ts';
import { seededRandom } from '../../src/random.ts';
import { runMain } from '../../src/run/program.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { openLane } from '../../src/tensor/lane.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { parseFlags } from '../../src/terminal/flags.ts';
import type { GenerateCase, TrainCase } from '../bench/cases.ts';
import { casesNamed } from '../bench/cases.ts';
import type { OurOptions } from '../bench/our-cases.ts';
import { openOurs, startingModel } from '../bench/our-cases.ts';

export const precisions = ['f32', 'tf32', 'bf16'] as const;
export type Precision = (typeof precisions)[number];

/** What a lane computed. */
export interface Numbers {
  readonly lane: Lane;
  /** Error of a product of matrices of float32 numbers, as a share of the product (both root mean squares). */
  readonly productError: number;
  /** Losses of training steps, the first before any update. */
  readonly compiled: readonly number[];
  readonly eager: readonly number[];
  /** Largest difference of log-probabilities, in nats: drawn with a cache, and from a full forward pass. */
  readonly cacheError: number;
}

const flags = {
  device: { kind: 'text', default: 'gpu', choices: ['gpu', 'cpu'], description: 'Where to compute.' },
  precision: { kind: 'text', default: 'f32', choices: precisions, description: 'What matrices are multiplied in.' },
  xla: { kind: 'switch', description: 'Compiled steps compiled by XLA too.' },
} as const satisfies Flags;

const STEPS = 3;
/** Of the product: [rows, inner] · [inner, rows]. */
const [ROWS, INNER] = [256, 1024];

async function numbersOf(device: 'gpu' | 'cpu', precision: Precision, xla: boolean): Promise<Numbers> {
  const lane = await openLane({ backend: 'tensorflow', device, precision });
  const traced = precision === 'bf16' ? 'bf16' : 'f32';
  const compiled = await losses({ compile: 'on', native: false, precision: traced, xla });
  const eager = await losses({ compile: 'off', native: false, precision: traced });
  setCompilation({ compile: 'on', precision, xla });
  return { lane, productError: productError(), compiled, eager, cacheError: await cacheError() };
}

async function losses(options: OurOptions): Promise<number[]> {
  const opened = openOurs(casesNamed(['train-1m'])[0] as TrainCase, options);
  const found: number[] = [];
  while (found.length < STEPS) found.push(await opened.step());
  opened.close();
  return found;
}

/** A compiled product, against the same in float64 on the host. */
function productError(): number {
  const random = seededRandom(1, 'gpu product');
  const values = () => Float32Array.from({ length: ROWS * INNER }, () => random.normal());
  const [a, b] = [values(), values()];
  const arrays = { a: { shape: [ROWS, INNER], values: a }, b: { shape: [ROWS, INNER], values: b } };
  const product = compile(engine(), traceOptions(), arrays, (tensors, tracer) => ({
    outputs: { c: tracer.port(tf.matMul(tensors.a as Tensor2D, tensors.b as Tensor2D, false, true)) },
  }));
  const { c } = product.run(arrays);
  let [wrong, whole] = [0, 0];
  for (let i = 0; i < ROWS; i++) {
    for (let j = 0; j < ROWS; j++) {
      let sum = 0;
      for (let k = 0; k < INNER; k++) sum += (a[i * INNER + k] as number) * (b[j * INNER + k] as number);
      wrong += ((c[i * ROWS + j] as number) - sum) ** 2;
      whole += sum ** 2;
    }
  }
  return Math.sqrt(wrong / whole);
}

/** Answers drawn token by token, scored again as a whole. */
async function cacheError(): Promise<number> {
  const given = casesNamed(['generate-1m'])[0] as GenerateCase;
  const model = startingModel(given, 'tokens');
  const prompts = given.prompts.map((ids) => Int32Array.from(ids));
  const sampling = { temperature: 1, topK: 0, topP: 1, maxNewTokens: given.newTokens, batchSize: prompts.length };
  const drawn = await generate(model, prompts, sampling, { padId: 0, eosId: -1 }, seededRandom(3, 'gpu draw'));
  const pairs = drawn.map(({ ids }, row) => promptAndResponse(prompts[row] as Int32Array, ids));
  const scored = responseLogProbs(model, responseBatch(pairs, 0), 1);
  const flat = drawn.flatMap(({ logProbs }) => [...logProbs]);
  return Math.max(...flat.map((value, i) => Math.abs(value - (scored[i] as number))));
}

await runMain(import.meta.url, async (argv) => {
  const { device, precision, xla } = parseFlags(argv, flags).values;
  const numbers = await numbersOf(device as 'gpu' | 'cpu', precision as Precision, xla);
  process.stdout.write(`${JSON.stringify(numbers)}\n`);
});
