/** The preference pairs of a tiny world: whole prompts held out, gold truth kept, label noise as configured. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/run/stage.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { preferences } from '../../stages/preferences.ts';
import { readPairs } from '../helpers/read-pairs.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import { preferencesConfig } from '../helpers/tiny-configs.ts';
import '../helpers/allclose.ts';
import {
  arrowColumns,
  arrowRows,
  checkedManifest,
  filesBelow,
  interruptedAt,
  namesIn,
  useSharedFolder,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let lane: Lane;
let world: TinyWorld;
let summary: Summary;
const config = (folder: string, changes = {}) => preferencesConfig(world, world.base, path(folder), changes);
const run = (folder: string, changes = {}) => runStage(preferences, config(folder, changes), { lane, quiet: true });
const pairsOf = (folder: string) =>
  (['train', 'held-out'] as const).map((name) => arrowRows(path(folder, `${name}.arrow`)));

beforeAll(async () => {
  lane = await useLane();
  world = await makeTinyWorld(path('world'));
  summary = await run('run');
});

describe('preference pairs', () => {
  it('are written with their answers and a manifest whose hashes are those on disk', async () => {
    expect(namesIn(path('run'))).toEqual([
      'config.yaml',
      'held-out.arrow',
      'manifest.json',
      'responses.arrow',
      'train.arrow',
    ]);
    const { manifest, wrong } = await checkedManifest(path('run'));
    expect(wrong).toEqual([]);
    expect(manifest).toMatchObject({ stage: 'preferences', status: 'finished', seed: 1, summary });
    expect(manifest.parents).toMatchObject([{ role: 'model', path: world.base }]);
    expect(manifest.inputs.map(({ role }) => role)).toEqual(['tables', 'templates']);
    expect(manifest.outputs.map(({ role }) => role)).toEqual(['train', 'held-out', 'responses']);
    expect(arrowColumns(path('run/responses.arrow'))).toEqual([
      ...['prompt_id', 'prompt', 'response'].map((column) => `${column}: Utf8`),
      'response_ids: List<Int32>',
      'ended: Bool',
      'gold: Float32',
    ]);
  });

  it('are what stage 2 reads', async () => {
    const tokenizer = loadTokenizer(world.tokenizer);
    const { pairs: rows } = await readPairs(path('run/train.arrow'), { tokenizer, contextLength: 144 });
    expect(rows).toHaveLength(summary.trainPairs as number);
    for (const row of rows) {
      for (const [ids, text] of [
        [row.chosen_ids, row.chosen],
        [row.rejected_ids, row.rejected],
      ] as const) {
        expect(tokenizer.decode(ids.subarray(0, row.prompt_length))).toBe(`${row.prompt}\n`);
        expect(tokenizer.decode(ids.subarray(row.prompt_length)).replace(/^ /, '')).toBe(text);
      }
    }
  });

  it('hold out whole prompts', () => {
    const [train, heldOut] = pairsOf('run');
    const prompts = [train, heldOut].map((rows) => new Set(rows!.map(({ prompt }) => prompt)));
    expect([...prompts[0]!].filter((prompt) => prompts[1]!.has(prompt))).toEqual([]);
    expect(prompts[1]!.size).toBeGreaterThan(0);
    // Four answers to each of eight prompts; at most three pairs a prompt.
    expect(arrowRows(path('run/responses.arrow'))).toHaveLength(32);
    expect(train!.length + heldOut!.length).toBeLessThanOrEqual(24);
    expect(heldOut!.length).toBe(summary.heldOutPairs);
  });

  it('tell of how many prompts and answers there are none', async () => {
    // The smallest tie that leaves a trained prompt without a pair.
    const heldOut = pairsOf('run')[1]!.map(({ prompt }) => prompt);
    const gaps = new Map<unknown, number[]>();
    for (const { prompt, gold } of arrowRows(path('run/responses.arrow'))) {
      gaps.set(prompt, [...(gaps.get(prompt) ?? []), Number(gold)]);
    }
    const widest = [...gaps].filter(([prompt]) => !heldOut.includes(prompt as string));
    const tie = Math.min(...widest.map(([, golds]) => Math.max(...golds) - Math.min(...golds))) + 1e-6;
    const { noPairOf } = await run('few', { label: { tie } });
    const kept = new Set(pairsOf('few').flatMap((rows) => rows.map(({ prompt }) => prompt)));
    const empty = arrowRows(path('few/responses.arrow')).filter((row) => (row.response_ids as Int32Array).length === 0);
    const told = { 'prompts whose answers all tie or are the same': 8 - kept.size, 'empty answers': empty.length };
    expect(noPairOf).toEqual(Object.fromEntries(Object.entries(told).filter(([, count]) => count > 0)));
    expect(kept.size).toBeLessThan(8);
  });

  it('say by gold which label is wrong', () => {
    const rows = pairsOf('run').flat();
    for (const { gold_chosen, gold_rejected, flipped } of rows) {
      expect(Number(gold_chosen) < Number(gold_rejected)).toBe(flipped);
    }
    expect(summary.flipped).toBe(rows.filter(({ flipped }) => flipped).length / rows.length);
    const gold = arrowRows(path('run/responses.arrow')).map((row) => Number(row.gold));
    expect([summary.goldMean as number]).toBeAllclose([gold.reduce((sum, value) => sum + value, 0) / 32]);
  });

  it('say whether the two differ in being right', () => {
    // No answer that is right has less than 0.5, and no other more.
    for (const { gold_chosen, gold_rejected, difference } of pairsOf('run').flat()) {
      const differs = Number(gold_chosen) > 0.5 !== Number(gold_rejected) > 0.5;
      expect(String(difference).startsWith('truth')).toBe(differs);
    }
  });

  it('have no wrong labels without noise, and about half with much', async () => {
    expect(await run('exact', { label: { noise: 0 } })).toMatchObject({ flipped: 0 });
    const { flipped } = await run('noisy', { label: { noise: 1e6 } });
    expect(flipped).toBeGreaterThan(0.2);
    expect(flipped).toBeLessThan(0.8);
    // The same answers and the same pairs, labelled anew.
    const sides = (folder: string) => pairsOf(folder).map((rows) => rows.map(({ prompt }) => prompt));
    expect(sides('noisy')).toEqual(sides('exact'));
  });

  it('leave out pairs whose gold scores are too close', async () => {
    const loose = pairsOf('run').flat();
    const gap = (row: Record<string, unknown>): number => Math.abs(Number(row.gold_chosen) - Number(row.gold_rejected));
    const gaps = loose.map(gap).sort((a, b) => a - b);
    // Between the smallest gap and the next: columns are float32, so a tie at a gap would be off in the last digit.
    const next = gaps.find((value) => value > gaps[0]! + 1e-4)!;
    const tie = (gaps[0]! + next) / 2;
    expect(gaps[0]).toBeLessThan(tie);
    await run('apart', { label: { tie } });
    expect(
      pairsOf('apart')
        .flat()
        .every((row) => gap(row) > tie),
    ).toBe(true);
  });

  it('are refused where no two answers differ', async () => {
    const [problem = ''] = await problemsOf(() => run('ties', { label: { tie: 1 } }), path());
    expect(problem).toBe(
      'preferences: 0 training and 0 held-out pairs are left; expected some of both. Lower label.tie or heldOutShare, or add prompts.',
    );
  });

  it('are the same again after an interrupt', async () => {
    const batch = { sampling: { batchSize: 8 } };
    await run('whole', batch);
    const stopped = runStage(interruptedAt(preferences, 2), config('stopped', batch), { lane, quiet: true });
    await expect(stopped).rejects.toThrow(Interrupted);
    await runStage(preferences, config('stopped', batch), { lane, quiet: true, resume: true });
    const [again, whole] = ['stopped', 'whole'].map((folder) => filesBelow(path(folder)));
    for (const name of ['train', 'held-out', 'responses']) {
      expect(again![`${name}.arrow`] === whole![`${name}.arrow`]).toBe(true);
    }
  });
});
