/** Native ops against the ops they stand for, eagerly and in graphs; src/native/unit-test.cc has them against double precision. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { engine } from '../../src/graph/engine.ts';
import { compile } from '../../src/graph/function.ts';
import { setUpNativeOps } from '../../src/lanes/compile-native.ts';
import { geglu, geluTanh, swiglu } from '../../src/tensor/activations.ts';
import { attend, MASKED_SCORE } from '../../src/tensor/attention.ts';
import { sparseCrossEntropy, sparseCrossEntropyWithSlope } from '../../src/tensor/cross-entropy.ts';
import type { HostArrays } from '../../src/tensor/host-arrays.ts';
import { openLane, tensorCount } from '../../src/tensor/lane.ts';
import type { NativeActivation } from '../../src/tensor/native-activation.ts';
import { nativeSelfAttention } from '../../src/tensor/native-attention.ts';
import { nativeLinear } from '../../src/tensor/native-linear.ts';
import { executeNative, useNativeOps, usesNativeOps } from '../../src/tensor/native-ops.ts';
import { layerNorm, rmsNorm } from '../../src/tensor/norms.ts';
import { product } from '../../src/tensor/products.ts';
import { applyRotary, rotaryArrays } from '../../src/tensor/rope.ts';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Frozen, Weight } from '../../src/tensor/weights.ts';
import { makesTest, withCompiler } from '../helpers/fake-compiler.ts';
import { canHaveNativeOps, openNativeLane } from '../helpers/native-ops.ts';
import { useLane } from '../helpers/use-lane.ts';
import { normalTensor } from './gradient-check.ts';
import { expectNeutral } from './neutral.ts';

/** A function of tensors, and shapes of its arguments with the size of their numbers. */
interface Case {
  readonly f: (...inputs: Tensor[]) => Tensor;
  readonly inputs: readonly { readonly shape: number[]; readonly scale?: number }[];
}

/** Of the largest number: both sides round, in another order. */
const TOLERANCE = 2e-6;

function values(tensor: Tensor): Float32Array {
  return Float32Array.from(tensor.dataSync());
}

function expectSame(found: readonly Float32Array[], expected: readonly Float32Array[]): void {
  expect(found.map((x) => x.length)).toEqual(expected.map((x) => x.length));
  for (const [i, x] of expected.entries()) {
    const most = x.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const apart = x.reduce((largest, value, j) => Math.max(largest, Math.abs(value - found[i]![j]!)), 0);
    expect(apart, `output ${i}`).toBeLessThanOrEqual(TOLERANCE * most);
  }
}

/** The value and the gradient of every argument, eagerly. */
function eagerly({ f, inputs }: Case): Float32Array[] {
  return tf.tidy(() => {
    const given = inputs.map(({ shape, scale }, i) => normalTensor(shape, i + 1, scale));
    const y = f(...given);
    const slopes = tf.grads(f)(given, normalTensor(y.shape, 99));
    return [y, ...slopes].map(values);
  });
}

/** The same as one graph. */
function asGraph({ f, inputs }: Case): Float32Array[] {
  const host = inputs.map(({ shape, scale }, i) => tf.tidy(() => values(normalTensor(shape, i + 1, scale))));
  const like: HostArrays = Object.fromEntries(inputs.map(({ shape }, i) => [`x${i}`, { shape, values: host[i]! }]));
  const names = ['y', ...inputs.map((_, i) => `d${i}`)];
  const graph = compile(engine(), { precision: 'f32' }, like, (tensors, tracer) => {
    const given = inputs.map((_, i) => tensors[`x${i}`] as Tensor);
    const y = f(...given);
    const slopes = tf.grads(f)(given, normalTensor(y.shape, 99));
    return { outputs: Object.fromEntries([y, ...slopes].map((tensor, i) => [names[i], tracer.port(tensor)])) };
  });
  const found = graph.run(like);
  return names.map((name) => found[name] as Float32Array);
}

