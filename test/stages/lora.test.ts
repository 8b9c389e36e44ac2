/** The chain with low-rank adapters: one frozen trunk, adapters in PEFT's format beside merged models, exact resume. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ppoMetrics } from '../../src/alignment/ppo-metrics.ts';
import { readAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { planOfCritic, startPpo } from '../../src/checkpoint/ppo-models.ts';
import { trainingPlan } from '../../src/checkpoint/training-plan.ts';
import { seededRandom } from '../../src/random.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { parameterValues, readParameters } from '../../src/tensor/parameters.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { readTensors } from '../helpers/tensors.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { instructConfig, ppoConfig, rewardConfig, tinyRuns } from '../helpers/tiny-configs.ts';
import {
  filesBelow,
  interruptedAt,
  namesIn,
  readMetrics,
  seriesOf,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
const tuning = { method: 'lora', lora: { rank: 2, alpha: 4, dropout: 0.1 } } as const;
const calm = { tuning: { ...tuning, lora: { ...tuning.lora, dropout: 0 } } };
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
});

describe.each(lanesToTest())('on the %s lane', (name) => {
  let lane: Lane;
  let runs: TinyRuns;
  beforeAll(async () => {
    lane = await useLane(name);
    runs = tinyRuns(path(name));
    const learning = { training: { epochs: 6 }, evaluation: { everySteps: 100 }, tuning };
    await runStage(instruct, instructConfig(world, runs.instruct, learning), { lane, quiet: true });
    await runStage(reward, rewardConfig(world, runs.instruct, runs.reward, { training: { epochs: 3 }, tuning }), {
      lane,
      quiet: true,
    });
  });

  it('stages 1 and 2 leave the merged model and, beside it, what was trained', () => {
    for (const [folder, head] of [
      [join(runs.instruct, 'best'), 'tokens'],
      [join(runs.reward, 'model'), 'score'],
    ] as const) {
      const { dimensions } = readModelConfig(join(folder, 'config.json'));
      const saved = readAdapterFolder(join(folder, 'adapter'), dimensions);
      expect(saved).toMatchObject({ head, plan: { rank: 2, scale: 2, dropout: 0.1 } });
      expect(saved.plan.places.length).toBe(dimensions.layers * 7);
      expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('AutoModelFor');
    }
    // What is merged is the model it started from, changed: embeddings and norms are the same, matrices are not.
    const [before, after] = [join(runs.instruct, 'best'), join(runs.reward, 'model')].map((folder) =>
      readTensors(join(folder, 'model.safetensors')),
    );
    for (const same of ['model.embed_tokens.weight', 'model.norm.weight'])
      expect(after!.get(same)).toEqual(before!.get(same));
    const query = 'model.layers.0.self_attn.q_proj.weight';
    expect(after!.get(query)!.values).not.toEqual(before!.get(query)!.values);
  });

  it('PPO holds one trunk: the reference is the policy with its adapters off, and all four share what is frozen', () => {
    const [policyFolder, rewardFolder] = [join(runs.instruct, 'best'), join(runs.reward, 'model')];
    const { dimensions } = readModelConfig(join(policyFolder, 'config.json'));
    const settings = ppoConfig(world, runs, path('unused'), calm);
    const plan = (head: 'tokens' | 'score') => trainingPlan(dimensions, head, settings.tuning, settings.memory);
    const sources = {
      policy: policyFolder,
      reward: rewardFolder,
      sameTrunk: true,
      tokenizer: loadTokenizer(policyFolder),
    };
    const started = startPpo(sources, { policy: plan('tokens'), critic: plan('score') }, seededRandom(1));
    expect(started.trunks).toBe(1);
    const { policy, reference, critic, reward: scorer } = started;
    for (const model of [reference, critic, scorer]) expect(model.parameters.frozen).toBe(policy.parameters.frozen);
    expect(reference.parameters.layout.total).toBe(0);
    expect(policy.parameters.adapters).not.toBeNull();
    expect(critic.parameters.flat).not.toBe(scorer.parameters.flat);
  });

  it.each([
    ['on one trunk', true, 1],
    ['on a trunk of its own', false, 2],
  ])('a reward model by likelihood %s becomes a critic with its adapters and a head of 0', async (label, sameTrunk, trunks) => {
    const judged = path(name, `likelihood ${label}`);
    const settings = { score: 'likelihood', training: { epochs: 3 }, tuning };
    await runStage(reward, rewardConfig(world, runs.instruct, judged, settings), { lane, quiet: true });
    const [policyFolder, rewardFolder] = [join(runs.instruct, 'best'), join(judged, 'model')];
    const { dimensions } = readModelConfig(join(policyFolder, 'config.json'));
    const { tuning: asked, memory } = ppoConfig(world, runs, path('unused'), calm);
    const plan = (head: 'tokens' | 'score') => trainingPlan(dimensions, head, asked, memory);
    const sources = { policy: policyFolder, reward: rewardFolder, sameTrunk, tokenizer: loadTokenizer(policyFolder) };
    const started = startPpo(sources, { policy: plan('tokens'), critic: plan('score') }, seededRandom(1));
    expect([started.reward.head, started.critic.head, started.trunks]).toEqual(['tokens', 'score', trunks]);
    const { layout } = started.critic.parameters;
    const [critic, scorer] = [started.critic, started.reward].map(({ parameters }) => readParameters(parameters));
    expect(parameterValues(layout, critic!, 'score.weight').every((weight) => weight === 0)).toBe(true);
    for (const { name: adapter } of started.reward.parameters.layout.specs)
      expect(parameterValues(layout, critic!, adapter)).toEqual(
        parameterValues(started.reward.parameters.layout, scorer!, adapter),
      );
    const said: string[] = [];
    await runStage(ppo, ppoConfig(world, runs, path(name, `ppo ${label}`), { ...calm, reward: judged }), {
      lane,
      progress: watchProgress({ say: (line) => said.push(line) }),
    });
    expect(said.some((line) => line.includes('one trunk in memory'))).toBe(true);
  });

  it('PPO plans and tells the adapters that the critic has, whatever its own configuration names', async () => {
    const rewardFolder = join(runs.reward, 'model');
    const { dimensions } = readModelConfig(join(rewardFolder, 'config.json'));
    const other = { tuning: { ...calm.tuning, lora: { rank: 5, alpha: 4, dropout: 0 } } };
    const settings = ppoConfig(world, runs, path(name, 'other rank'), other);
    const plan = trainingPlan(dimensions, 'score', settings.tuning, settings.memory);
    const planned = (sameTrunk: boolean) => planOfCritic(plan, { reward: rewardFolder, sameTrunk }, dimensions);
    expect([planned(true).adapters?.rank, planned(false).adapters?.rank]).toEqual([2, 5]);
    const said: string[] = [];
    await runStage(ppo, settings, { lane, progress: watchProgress({ say: (line) => said.push(line) }) });
    expect(said).toContain(
      `ppo  one trunk in memory; the critic goes on with the reward model's adapters: rank 2 on ${dimensions.layers * 7} matrices`,
    );
  });

  it.each([
    ['', {}],
    [' with a pre-training mix', { pretrainingMix: { length: 144, rows: 2 } }],
  ])('PPO%s runs on it, and a stopped run ends with the bytes of one that was not', async (label, changes) => {
    const config = (run: string) =>
      ppoConfig(world, runs, folderOf(run), { ...calm, ...changes, checkpoints: { everySteps: 1 } });
    const folderOf = (run: string): string => path(name, `${run}${label}`);
    await runStage(ppo, config('whole'), { lane, quiet: true });
    const stopping = runStage(interruptedAt(ppo, 1), config('stopped'), { lane, quiet: true });
    await expect(stopping).rejects.toThrow(Interrupted);
    await runStage(ppo, config('stopped'), { lane, quiet: true, resume: true });
    const [whole, stopped] = ['whole', 'stopped'].map((run) => filesBelow(join(folderOf(run), 'model')));
    const names = Object.keys(whole!).filter((file) => file !== 'README.md');
    expect(names).toContain('adapter/adapter_model.safetensors');
    expect(names.filter((file) => whole![file] !== stopped![file])).toEqual([]);
    // Checkpoints hold what is trained, not the trunk.
    const last = join(folderOf('whole'), 'checkpoints');
    const files = Object.keys(filesBelow(last));
    expect(files.some((file) => file.endsWith('trained.safetensors'))).toBe(true);
    expect(files.some((file) => file.endsWith('/model.safetensors'))).toBe(false);
    const ratios = seriesOf(readMetrics(folderOf('whole'), ppoMetrics), 'policy/mix_gradient_ratio');
    expect(ratios.map((ratio) => ratio > 0)).toEqual(label === '' ? [] : [true, true]);
  });

  it('stage 1 resumes to the same bytes, dropout included, and frozen layers stay as they were', async () => {
    const partly = { freeze: { embeddings: true, layers: 1 }, rates: { layerDecay: 0.5 } };
    for (const [label, changes] of [
      ['adapters', tuning],
      ['partly', partly],
    ] as const) {
      const config = (folder: string) =>
        instructConfig(world, path(name, label, folder), {
          tuning: changes,
          checkpoints: { everySteps: 1 },
          memory: { recompute: true },
        });
      await runStage(instruct, config('whole'), { lane, quiet: true });
      const stopping = runStage(interruptedAt(instruct, 2), config('stopped'), { lane, quiet: true });
      await expect(stopping).rejects.toThrow(Interrupted);
      await runStage(instruct, config('stopped'), { lane, quiet: true, resume: true });
      const [whole, stopped] = ['whole', 'stopped'].map((folder) => filesBelow(path(name, label, folder, 'best')));
      expect(Object.keys(whole!).filter((file) => file !== 'README.md' && whole![file] !== stopped![file])).toEqual([]);
    }
    // The last checkpoint holds what is trained, and nothing of what is frozen.
    const folder = path(name, 'partly', 'whole', 'checkpoints');
    const trained = readTensors(join(folder, namesIn(folder).at(-1)!, 'trained.safetensors'));
    const keys = [...trained.keys()];
    expect(keys).toContain('blocks.1.mlp.input.weight');
    expect(keys.filter((key) => key.startsWith('embedding.') || key.startsWith('blocks.0.'))).toEqual([]);
    expect(existsSync(path(name, 'partly', 'whole', 'best', 'adapter'))).toBe(false);
  });

  it('a dropout in PPO is refused: the policy that learns would not be the one that sampled', () => {
    expect(() => ppoConfig(world, runs, path('x'), { tuning })).toThrow(/tuning\.lora\.dropout/);
  });
});
