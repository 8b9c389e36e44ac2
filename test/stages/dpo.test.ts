/** Learning from pairs directly as a program: what it writes, that it learns, its reference, and what it refuses. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { sumLogProbs } from '../../src/evaluation/pair-quality.ts';
import { pairIds } from '../../src/examples/preference.ts';
import { disposeModel } from '../../src/model/model.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { dpo, dpoMetrics } from '../../stages/dpo.ts';
import '../helpers/allclose.ts';
import { notAsDeclared } from '../helpers/declared.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import { pairConfig } from '../helpers/tiny-configs.ts';
import {
  arrowRows,
  checkedManifest,
  readMetrics,
  seriesOf,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld, tinyPairs } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
});

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  beforeAll(async () => {
    lane = await useLane(name);
  });
  const at = (folder: string): string => path(name, folder);
  const configOf = (folder: string, changes: Changes = {}) =>
    pairConfig(dpo, world, world.base, at(folder), { cache: at('cache') as never, ...changes });
  const run = (folder: string, changes: Changes = {}) =>
    runStage(dpo, configOf(folder, changes), { lane, quiet: true });

  it('starts at ln 2, and learns which of two responses is preferred', async () => {
    const summary = await run('run', { training: { epochs: 8 } });
    expect(notAsDeclared(dpo, at('run'))).toEqual([]);
    const { manifest, wrong } = await checkedManifest(at('run'));
    expect(wrong).toEqual([]);
    expect(manifest.parents).toMatchObject([{ role: 'policy', path: world.base }]);
    const rows = readMetrics(at('run'), dpoMetrics);
    expect([rows[0]!['loss/held_out']!, seriesOf(rows, 'loss/train')[0]!]).toBeAllclose([Math.LN2, Math.LN2], {
      rtol: 1e-4,
    });
    expect(seriesOf(rows, 'loss/train').at(-1)).toBeLessThan(0.5);
    expect(seriesOf(rows, 'accuracy/train').at(-1)).toBe(1);
    // What is written of the held-out pairs is what the written model thinks of them.
    const tokenizer = loadTokenizer(world.tokenizer);
    const heldOut = tinyPairs(world, tokenizer).slice(6).map(pairIds);
    const sequences = heldOut.flatMap(({ chosen, rejected }) => [chosen, rejected]);
    const [before, after] = [world.base, at('run/model')].map((folder) => {
      const { model } = loadModelFolder(folder, { tokenizer: null });
      const found = sumLogProbs(model, sequences, tokenizer.padId);
      disposeModel(model);
      return found;
    });
    const written = arrowRows(at('run/samples.arrow')).flatMap((row) => [row.score_chosen, row.score_rejected]);
    const rewards = after!.map((logProb, i) => 0.1 * (logProb - before![i]!));
    expect(written.map(Number)).toBeAllclose(rewards, { rtol: 1e-3, atol: 1e-5 });
    expect([summary.chosenShift as number]).toBeAllclose([5 * (rewards[0]! + rewards[2]!)], { rtol: 1e-3, atol: 1e-4 });
  });

  it('reads the reference once: a second run, with the same loss or another, finds it', async () => {
    const lines: string[] = [];
    const progress = watchProgress({ say: (line) => lines.push(line) });
    await runStage(dpo, configOf('again', { training: { epochs: 8 } }), { lane, progress });
    expect(lines.filter((line) => line.startsWith('log-probabilities of the reference: those of'))).toHaveLength(1);
    const losses = (folder: string) => seriesOf(readMetrics(at(folder), dpoMetrics), 'loss/train');
    expect(losses('again')).toEqual(losses('run'));
    await runStage(dpo, configOf('hinged', { training: { epochs: 1 }, loss: { kind: 'hinge' } }), { lane, progress });
    expect(lines.filter((line) => line.startsWith('log-probabilities of the reference: those of'))).toHaveLength(2);
    expect(losses('hinged')[0]!).toBeCloseTo(1, 4);
  });

  it('compares with another checkpoint, or with none', async () => {
    await run('other', { training: { epochs: 0.5 }, reference: at('run') as never });
    expect((await checkedManifest(at('other'))).manifest.parents.map(({ role }) => role)).toEqual([
      'policy',
      'reference',
    ]);
    await run('free', { training: { epochs: 0.5 }, referenceFree: true as never });
    const first = (folder: string) => seriesOf(readMetrics(at(folder), dpoMetrics), 'loss/train')[0]!;
    expect(Math.abs(first('other') - Math.LN2)).toBeGreaterThan(1e-3);
    expect(Math.abs(first('free') - Math.LN2)).toBeGreaterThan(1e-3);
  });

  it('learns with adapters, whose reference is the model without them', async () => {
    await run('lora', { training: { epochs: 4 }, tuning: { method: 'lora' } });
    const losses = seriesOf(readMetrics(at('lora'), dpoMetrics), 'loss/train');
    expect(losses[0]!).toBeCloseTo(Math.LN2, 4);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    if (name !== 'tensorflow') return;
    // Rounded weights are those of the reference too, or the start would be refused.
    await run('rounded', { training: { epochs: 0.5 }, tuning: { method: 'lora' }, memory: { frozen: 'bfloat16' } });
    expect(seriesOf(readMetrics(at('rounded'), dpoMetrics), 'loss/train')[0]!).toBeCloseTo(Math.LN2, 4);
  });

  it.each(['simpo', 'orpo', 'ipo-sum', 'hinge'])('%s lowers its loss', async (kind) => {
    await run(kind, { training: { epochs: 6 }, loss: { kind } });
    const rows = readMetrics(at(kind), dpoMetrics);
    const losses = seriesOf(rows, 'loss/train');
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    // What is reported of the chosen responses is against the start, whatever the loss compares with.
    expect([seriesOf(rows, 'logprob/chosen_shift')[0]!]).toBeAllclose([0], { rtol: 0, atol: 1e-3 });
  });
});

describe('refuses', () => {
  const problems = (changes: Changes) =>
    problemsOf(async () => pairConfig(dpo, world, world.base, path('refused'), changes), '');

  it('a robust loss without wrong labels, and a reference where nothing is compared with one', async () => {
    expect(await problems({ loss: { kind: 'robust' } })).toContain(
      'test loss.labelSmoothing: expected more than 0 with kind robust, which is sigmoid at 0; received 0.',
    );
    expect(await problems({ loss: { kind: 'simpo' }, reference: 'x' as never })).toContain(
      'test reference: expected null with loss.kind simpo, which compares with no reference; received x.',
    );
    expect(await problems({ loss: { kind: 'orpo' }, referenceFree: true as never })).toContain(
      'test referenceFree: expected false with loss.kind orpo, which compares with no reference anyway.',
    );
    expect(await problems({ reference: 'x' as never, referenceFree: true as never })).toContain(
      'test reference: expected null with referenceFree, which compares with no reference; received x.',
    );
    expect(await problems({ tuning: { method: 'lora', lora: { dropout: 0.1 } } as never })).toContain(
      'test tuning.lora.dropout: expected 0: with dropout the policy is not its reference at the start; received 0.1.',
    );
  });

  it('a reference that is not there', async () => {
    const config = pairConfig(dpo, world, world.base, path('refused'), { reference: path('nowhere') as never });
    await expect(dpo.check(config)).rejects.toThrow('there is no such folder');
  });
});