function expectNativeEqual(given: Case, isTraced = false): void {
  useNativeOps(false);
  const expected = eagerly(given);
  useNativeOps(true);
  expectSame(eagerly(given), expected);
  if (isTraced) expectSame(asGraph(given), expected);
}

/** A bias of causal attention within segments, and a window. */
function biasOf(batch: number, seq: number, keys: number, segment: number, window: number): Tensor4D {
  const bias = new Float32Array(batch * seq * keys).fill(MASKED_SCORE);
  for (let row = 0; row < batch * seq; row++) {
    const query = (row % seq) + keys - seq;
    for (let key = 0; key <= query; key++) {
      const isSeen = Math.floor(key / segment) === Math.floor(query / segment) && query - key < window;
      if (isSeen) bias[row * keys + key] = 0;
    }
  }
  return tf.tensor4d(bias, [batch, 1, seq, keys]);
}

interface LinearCase {
  readonly rows: number;
  readonly width: number;
  readonly columns: number;
  readonly activation: NativeActivation | undefined;
  readonly hasBias: boolean;
  readonly hasResidual: boolean;
  readonly transposeB: boolean;
  /** Of low-rank changes of a frozen weight, which leave its first column alone; 0: the weight is trained. */
  readonly rank: number;
}

/** A linear layer, natively or op by op. A transposed one has no bias and no changes. */
function linearCase({ rows, width, columns, activation, hasBias, hasResidual, transposeB, rank }: LinearCase): Case {
  const isGated = activation === 'swiglu' || activation === 'geglu';
  const out = isGated ? 2 * columns : columns;
  const isShifted = hasBias && !transposeB;
  const isChanged = rank > 0 && !transposeB && out > 1;
  const borders = [1, Math.ceil((1 + out) / 2), out].filter((at, i, all) => i === 0 || at > all[i - 1]!);
  const changed = isChanged ? borders.slice(1).map((to, i): [number, number] => [borders[i]!, to]) : [];
  const matrixShape: [number, number] = transposeB ? [out, width] : [width, out];
  const frozen = (shape: number[], scale?: number): Frozen => {
    return { kind: 'frozen', shape, precision: 'float32', data: tf.keep(normalTensor(shape, 50, scale)) };
  };
  const base = isChanged ? frozen(matrixShape, width ** -0.5) : undefined;
  const shift = isChanged && isShifted ? frozen([out]) : undefined;
  const f = (x: Tensor, ...given: Tensor[]): Tensor => {
    const left = [...given];
    const take = (isThere: boolean) => (isThere ? left.shift() : undefined);
    const trained = take(!isChanged);
    const bias = take(isShifted && !isChanged);
    const residual = take(hasResidual) as Tensor2D | undefined;
    const changes = changed.map(([from, to]) => {
      return { a: left.shift() as Tensor2D, b: left.shift() as Tensor2D, from, to, scale: 0.5 };
    });
    const matrix: Weight = base === undefined ? (trained as Tensor) : { kind: 'adapted', base, changes };
    if (usesNativeOps()) {
      const options = { bias: shift ?? bias, activation, residual, transposeB };
      return nativeLinear(x as Tensor2D, matrix, options) ?? tf.zeros([1]);
    }
    const map = product(x as Tensor2D, matrix, { transposeB });
    const y: Tensor2D = isShifted ? tf.add(map, shift?.data ?? (bias as Tensor)) : map;
    const active = activation === undefined ? y : { gelu: geluTanh, swiglu, geglu }[activation](y);
    return residual === undefined ? active : tf.add(residual, active);
  };
  const shapes = [
    { shape: [rows, width] },
    ...(isChanged ? [] : [{ shape: matrixShape, scale: width ** -0.5 }]),
    ...(isShifted && !isChanged ? [{ shape: [out] }] : []),
    ...(hasResidual ? [{ shape: [rows, columns] }] : []),
    ...changed.flatMap(([from, to]) => [{ shape: [width, rank], scale: width ** -0.5 }, { shape: [rank, to - from] }]),
  ];
  return { f, inputs: shapes };
}

