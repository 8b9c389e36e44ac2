/** Decoding where its graphs turn out, when they are traced, not to be possible. */
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { generate } from '../../src/decoding/generate.ts';
import { CompileError } from '../../src/errors.ts';
import { setCompilation } from '../../src/graph/mode.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { useNativeOps } from '../../src/tensor/native-ops.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStop } from '../model/tiny-model.ts';

const made = vi.hoisted(() => ({ disposed: 0 }));
vi.mock('../../src/decoding/compiled-decoding.ts', () => ({
  compiledDecoding: () => ({
    refills: true,
    fill: async () => {
      await Promise.resolve();
      throw new CompileError('an op without a graph.');
    },
    dispose: () => {
      made.disposed += 1;
    },
  }),
}));

const options = { temperature: 0.8, topK: 0, topP: 1, maxNewTokens: 6, batchSize: 2 };
const prompts = [5, 2, 9].map((length, seed) => tinyIds(length, seed));
const draw = async () => {
  const model = tinyModel();
  const random = seededRandom(1);
  const responses = await generate(model, prompts, options, tinyStop, random);
  disposeModel(model);
  return { responses, random: random.state() };
};

beforeAll(async () => {
  await useLane();
  useNativeOps(false);
});
afterEach(() => setCompilation({}));

it.runIf(lanesToTest().includes('tensorflow'))(
  'goes on eagerly, with the same random numbers, and frees what was begun',
  async () => {
    setCompilation({ compile: 'off' });
    const eager = await draw();
    expect(made.disposed).toBe(0);
    const said: string[] = [];
    setCompilation({ compile: 'auto' }, (line) => said.push(line));
    expect(await draw()).toEqual(eager);
    expect(made.disposed).toBe(1);
    expect(said).toEqual(['an op without a graph. Steps run eagerly, about half as fast.']);
    setCompilation({ compile: 'on' });
    await expect(draw()).rejects.toThrow(CompileError);
    expect(made.disposed).toBe(2);
  },
);
