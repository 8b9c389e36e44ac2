/** What cannot become a graph is refused by op and line; what `runtime.compile` then does. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompileError, LaneError } from '../../src/errors.ts';
import { engine } from '../../src/graph/engine.ts';
import { compile } from '../../src/graph/function.ts';
import { compiledOr, compiledOrAsync, setCompilation } from '../../src/graph/mode.ts';
import type { HostArrays, Tensors } from '../../src/tensor/host-arrays.ts';
import { vector } from '../../src/tensor/host-arrays.ts';
import { executeRaw, typeAttribute } from '../../src/tensor/raw-op.ts';
import type { Tensor, Tensor1D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const arrays: HostArrays = { x: vector(Float32Array.of(1, -2, 3)) };

/** Runs a function of tensors as a graph. */
function asGraph(f: (tensors: Tensors) => Tensor, given = arrays): number[] {
  const graph = compile(engine(), { precision: 'f32' }, given, (tensors, tracer) => ({
    outputs: { y: tracer.port(f(tensors)) },
  }));
  return [...graph.run(given).y];
}

describe.runIf(lanesToTest().includes('tensorflow'))('a trace', () => {
  beforeAll(async () => {
    await useLane('tensorflow');
  });
  afterAll(() => setCompilation({}));

  it('computes what the function computes, on other values too', () => {
    const f = ({ x }: Tensors): Tensor => tf.mul(tf.square(x as Tensor), tf.tensor1d([1, 10, 100]));
    const graph = compile(engine(), { precision: 'f32' }, arrays, (tensors, tracer) => ({
      outputs: { y: tracer.port(f(tensors)) },
    }));
    expect([...graph.run(arrays).y]).toEqual([1, 40, 900]);
    expect([...graph.run({ x: vector(Float32Array.of(2, 3, 4)) }).y]).toEqual([4, 90, 1600]);
  });

  it('reads tensors that were there before, large and small, once uploaded and not yet', () => {
    for (const size of [3, 9000]) {
      for (const isUploaded of [true, false]) {
        const weights = tf.range(0, size);
        if (isUploaded) tf.square(weights).dispose();
        const given = { x: vector(new Float32Array(size).fill(2)) };
        const found = asGraph(({ x }) => tf.mul(x as Tensor, tf.reshape(weights, [size])), given);
        expect(found.slice(0, 3)).toEqual([0, 2, 4]);
        // What was captured is still there for eager code.
        expect([...weights.slice([0], [3]).dataSync()]).toEqual([0, 1, 2]);
        weights.dispose();
      }
    }
  });

  it('frees what it captured with the tensor', () => {
    const before = engine().live.size;
    const weights = tf.range(0, 9000);
    const given = { x: vector(new Float32Array(9000)) };
    asGraph(({ x }) => tf.add(x as Tensor, weights), given);
    expect(engine().live.size).toBe(before + 1);
    weights.dispose();
    expect(engine().live.size).toBe(before);
  });

  const refusals: readonly [string, (tensors: Tensors) => Tensor, RegExp][] = [
    [
      'a value that is read in the middle',
      ({ x }) => tf.mul(x as Tensor, (x as Tensor).dataSync()[0] as number),
      /a value is read in the middle of the step, at .*trace\.test\.ts:\d+:\d+; expected it to be read after/,
    ],
    [
      'a shape that depends on data',
      ({ x }) => executeRaw('Where', [typeAttribute('T', 'float32')], [x as Tensor], 1)[0] as Tensor,
      /the shape of Where depends on data, at .*; expected shapes that are known/,
    ],
    [
      'many numbers that are made on the host',
      ({ x }) => tf.sum(tf.mul(tf.slice(x as Tensor1D, 0, 1), tf.randomUniform([5000], 0, 1, 'float32', 1))),
      /5000 numbers are made on the host in the middle of the step, at .*; expected them among its inputs/,
    ],
    [
      'an op whose inputs do not fit',
      ({ x }) => executeRaw('MatMul', [typeAttribute('T', 'float32')], [x as Tensor, x as Tensor], 1)[0] as Tensor,
      /MatMul: .*rank 2.*\(MatMul of \[3\], \[3\], at /s,
    ],
  ];

  it.each(refusals)('refuses %s, naming the line', (_, f, words) => {
    expect(() => asGraph(f)).toThrow(CompileError);
    expect(() => asGraph(f)).toThrow(words);
    // TensorFlow.js is as it was.
    expect([...tf.add(tf.tensor1d([1]), 1).dataSync()]).toEqual([2]);
  });

  it('is tried once by auto, with one warning; on fails, off does not try', () => {
    const said: string[] = [];
    const compiled = (): string => {
      asGraph(({ x }) => tf.mul(x as Tensor, (x as Tensor).dataSync()[0] as number));
      return 'graph';
    };
    setCompilation({ compile: 'auto' }, (line) => said.push(line));
    expect([compiledOr(compiled, () => 'eager'), compiledOr(compiled, () => 'eager')]).toEqual(['eager', 'eager']);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/read in the middle.*Steps run eagerly, about half as fast\.$/);
    setCompilation({ compile: 'on' });
    expect(() => compiledOr(compiled, () => 'eager')).toThrow(CompileError);
    setCompilation({ compile: 'off' });
    expect(
      compiledOr(
        () => 'graph',
        () => 'eager',
      ),
    ).toBe('eager'); // prettier-ignore
  });

  it('is the same where the graph runs on another thread and its promise is rejected', async () => {
    const said: string[] = [];
    const compiled = async (): Promise<string> => {
      await Promise.resolve();
      throw new CompileError('an op without a graph.');
    };
    const run = (): Promise<string> => compiledOrAsync(compiled, () => 'eager');
    setCompilation({ compile: 'auto' }, (line) => said.push(line));
    expect([await run(), await run()]).toEqual(['eager', 'eager']);
    expect(said).toEqual(['an op without a graph. Steps run eagerly, about half as fast.']);
    setCompilation({ compile: 'on' });
    await expect(run()).rejects.toThrow(CompileError);
    setCompilation({ compile: 'off' });
    expect(await run()).toBe('eager');
    setCompilation({ compile: 'auto' });
    const failing = (): Promise<string> => Promise.reject(new LaneError('the disk is full.'));
    await expect(compiledOrAsync(failing, () => 'eager')).rejects.toThrow('the disk is full.');
    expect(
      await compiledOrAsync(
        async () => 'graph',
        async () => 'eager',
      ),
    ).toBe('graph'); // prettier-ignore
  });

  it('an error of the step itself is not taken for one of compiling', () => {
    setCompilation({ compile: 'auto' });
    const failing = (): never => {
      throw new LaneError('the disk is full.');
    };
    expect(() => compiledOr(failing, () => 'eager')).toThrow('the disk is full.');
  });
});

describe.runIf(lanesToTest().includes('wasm'))('another lane', () => {
  it('runs steps eagerly without a word', async () => {
    await useLane('wasm');
    const said: string[] = [];
    setCompilation({ compile: 'auto' }, (line) => said.push(line));
    expect(
      compiledOr(
        () => 'graph',
        () => 'eager',
      ),
    ).toBe('eager'); // prettier-ignore
    expect(said).toEqual([]);
  });
});
