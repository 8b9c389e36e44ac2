/**
 * How fast linear layers are with our products and with TensorFlow's: a program that set-up runs in a child process
 * (src/lanes/choose-products.ts). Prints time of TensorFlow's / time of ours by layer, as JSON.
 *
 *   Run     node --import tsx src/execution/time-products.ts <libplumbline_ops.so>
 */
import { engine } from '../graph/engine.ts';
import { compile } from '../graph/function.ts';
import { linear } from '../model/layers.ts';
import { openTensorflow } from '../tensor/backends.ts';
import { loadNativeOps, useNativeOps, withNativeProducts } from '../tensor/native-ops.ts';
import type { Tensor, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';

/** One layer of the bench's models (scripts/bench/cases.ts), as GPT-2 has it, or as large as they get. */
interface Layer {
  readonly in: number;
  readonly out: number;
  readonly activation?: 'gelu';
  readonly hasResidual?: boolean;
}

const ROWS = 1024;
const LAYERS: readonly Layer[] = [
  { in: 128, out: 512, activation: 'gelu' },
  { in: 512, out: 128, hasResidual: true },
  { in: 384, out: 1536, activation: 'gelu' },
  { in: 1536, out: 384, hasResidual: true },
  { in: 1024, out: 1024 },
];

/** Rounds of both ways: at least so many, and for so long. */
const [FEWEST_ROUNDS, MILLISECONDS] = [5, 500];

/** Numbers of about 1, without drawing them one by one. */
function numbers(...shape: number[]): Tensor {
  const size = shape.reduce((product, length) => product * length);
  return tf.tidy(() => tf.reshape(tf.sin(tf.range(0, size)), shape));
}

/** What a training step does with a layer, its gradient too, as a graph for each way; nothing is fetched. */
function stepsOf(layer: Layer): { ours: () => void; tensorflow: () => void } {
  const { activation } = layer;
  const inputs = [numbers(ROWS, layer.in), numbers(layer.in, layer.out), numbers(layer.out)];
  if (layer.hasResidual) inputs.push(numbers(ROWS, layer.out));
  const slope = numbers(ROWS, layer.out);
  const f = (...[x, weight, bias, residual]: Tensor[]): Tensor =>
    linear({ 'layer.weight': weight as Tensor, 'layer.bias': bias as Tensor }, 'layer', x as Tensor2D, {
      ...(activation && { activation }),
      ...(residual && { residual: residual as Tensor2D }),
    });
  const graph = (native: boolean) => {
    const step = compile(engine(), { precision: 'f32' }, {}, (_, tracer) =>
      withNativeProducts(native, () => {
        const { value, grads } = tf.valueAndGrads(f)(inputs, slope);
        return { outputs: {}, targets: { all: [value, ...grads].map((tensor) => tracer.port(tensor).oper) } };
      }),
    );
    return () => void step.run({}, ['all']);
  };
  return { ours: graph(true), tensorflow: graph(false) };
}

function milliseconds(f: () => void): number {
  const began = performance.now();
  f();
  return performance.now() - began;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] as number) + (sorted[Math.ceil(middle)] as number)) / 2;
}

/** Median time of TensorFlow's / ours. The ways take turns, and each begins every other round, so that other work slows both. */
function ratioOf(layer: Layer): number {
  const steps = stepsOf(layer);
  // The first run of a graph prepares it.
  for (const step of [steps.ours, steps.tensorflow]) step();
  const ours: number[] = [];
  const tensorflow: number[] = [];
  for (const began = performance.now(); ours.length < FEWEST_ROUNDS || performance.now() - began < MILLISECONDS; ) {
    const isFirst = ours.length % 2 === 0;
    if (isFirst) ours.push(milliseconds(steps.ours));
    tensorflow.push(milliseconds(steps.tensorflow));
    if (!isFirst) ours.push(milliseconds(steps.ours));
  }
  return median(tensorflow) / median(ours);
}

await openTensorflow('cpu');
loadNativeOps(process.argv[2] ?? '');
useNativeOps(true);
const ratios = LAYERS.map((layer) => [`${ROWS} × ${layer.in} × ${layer.out}`, Number(ratioOf(layer).toFixed(3))]);
console.log(JSON.stringify(Object.fromEntries(ratios)));
