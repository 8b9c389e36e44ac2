import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readOptimizer, readState, writeOptimizer, writeState } from '../../src/checkpoint/training-state.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { layoutOf } from '../../src/tensor/parameters.ts';
import { specOf } from '../helpers/parameters.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { rewriteTensors } from '../helpers/tensors.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const inFolder = useTemporaryFolder();
const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0.1 } as const;
const specs = [specOf('matrix', [1, 2]), specOf('vector', [2])];
const saved = { step: 7, firstMoment: Float32Array.of(1, 2, 3, 4), secondMoment: Float32Array.of(5, 6, 7, 1e-30) };

describe.each(lanesToTest())('optimizer moments on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  function write(): string {
    const path = inFolder('optimizer.safetensors');
    const adam = createAdamW(layoutOf(specs), options, saved);
    writeOptimizer(path, layoutOf(specs), adam);
    disposeAdamW(adam);
    return path;
  }

  it('come back bit for bit, with the step and the decay of matrices', () => {
    const adam = readOptimizer(write(), layoutOf(specs), options, 7);
    expect(adam.step).toBe(7);
    expect([...adam.first.read()]).toEqual([...saved.firstMoment]);
    expect([...adam.second.read()]).toEqual([...saved.secondMoment]);
    expect(adam.decays).toEqual([true, false]);
    disposeAdamW(adam);
  });

  it('are found by name when the order of parameters has changed', () => {
    const adam = readOptimizer(write(), layoutOf([...specs].reverse()), options, 7);
    expect([...adam.first.read()]).toEqual([3, 4, 1, 2]);
    disposeAdamW(adam);
  });

  it('are refused when any is missing or has another shape, all at once', async () => {
    const path = inFolder('optimizer.safetensors');
    rewriteTensors(write(), (tensors) => {
      tensors.delete('first_moment.vector');
      tensors.set('second_moment.matrix', { shape: [2, 1], values: Float32Array.of(1, 2) });
    });
    expect(await problemsOf(() => readOptimizer(path, layoutOf(specs), options, 7), inFolder())).toEqual([
      'optimizer.safetensors: first_moment of "vector": expected shape [2], received nothing.',
      'optimizer.safetensors: second_moment of "matrix": expected shape [1, 2], received [2, 1].',
    ]);
  });
});

describe('the state of a stage', () => {
  it('comes back as it was', () => {
    const state = { step: 3, random: [1, 2, 3, 4294967295], klWeight: 0.1, best: null };
    writeState(inFolder(), state);
    expect(readState(inFolder())).toEqual(state);
  });

  it('is refused when missing or damaged', async () => {
    expect(await problemsOf(() => readState(inFolder()), inFolder())).toEqual([
      'state.json: missing, so this checkpoint cannot be resumed from.',
    ]);
    writeFileSync(inFolder('state.json'), '{"step": 3');
    const [problem] = await problemsOf(() => readState(inFolder()), inFolder());
    expect(problem!.replace(inFolder(), '<folder>')).toMatch(
      /^state\.json: is not JSON \(.+\)\. Remove <folder> to resume from an earlier one\.$/,
    );
  });
});
