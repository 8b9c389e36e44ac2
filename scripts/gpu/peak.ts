/**
 * Speed of large matrix products in one precision: what a step's speed is a share of. A process of its own, since
 * TensorFloat-32 is switched for a whole process.
 *
 *   Run      node --import tsx scripts/gpu/peak.ts --device gpu --precision bf16
 *   Prints   one line of JSON: {"precision": "bf16", "edge": 8192, "gflops": [...]}
 */
import { engine } from '../../src/graph/engine.ts';
import { compile } from '../../src/graph/function.ts';
import type { Port } from '../../src/graph/graph.ts';
import { BFLOAT16, FLOAT32, flag, INT32, type } from '../../src/graph/graph.ts';
import { runMain } from '../../src/run/program.ts';
import { openLane } from '../../src/tensor/lane.ts';
import type { Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Flags } from '../../src/terminal/flags.ts';
import { parseFlags } from '../../src/terminal/flags.ts';
import type { Precision } from './numbers.ts';
import { precisions } from './numbers.ts';

const flags = {
  device: { kind: 'text', default: 'gpu', choices: ['gpu', 'cpu'], description: 'Where to compute.' },
  precision: { kind: 'text', default: 'f32', choices: precisions, description: 'What matrices are multiplied in.' },
  edge: { kind: 'integer', default: 8192, min: 64, description: 'Rows and columns of the matrices.' },
} as const satisfies Flags;

/** Products in one call, each of which reads the one before; calls that are timed, after one that is not. */
const [CHAIN, CALLS] = [40, 5];

/** 10⁹ operations a second of each call; the operands are random, since zeros are multiplied faster. */
function productSpeeds(precision: Precision, edge: number): number[] {
  // Numbers stay within bounds along the chain: the second operand keeps the length of a row.
  const arrays = { seed: { shape: [1], values: Float32Array.of(0) } };
  const isNarrow = precision === 'bf16';
  const graph = compile(engine(), { precision: 'f32' }, arrays, ({ seed }, tracer) => {
    const normal = (deviation: number): Port => {
      const shape = tf.tensor1d([edge, edge], 'int32');
      const [drawn] = tracer.node({
        op: 'RandomStandardNormal',
        inputs: [tracer.port(shape)],
        attributes: {
          dtype: type(FLOAT32),
          T: type(INT32),
          seed: { kind: 'int', value: 1 },
          seed2: { kind: 'int', value: 2 },
        },
      }).outputs;
      const scaled = tf.mul(tracer.tensor(drawn as Port), deviation).add(seed as Tensor2D);
      return isNarrow ? tracer.narrow(scaled) : tracer.port(scaled);
    };
    const [first, factor] = [normal(1), normal(1 / Math.sqrt(edge))];
    let product = first;
    for (let i = 0; i < CHAIN; i++) {
      product = tracer.node({
        op: 'MatMul',
        inputs: [product, factor],
        attributes: { T: type(isNarrow ? BFLOAT16 : FLOAT32), transpose_a: flag(false), transpose_b: flag(false) },
      }).outputs[0] as Port;
    }
    const result = isNarrow ? tracer.widen(product) : tracer.tensor(product);
    return { outputs: { corner: tracer.port(tf.slice(result, [0, 0], [1, 1])) } };
  });
  const times = Array.from({ length: CALLS + 1 }, () => {
    const began = performance.now();
    graph.run(arrays);
    return performance.now() - began;
  });
  return times.slice(1).map((ms) => (CHAIN * 2 * edge ** 3) / ms / 1e6);
}

await runMain(import.meta.url, async (argv) => {
  const { device, precision, edge } = parseFlags(argv, flags).values;
  await openLane({ backend: 'tensorflow', device: device as 'gpu' | 'cpu', precision: precision as Precision });
  const gflops = productSpeeds(precision as Precision, edge);
  process.stdout.write(`${JSON.stringify({ precision, edge, gflops })}\n`);
});
