/** Our own ops against PyTorch and transformers: outputs, and gradients of Σ weights · output. */
import { beforeAll, describe, expect, it } from 'vitest';
import { keyRanges } from '../../src/model/attention-mask.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { normalize } from '../../src/model/layers.ts';
import { geglu, geluTanh, swiglu } from '../../src/tensor/activations.ts';
import { attend, MASKED_SCORE, rangeBias } from '../../src/tensor/attention.ts';
import { layerNorm, rmsNorm } from '../../src/tensor/norms.ts';
import { applyRotary } from '../../src/tensor/rope.ts';
import { softCap } from '../../src/tensor/soft-cap.ts';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import { asRows, type FixtureTensor, fixture, upload } from '../helpers/fixtures.ts';
import { rotaryAngles } from '../helpers/rotary-angles.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyDimensions } from '../model/tiny-model.ts';

type Case = Readonly<Record<string, FixtureTensor>>;
type Layers = Readonly<Record<'geluNew' | 'attention' | 'swiglu' | 'geglu', Case>> & {
  readonly rope: Case & { readonly theta: number };
  readonly rmsNorm: Case & { readonly epsilon: number };
  readonly layerNorm: Case & { readonly epsilon: number };
  readonly offsetNorm: Case & { readonly epsilon: number };
  readonly softCap: Case & { readonly cap: number };
  readonly cappedAttention: Case & { readonly cap: number; readonly scale: number; readonly window: number };
};

const layers = fixture<Layers>('layers.json');

/** Runs an op on the named inputs and compares its output and the gradient of every input with the fixture's. */
function expectParity(
  from: Case,
  names: readonly string[],
  inputs: Tensor[],
  op: (...inputs: Tensor[]) => Tensor,
): void {
  const { value, grads } = tf.tidy(() => {
    const output = op(...inputs);
    const weights = upload(from.weights!, output.shape);
    const gradient = tf.grads((...x: Tensor[]) => tf.sum(tf.mul(op(...x), weights)));
    return { value: output, grads: gradient(inputs) };
  });
  expect(value.dataSync() as Float32Array).toBeAllclose(from.output!.data, tolerance.forward);
  names.forEach((name, i) => {
    const expected = from[`${name}Gradient`]!.data;
    expect(grads[i]!.dataSync() as Float32Array, `gradient of ${name}`).toBeAllclose(expected, tolerance.gradient);
  });
  tf.dispose([value, ...grads, ...inputs]);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('rotates by position as transformers’ Llama does', () => {
    const from = layers.rope;
    const [batch, , seq, headDim] = from.x!.shape as [number, number, number, number];
    const positions = Int32Array.from(from.positionIds!.data);
    const angles = rotaryAngles(positions, { batch, seq, width: headDim, theta: from.theta, scaling: null });
    expectParity(from, ['x'], [upload(from.x!)], (x) => applyRotary(x as Tensor4D, angles));
    tf.dispose([angles.cos, angles.sin]);
  });

  it('normalises by root mean square as torch.nn.functional.rms_norm does', () => {
    const from = layers.rmsNorm;
    const inputs = [upload(from.x!, asRows(from.x!.shape)), upload(from.scale!)];
    expectParity(from, ['x', 'scale'], inputs, (x, gain) => rmsNorm(x as Tensor2D, gain as Tensor1D, from.epsilon));
  });

  it('normalises layers as torch.nn.functional.layer_norm does', () => {
    const from = layers.layerNorm;
    const inputs = [upload(from.x!, asRows(from.x!.shape)), upload(from.scale!), upload(from.shift!)];
    expectParity(from, ['x', 'scale', 'shift'], inputs, (x, gain, bias) =>
      layerNorm(x as Tensor2D, gain as Tensor1D, bias as Tensor1D, from.epsilon),
    );
  });

  it('computes GELU as transformers’ gelu_new does', () => {
    const from = layers.geluNew;
    expectParity(from, ['x'], [upload(from.x!, [1, from.x!.data.length])], (x) => geluTanh(x as Tensor2D));
  });

  it('gates as SiLU(gate) · up with the gate first', () => {
    expectParity(layers.swiglu, ['x'], [upload(layers.swiglu.x!)], (x) => swiglu(x as Tensor2D));
  });

  it('gates as GELU(gate) · up with the gate first', () => {
    expectParity(layers.geglu, ['x'], [upload(layers.geglu.x!)], (x) => geglu(x as Tensor2D));
  });

  it('caps softly', () => {
    const from = layers.softCap;
    expectParity(from, ['x'], [upload(from.x!)], (x) => softCap(x, from.cap));
  });

  it('normalises with 1 + w as transformers’ Gemma2RMSNorm does', () => {
    const from = layers.offsetNorm;
    const dimensions: ModelDimensions = { ...tinyDimensions.llama, gainFromOne: true, normEpsilon: from.epsilon };
    const inputs = [upload(from.x!, asRows(from.x!.shape)), upload(from.scale!)];
    expectParity(from, ['x', 'scale'], inputs, (x, gain) =>
      normalize(dimensions, { 'norm.gain': gain }, 'norm', x as Tensor2D),
    );
  });

  it('attends within a window, with capped scores, as transformers’ Gemma 2 does', () => {
    const from = layers.cappedAttention;
    const [batch, , seq] = from.query!.shape as [number, number, number];
    const segments = new Int32Array(batch * seq).fill(1);
    const { first, end } = keyRanges({ batch, seq, segments, positions: segments }, { kind: 'causal' }, from.window);
    const perQuery = (values: Float32Array): Tensor4D => tf.tensor4d(values, [batch, 1, seq, 1]);
    const bias = tf.tidy(() => rangeBias([{ first: perQuery(first), end: perQuery(end) }], tf.range(0, seq)));
    const names = ['query', 'key', 'value'];
    expectParity(
      from,
      names,
      names.map((name) => upload(from[name]!)),
      (query, key, value) => attend(query as Tensor4D, key as Tensor4D, value as Tensor4D, bias, from.scale, from.cap),
    );
    bias.dispose();
  });

  it('attends with grouped query heads as scaled_dot_product_attention with repeated keys and values does', () => {
    const from = layers.attention;
    const [batch, , seq] = from.query!.shape as [number, number, number];
    const bias = Array.from({ length: batch * seq * seq }, (_, i) =>
      i % seq > Math.floor(i / seq) % seq ? MASKED_SCORE : 0,
    );
    const causal = tf.tensor4d(bias, [batch, 1, seq, seq]);
    const names = ['query', 'key', 'value'];
    const inputs = names.map((name) => upload(from[name]!));
    expectParity(from, names, inputs, (query, key, value) =>
      attend(query as Tensor4D, key as Tensor4D, value as Tensor4D, causal),
    );
    causal.dispose();
  });
});