interface SelfCase {
  readonly batch: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly seq: number;
  readonly width: number;
  readonly turned: number;
}

/** Attention of tokens to each other, natively or op by op; the first `turned` values of each head turn with their positions. */
function selfCase({ batch, kvHeads, group, seq, width, turned }: SelfCase, bias: Tensor4D): Case {
  const heads = kvHeads * group;
  const size = { batch, seq, width: turned, theta: 100, scaling: null };
  const angles = rotaryArrays(
    Int32Array.from({ length: batch * seq }, (_, i) => i % seq),
    size,
  );
  const [cos, sin] = [angles.cos, angles.sin].map(({ shape, values: own }) =>
    tf.tensor4d(own, [...shape] as [number, number, number, number]),
  );
  const rotary = turned === 0 ? null : { cos: cos!, sin: sin! };
  const f = (qkv: Tensor): Tensor => {
    const options = { heads, kvHeads, bias, rotary, scale: 0.2, cap: null };
    if (usesNativeOps()) return nativeSelfAttention(qkv as Tensor2D, options);
    const split = tf.transpose(tf.reshape(qkv, [batch, seq, heads + 2 * kvHeads, width]), [0, 2, 1, 3]);
    const [q, k, v] = tf.split(split, [heads, kvHeads, kvHeads], 1) as [Tensor4D, Tensor4D, Tensor4D];
    const [query, key] = [q, k].map((x) => (rotary === null ? x : applyRotary(x, rotary))) as [Tensor4D, Tensor4D];
    const attended = attend(query, key, v, bias, 0.2);
    return tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [batch * seq, heads * width]);
  };
  return { f, inputs: [{ shape: [batch * seq, (heads + 2 * kvHeads) * width] }] };
}

