/** Stage 2 on a file of one's own: what is said, recorded and written, and what is refused before anything is. */
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { hashPath } from '../../src/run/manifest.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { reward, rewardMetrics } from '../../stages/2-reward.ts';
import { refusal } from '../helpers/refusals.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import { rewardConfig } from '../helpers/tiny-configs.ts';
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
let lane: Lane;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
  lane = await useLane(lanesToTest()[0]);
});

function write(name: string, rows: readonly unknown[]): string {
  writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path(name);
}
const texts = () =>
  tinyPairs(world, loadTokenizer(world.tokenizer)).map(({ prompt, chosen, rejected }) => ({
    prompt,
    chosen,
    rejected,
  }));
const config = (name: string, changes: Changes) =>
  rewardConfig(world, world.base, path(name), { heldOut: null, ...changes });

describe('a JSONL file', () => {
  it('of pairs trains as the same pairs in a table, but for the rows left out, and is hashed into the manifest', async () => {
    const rows = texts();
    const file = write('own.jsonl', [
      ...rows.slice(0, 3),
      { ...rows[0], rejected: rows[0]?.chosen },
      ...rows.slice(3, 6),
    ]);
    const held = write('held.jsonl', rows.slice(6));
    const lines: string[] = [];
    const progress = watchProgress({ say: (line) => lines.push(line) });
    const changes = { pairs: file, heldOut: held };
    const summary = await runStage(reward, rewardConfig(world, world.base, path('own'), changes), { lane, progress });
    await runStage(reward, rewardConfig(world, world.base, path('table')), { lane, quiet: true });
    const losses = (name: string) => seriesOf(readMetrics(path(name), rewardMetrics), 'loss/train');
    expect(losses('own')).toEqual(losses('table'));
    expect(lines).toContain(`pairs  ${file}: taken for pairs (chosen, rejected, prompt); 6 pairs of 7 rows`);
    expect(lines).toContain(`  left out: same answers 1 (${file}:4)`);
    const { manifest, wrong } = await checkedManifest(path('own'));
    expect(wrong).toEqual([]);
    expect(manifest.inputs).toEqual([
      { role: 'pairs', path: file, hash: await hashPath('pairs', file) },
      { role: 'heldOut', path: held, hash: await hashPath('heldOut', held) },
    ]);
    expect(summary).toMatchObject({ data: { train: { pairs: 6 }, heldOut: { pairs: 2 } } });
  });

  it('of conversations is held out by prompt, with configs/reward/own.yaml', async () => {
    const turn = (content: string) => [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content },
    ];
    const answer = (content: string) => ({ role: 'assistant', content });
    const rows = texts().map(({ prompt, chosen, rejected }) => {
      return { chosen: [...turn(prompt), answer(chosen)], rejected: [...turn(prompt), answer(rejected)] };
    });
    const own = fileURLToPath(new URL('../../configs/reward/own.yaml', import.meta.url));
    const overrides = [`run.folder=${path('talk')}`, `model=${world.base}`, `pairs=${write('talk.jsonl', rows)}`];
    const settings = loadConfig(RewardConfig, own, [...overrides, 'sequence.length=144', 'training.epochs=8']);
    await runStage(reward, settings, { lane, quiet: true });
    const held = arrowRows(path('talk/samples.arrow'));
    expect(held).toHaveLength(1);
    expect(String(held[0]?.prompt)).toMatch(/^Be kind\.\n\n\S/);
    expect(existsSync(path('talk/model/adapter'))).toBe(true);
  });
});

describe('refused before anything is written:', () => {
  it.each([
    ['no rows', () => [], /empty\.jsonl: holds no rows; expected at least one\.$/],
    ['ties alone', () => [{ prompt: 'q', responses: ['a', 'b'], scores: [1, 1] }], /its 1 rows give no pair/],
    [
      'one prompt alone',
      () => texts().slice(0, 1),
      /^evaluation\.best: loss needs held-out pairs, and of the 1 in .* none are held out/,
    ],
    [
      'two shapes',
      () => [...texts(), { prompt: 'q', response: 'a', rating: 1 }],
      /1 of 9 rows cannot be used, more than badRows 0\.1 allows/,
    ],
    ['longer than sequence.length', texts, /too long; expected at most 4 tokens \(sequence\.length\)/],
  ])('%s', async (name, rows, problem) => {
    const file = write('empty.jsonl', rows());
    const changes = { pairs: file, ...(name.endsWith('length') && { sequence: { length: 4 } }) };
    const problems = await refusal(reward, config('refused', changes), path(), lane);
    expect(problems[0]).toMatch(problem);
  });
});