describe.runIf(canHaveNativeOps())('native ops (need a C++ compiler)', () => {
  beforeAll(async () => {
    const lane = await openNativeLane();
    expect(lane.note).toContain('native ops');
    expect(lane.versions.nativeOps).toMatch(/^\d+ checks, 0 failed/);
  }, 300_000);
  afterAll(async () => {
    await useLane('tensorflow');
  });

  const sizes = { seed: 1, numRuns: 12 };
  const size = (max: number) => fc.integer({ min: 1, max });

  it('normalise as TensorFlow does', () => {
    const epsilon = 1e-5;
    fc.assert(
      fc.property(size(200), fc.integer({ min: 2, max: 130 }), fc.boolean(), (rows, width, isLayer) => {
        const f = isLayer
          ? (x: Tensor, gain: Tensor, bias: Tensor) =>
              layerNorm(x as Tensor2D, gain as Tensor1D, bias as Tensor1D, epsilon)
          : (x: Tensor, gain: Tensor) => rmsNorm(x as Tensor2D, gain as Tensor1D, epsilon);
        const vectors = Array.from({ length: isLayer ? 2 : 1 }, () => ({ shape: [width] }));
        expectNativeEqual({ f: f as Case['f'], inputs: [{ shape: [rows, width], scale: 3 }, ...vectors] });
      }),
      sizes,
    );
  });

  it('activate as TensorFlow does', () => {
    const kinds = { geluTanh, swiglu, geglu };
    fc.assert(
      fc.property(size(100), size(90), fc.constantFrom(...Object.keys(kinds)), (rows, width, kind) => {
        const f = kinds[kind as keyof typeof kinds] as unknown as Case['f'];
        expectNativeEqual({ f, inputs: [{ shape: [rows, kind === 'geluTanh' ? width : 2 * width], scale: 3 }] });
      }),
      sizes,
    );
  });

  it('multiply as TensorFlow does, with biases, activations, residuals and low-rank changes, tied heads too', () => {
    const sizesOfCase = fc.record({
      rows: size(300),
      width: size(500),
      columns: size(90),
      activation: fc.constantFrom(undefined, 'gelu', 'swiglu', 'geglu'),
      hasBias: fc.boolean(),
      hasResidual: fc.boolean(),
      transposeB: fc.boolean(),
      rank: fc.constantFrom(0, 1, 5),
    });
    fc.assert(
      fc.property(sizesOfCase, (of) => expectNativeEqual(linearCase(of as LinearCase))),
      { ...sizes, numRuns: 40 },
    );
  });

  it('attend as TensorFlow does: shared keys, segments, windows, caps, new tokens', () => {
    const sizesOfCase = fc.record({
      batch: size(3),
      kvHeads: size(3),
      group: size(3),
      keys: size(120),
      fresh: size(120),
      width: size(40),
      segment: fc.constantFrom(13, 1000),
      window: fc.constantFrom(9, 1000),
      cap: fc.constantFrom(null, 4),
      sharesBias: fc.boolean(),
    });
    fc.assert(
      fc.property(sizesOfCase, ({ batch, kvHeads, group, keys, fresh, width, segment, window, cap, sharesBias }) => {
        const seq = Math.min(fresh, keys);
        const bias = biasOf(sharesBias ? 1 : batch, seq, keys, segment, window);
        const f = (query: Tensor, key: Tensor, value: Tensor) =>
          attend(query as Tensor4D, key as Tensor4D, value as Tensor4D, bias, 0.2, cap);
        const shared = { shape: [batch, kvHeads, keys, width] };
        const query = { shape: [batch, kvHeads * group, seq, width], scale: 2 };
        expectNativeEqual({ f, inputs: [query, shared, shared] });
        bias.dispose();
      }),
      sizes,
    );
  });

  it('let tokens attend to each other as TensorFlow does: shared keys, heads that turn wholly, in part or not', () => {
    const sizesOfCase = fc.record({
      batch: size(3),
      kvHeads: size(3),
      group: size(3),
      seq: size(120),
      halves: fc.integer({ min: 0, max: 12 }),
      rest: fc.integer({ min: 1, max: 9 }),
      sharesBias: fc.boolean(),
    });
    fc.assert(
      fc.property(sizesOfCase, ({ halves, rest, sharesBias, ...of }) => {
        const bias = biasOf(sharesBias ? 1 : of.batch, of.seq, of.seq, 50, 40);
        expectNativeEqual(selfCase({ ...of, width: 2 * halves + rest, turned: 2 * halves }, bias));
        bias.dispose();
      }),
      sizes,
    );
  });

  it('take cross-entropy as TensorFlow does, with its slope', () => {
    fc.assert(
      fc.property(size(100), fc.integer({ min: 2, max: 300 }), (rows, vocab) => {
        const labels = tf.tensor1d(
          Array.from({ length: rows }, (_, row) => (row * 7) % vocab),
          'int32',
        );
        const f = (logits: Tensor) => sparseCrossEntropy(logits as Tensor2D, labels);
        expectNativeEqual({ f, inputs: [{ shape: [rows, vocab], scale: 4 }] });
        const both = [false, true].map((isNative) => {
          useNativeOps(isNative);
          return tf.tidy(() => {
            const { loss, slope } = sparseCrossEntropyWithSlope(normalTensor([rows, vocab], 3, 4), labels);
            return [values(loss), values(slope)];
          });
        });
        expectSame(both[1]!, both[0]!);
        labels.dispose();
      }),
      sizes,
    );
  });

  /** One case of each op. */
  const eachOp = (): readonly (Case & { readonly name: string })[] => {
    const rows = { shape: [70, 24], scale: 2 };
    const vector = { shape: [24] };
    const bias = tf.keep(biasOf(2, 30, 30, 1000, 1000));
    const labels = tf.keep(tf.range(0, 70, 1, 'int32').mod(tf.scalar(24, 'int32'))) as Tensor1D;
    const shared = { shape: [2, 2, 30, 16] };
    return [
      {
        name: 'rmsNorm',
        f: ((x: Tensor2D, gain: Tensor1D) => rmsNorm(x, gain, 1e-6)) as Case['f'],
        inputs: [rows, vector],
      },
      {
        name: 'layerNorm',
        f: ((x: Tensor2D, gain: Tensor1D, shift: Tensor1D) => layerNorm(x, gain, shift, 1e-6)) as Case['f'],
        inputs: [rows, vector, vector],
      },
      { name: 'geluTanh', f: geluTanh as unknown as Case['f'], inputs: [rows] },
      { name: 'swiglu', f: swiglu as unknown as Case['f'], inputs: [rows] },
      {
        name: 'attend',
        f: (q: Tensor, k: Tensor, v: Tensor) => attend(q as Tensor4D, k as Tensor4D, v as Tensor4D, bias),
        inputs: [{ shape: [2, 4, 30, 16] }, shared, shared],
      },
      { name: 'self-attention', ...selfCase({ batch: 2, kvHeads: 2, group: 2, seq: 30, width: 16, turned: 8 }, bias) },
      {
        name: 'linear with changes',
        ...linearCase({
          rows: 70,
          width: 24,
          columns: 20,
          activation: 'swiglu',
          hasBias: true,
          hasResidual: false,
          transposeB: false,
          rank: 4,
        }),
      },
      {
        name: 'linear',
        ...linearCase({
          rows: 70,
          width: 24,
          columns: 40,
          activation: 'gelu',
          hasBias: true,
          hasResidual: true,
          transposeB: false,
          rank: 0,
        }),
      },
      {
        name: 'sparseCrossEntropy',
        f: ((logits: Tensor2D) => sparseCrossEntropy(logits, labels)) as Case['f'],
        inputs: [rows],
      },
    ];
  };

  it('are nodes of graphs', () => {
    for (const one of eachOp()) expectNativeEqual(one, true);
  });

  it('leave products in bfloat16, and large ones that nothing follows, to TensorFlow', () => {
    useNativeOps(true);
    const wins = (isFollowed: boolean) => {
      const shapes: [number, number][] = [
        [1024, 16],
        [1024, 1024],
      ];
      return tf.tidy(() => {
        const residual = isFollowed ? (tf.zeros([1024, 1024]) as Tensor2D) : undefined;
        const [small, large] = shapes.map(
          (shape) => nativeLinear(tf.zeros(shape), tf.zeros([shape[1], 1024]), { residual }) !== null,
        );
        return { small, large };
      });
    };
    expect(wins(false)).toEqual({ small: true, large: false });
    expect(wins(true)).toEqual({ small: true, large: true });
    const like: HostArrays = { x: { shape: [2, 3], values: new Float32Array(6) } };
    const seen = (['f32', 'bf16'] as const).map((precision) => {
      let isOwn = false;
      compile(engine(), { precision }, like, ({ x }, tracer) => {
        isOwn = nativeLinear(x as Tensor2D, x as Tensor2D, { transposeB: true }) !== null;
        return { outputs: { x: tracer.port(x!) } };
      });
      return isOwn;
    });
    expect(seen).toEqual([true, false]);
    useNativeOps(false);
    expect(wins(true)).toEqual({ small: false, large: false });
  });

  it('leave products to TensorFlow where set-up found ours slower, and nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'plumbline-products-'));
    const environment = withCompiler(folder, makesTest('12 checks, 0 failed', 0));
    const open = async (ratio: number) => {
      await setUpNativeOps({ say: () => undefined, environment, again: true, time: async () => ({ layer: ratio }) });
      // The library is loaded already, so that of the fake compiler is not.
      const { note, versions } = await openLane({ backend: 'tensorflow', device: 'cpu', native: 'on' });
      const isOwn = tf.tidy(() => nativeLinear(tf.zeros([2, 3]), tf.zeros([3, 4]), { bias: tf.zeros([4]) }) !== null);
      return { isOwn, isNative: usesNativeOps(), note, says: versions.nativeOps };
    };
    vi.stubEnv('PLUMBLINE_CACHE', environment.PLUMBLINE_CACHE);
    vi.stubEnv('CXX', environment.CXX);
    const [slow, fast] = [await open(0.5), await open(1.5)];
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
    expect(slow).toMatchObject({ isOwn: false, isNative: true });
    expect(slow.note).toMatch(/, native ops but TensorFlow's products\)\.$/);
    expect(slow.says).toBe("12 checks, 0 failed; TensorFlow's products, as ours are 0.50 × as fast (0.50 to 0.50)");
    expect(fast).toMatchObject({ isOwn: true, isNative: true });
    expect(fast.note).toMatch(/, native ops\)\.$/);
  });

  it('free what they make, and give the same bits again', () => {
    useNativeOps(true);
    for (const one of eachOp()) {
      const first = eagerly(one);
      const before = [tf.memory().numTensors, tensorCount()];
      expect(eagerly(one)).toEqual(first);
      expect([tf.memory().numTensors, tensorCount()], one.name).toEqual(before);
    }
    const logits = normalTensor<Tensor2D>([4, 5], 1);
    const labels = tf.tensor1d([0, 1, 2, 3], 'int32');
    expectNeutral(() => Object.values(sparseCrossEntropyWithSlope(logits, labels)));
    tf.dispose([logits, labels]);
  });

  it('give finite numbers where a row sees no key, and no gradient to what nobody reads', () => {
    useNativeOps(true);
    // Of 60 queries the first 50, more than a block, see nothing; the last ten see all.
    const bias = tf.tensor4d(
      Array.from({ length: 60 * 60 }, (_, i) => (i < 50 * 60 ? MASKED_SCORE : 0)),
      [1, 1, 60, 60],
    );
    const inputs = [1, 2, 3].map((seed) => normalTensor<Tensor4D>([1, 1, 60, 8], seed));
    const read = (q: Tensor, k: Tensor, v: Tensor) =>
      tf.slice(attend(q as Tensor4D, k as Tensor4D, v as Tensor4D, bias), [0, 0, 50, 0], [1, 1, 10, 8]);
    const all = tf.tidy(() => values(attend(...(inputs as [Tensor4D, Tensor4D, Tensor4D]), bias)));
    expect(all.every(Number.isFinite)).toBe(true);
    const slopes = (isNative: boolean) => {
      useNativeOps(isNative);
      return tf.tidy(() => tf.grads(read)(inputs).map(values));
    };
    expectSame(slopes(true), slopes(false));
    tf.dispose([bias, ...inputs]);
  });

  it('show values that are not finite', () => {
    useNativeOps(true);
    tf.tidy(() => {
      const broken = tf.tensor2d([[1, Number.NaN, 2, 3]]);
      expect(values(rmsNorm(broken, tf.ones([4]), 1e-5)).every(Number.isNaN)).toBe(true);
      expect(values(geluTanh(broken))[1]).toBeNaN();
      const loss = sparseCrossEntropy(broken, tf.tensor1d([0], 'int32'));
      expect(values(loss)[0]).toBeNaN();
    });
  });

  it('refuse labels and shapes that do not fit, in words', () => {
    useNativeOps(true);
    const logits = tf.zeros([2, 3]) as Tensor2D;
    const labels = tf.tensor1d([0, 3], 'int32');
    expect(() => sparseCrossEntropy(logits, labels)).toThrow('labels: expected 0 to vocab - 1');
    expect(() =>
      executeNative(
        'PlumblineActivationGradient',
        [{ name: 'kind', type: 'int', value: 0 }],
        [logits, tf.ones([3, 3])],
        [[2, 3]],
      ),
    ).toThrow('input 1 has another shape');
    tf.dispose([logits, labels]);
  });
});
