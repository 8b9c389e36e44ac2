import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/run/manifest.ts';
import { newManifest, nextSession } from '../../src/run/manifest.ts';
import { compareSettings, resumeRules } from '../../src/run/resume-settings.ts';
import { stringifyConfig } from '../../src/run/show-config.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { PretrainConfig } from '../../stages/0-pretrain.config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';
import { PpoConfig } from '../../stages/3-ppo.config.ts';
import { EvaluateConfig } from '../../stages/4-evaluate.config.ts';
import { DistillConfig } from '../../stages/distill.config.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import { evaluateSettings, instructSettings, ppoSettings, rewardSettings, tinyRuns } from '../helpers/tiny-configs.ts';

const path = useTemporaryFolder();
const world = { path: 'w', corpus: 'c', heldOut: 'h', tokenizer: 't', base: 'b', tables: 's', templates: 't', pairs: 'p', heldOutPairs: 'q' }; // biome-ignore format: one line
const lane = { lane: 'cpu', device: 'cpu', versions: {} };
const rules = resumeRules(PpoConfig);
const constant = { optimizer: { schedule: 'constant' }, valueOptimizer: { schedule: 'constant' } };

const ppoConfig = (changes: Changes): PpoConfig =>
  checkConfig(PpoConfig, ppoSettings(world, tinyRuns('r'), path(), changes) as never, 'test');

/** A run of PPO that has begun: 2 rollouts of 6 responses. */
function begun(changes: Changes = {}, manifest: Partial<Manifest> = {}): Manifest {
  mkdirSync(path('checkpoints', 'step-000002'), { recursive: true });
  writeFileSync(path('config.yaml'), stringifyConfig(ppoConfig(changes)));
  return { ...newManifest({ stage: 'ppo', seed: 1, ...lane }), steps: 2, ...manifest };
}
const compare = (changes: Changes, manifest: Manifest) => compareSettings(path(), ppoConfig(changes), rules, manifest);
const problems = async (changes: Changes, manifest: Manifest): Promise<string[]> =>
  (await problemsOf(() => compare(changes, manifest), path())).map((line) => line.replace(/^\S+ /, ''));
const last = 'with the settings of the run, or start a new one with another run.folder.';

test('the schemas say what may change', () => {
  const lengths = [PretrainConfig, InstructConfig, RewardConfig, DistillConfig, PpoConfig].map(
    (schema) => resumeRules(schema).lengths,
  );
  expect(lengths).toEqual([
    ['training.steps'],
    ['training.epochs'],
    ['training.epochs'],
    ['training.epochs'],
    ['rollout.iterations'],
  ]);
  const shared = ['backend', 'device', 'compile', 'precision', 'native', 'xla', 'checks'].map(
    (key) => `runtime.${key}`,
  );
  const saved = ['checkpoints.everySteps', 'checkpoints.keepLast'];
  expect(resumeRules(PretrainConfig).free).toEqual([...shared, ...saved]);
  for (const schema of [InstructConfig, RewardConfig, PpoConfig])
    expect(resumeRules(schema).free).toEqual([...shared, 'memory.recompute', 'memory.limitGb', ...saved]);
  const splits = [PretrainConfig, InstructConfig, DistillConfig, RewardConfig, PpoConfig].map(
    (schema) => resumeRules(schema).splits,
  );
  expect(splits).toEqual([...Array.from({ length: 4 }, () => ['training.microBatch']), ['updates.microBatch']]);
  expect(resumeRules(PpoConfig).paths).toContain('prompts.file');
});

test('paths in a map may change, names in it not; a run that was begun with the old key is known by the new one', async () => {
  const evaluate = (policies: Changes) =>
    checkConfig(EvaluateConfig, evaluateSettings(world, tinyRuns('r'), path(), { policies }) as never, 'test');
  const manifest = newManifest({ stage: 'evaluate', seed: 1, ...lane });
  const compared = (policies: Changes) =>
    compareSettings(path(), evaluate(policies), resumeRules(EvaluateConfig), manifest).changed;
  const { policies: _, ...others } = evaluate({});
  for (const before of [evaluate({ ppo: 'a' }), { ...others, ppo: 'a' }]) {
    writeFileSync(path('config.yaml'), stringifyConfig(before));
    expect(compared({ ppo: 'a' })).toEqual({});
    expect(compared({ ppo: 'b' })).toEqual({ 'policies.ppo': 'b' });
    expect(() => compared({ ppo: 'a', dpo: 'c' })).toThrow(/policies\.dpo: the run to resume has no such key/);
  }
});

describe('what changes no result', () => {
  test('may change, and is recorded and said', () => {
    const manifest = begun();
    const changes = {
      updates: { microBatch: 4 },
      runtime: { precision: 'bf16' },
      checkpoints: { keepLast: 9 },
      memory: { limitGb: 3 },
    };
    expect(compare(changes, manifest)).toEqual({
      changed: {
        'runtime.precision': 'bf16',
        'updates.microBatch': 4,
        'memory.limitGb': 3,
        'checkpoints.keepLast': 9,
      },
      lines: [
        'runtime.precision bf16 (f32 before)',
        'updates.microBatch 4 (64 before)',
        'memory.limitGb 3 (null before)',
        'checkpoints.keepLast 9 (2 before)',
      ],
      isLonger: false,
    });
    expect(compare({}, manifest)).toEqual({ changed: {}, lines: [], isLonger: false });
  });

  test('a start after that is told what it takes back; moved paths are recorded without a word', () => {
    const manifest = nextSession(begun(), lane, { 'updates.microBatch': 4 });
    expect(compare({}, manifest)).toEqual({
      changed: {},
      lines: ['updates.microBatch 64 (4 before)'],
      isLonger: false,
    });
    expect(compare({ updates: { microBatch: 4 } }, manifest).lines).toEqual([]);
    expect(compare({ policy: 'moved' }, begun())).toEqual({ changed: { policy: 'moved' }, lines: [], isLonger: false });
  });

  test('micro-batches may not change where dropout is drawn for each', async () => {
    const settings = (changes: Changes) =>
      checkConfig(InstructConfig, instructSettings(world, path(), changes) as never, 'test');
    const tuning = { method: 'lora', lora: { dropout: 0.1 } };
    const manifest = begun();
    writeFileSync(path('config.yaml'), stringifyConfig(settings({ tuning })));
    const compareTo = (changes: Changes) =>
      problemsOf(() => compareSettings(path(), settings(changes), resumeRules(InstructConfig), manifest), path());
    expect(await compareTo({ tuning, training: { microBatch: 2 } })).toEqual([
      expect.stringMatching(
        /training\.microBatch: the run to resume has null, received 2\. With tuning\.lora\.dropout every micro-batch draws its own noise\.$/,
      ),
      expect.stringMatching(/^Resume with/),
    ]);
    expect(await compareTo({ tuning })).toEqual([]);
  });

  test('settings under old keys are compared with those under the new ones', async () => {
    const { updates, evaluation, prompts, ...rest } = ppoConfig({ evaluation: { everySteps: 3 } });
    const { microBatch, ...otherUpdates } = updates;
    const { everySteps, ...otherEvaluation } = evaluation;
    const { tables, ...otherPrompts } = prompts;
    const old = (everyIterations: number) => ({
      ...rest,
      prompts: { ...otherPrompts, seed: tables },
      updates: { ...otherUpdates, microBatchRows: microBatch },
      evaluation: { ...otherEvaluation, everyIterations },
    });
    const manifest = nextSession(begun(), lane, { 'updates.microBatchRows': 4 });
    writeFileSync(path('config.yaml'), stringifyConfig(old(everySteps)));
    const changed = { evaluation: { everySteps: 3 }, updates: { microBatch: 2 } };
    expect(compare(changed, manifest)).toEqual({
      changed: { 'updates.microBatch': 2 },
      lines: ['updates.microBatch 2 (4 before)'],
      isLonger: false,
    });
    writeFileSync(path('config.yaml'), stringifyConfig(old(7)));
    expect(await problems(changed, manifest)).toEqual([
      'evaluation.everySteps: the run to resume has 7, received 3.',
      last,
    ]);
  });

  test('pieces of a batch are compared with the rows of a piece', async () => {
    const settings = (changes: Changes) =>
      checkConfig(InstructConfig, instructSettings(world, path(), changes) as never, 'test');
    const noise = { tuning: { method: 'lora', lora: { dropout: 0.1 } } };
    const { training, ...rest } = settings(noise);
    const { microBatch, ...others } = training;
    const compareTo = (accumulate: number, now: number | null) => {
      writeFileSync(path('config.yaml'), stringifyConfig({ ...rest, training: { ...others, accumulate } }));
      const changed = settings({ ...noise, training: { microBatch: now } });
      return problemsOf(() => compareSettings(path(), changed, resumeRules(InstructConfig), manifest), path());
    };
    const manifest = begun();
    expect(microBatch).toBe(null);
    expect(await compareTo(1, null)).toEqual([]);
    expect(await compareTo(4, 1)).toEqual([]);
    expect(await compareTo(2, 1)).toEqual([
      expect.stringMatching(/training\.microBatch: the run to resume has 2, received 1\. With tuning/),
      expect.stringMatching(/^Resume with/),
    ]);
  });

  test('keys of other variants, which configurations once named too, are not compared; those of the variant are', async () => {
    const all = { control: 'fixed', weight: 0.05, estimator: 'k1', target: 6, horizon: 10_000 };
    const manifest = begun();
    writeFileSync(path('config.yaml'), stringifyConfig({ ...ppoConfig({}), kl: all }));
    expect(await problems({}, manifest)).toEqual([]);
    const adaptive = { kl: { control: 'adaptive', target: 3 } };
    expect(await problems(adaptive, manifest)).toEqual([
      'kl.control: the run to resume has "fixed", received "adaptive".',
      'kl.target: the run to resume has 6, received 3.',
      last,
    ]);
    writeFileSync(path('config.yaml'), stringifyConfig(ppoConfig(adaptive)));
    expect(await problems({ kl: { control: 'adaptive', target: 4 } }, manifest)).toEqual([
      'kl.target: the run to resume has 3, received 4.',
      last,
    ]);
  });

  test('anything else is refused', async () => {
    const changes = {
      updates: { epochs: 3, microBatch: 4 },
      memory: { frozen: 'bfloat16' },
      tuning: { method: 'lora' },
      run: { seed: 2 },
    };
    expect(await problems(changes, begun())).toEqual([
      'run.seed: the run to resume has 1, received 2.',
      'updates.epochs: the run to resume has 2, received 3.',
      'tuning.method: the run to resume has "full", received "lora".',
      'memory.frozen: the run to resume has "float32", received "bfloat16".',
      last,
    ]);
  });
});

test('a file where there was none, and none where there was one, are refused: they are other data', async () => {
  const file = { prompts: { file: 'mine.jsonl', tables: undefined, templates: undefined } };
  expect(await problems(file, begun())).toEqual([
    'prompts.tables: the run to resume has "s", received none.',
    'prompts.templates: the run to resume has "t", received none.',
    'prompts.file: the run to resume has no such key, received "mine.jsonl".',
    last,
  ]);
  const settings = (heldOut: string | null): RewardConfig =>
    checkConfig(RewardConfig, rewardSettings(world, 'm', path(), { heldOut }) as never, 'test');
  const manifest = begun();
  for (const [before, now] of [
    ['q', null],
    [null, 'q'],
  ] as const) {
    writeFileSync(path('config.yaml'), stringifyConfig(settings(before)));
    const compareTo = (heldOut: string | null) =>
      problemsOf(() => compareSettings(path(), settings(heldOut), resumeRules(RewardConfig), manifest), path());
    expect(await compareTo(now)).toEqual([
      expect.stringMatching(
        `heldOut: the run to resume has ${JSON.stringify(before)}, received ${JSON.stringify(now)}\\.$`,
      ),
      expect.stringMatching(/^Resume with/),
    ]);
    expect(await compareTo(before)).toEqual([]);
  }
});

describe('a longer run', () => {
  const longer = { ...constant, rollout: { iterations: 8 } };

  test('is allowed where rates are constant, whether the run is finished or not', () => {
    for (const status of ['interrupted', 'finished'] as const) {
      expect(compare(longer, begun(constant, { status }))).toEqual({
        changed: { 'rollout.iterations': 8 },
        lines: ['rollout.iterations 8 (2 before)'],
        isLonger: true,
      });
    }
    // A warm-up that fitted is what it was.
    const warm = { optimizer: { schedule: 'constant', warmupSteps: 1 } };
    expect(compare({ ...longer, ...warm }, begun({ ...constant, ...warm })).isLonger).toBe(true);
  });

  test('is refused, with the reason, where the rates that were used would be others', async () => {
    const falls = (section: string, schedule: string) =>
      `rollout.iterations: the run goes to 2, received 8. ${section}.schedule ${schedule} falls over the length of the run, so the steps that were made would have had other rates. A run that may grow needs ${section}.schedule=constant from its beginning; this one's model can start a new run.`;
    const own = { optimizer: { schedule: 'constant' }, valueOptimizer: { schedule: 'cosine' } };
    expect(await problems({ ...own, rollout: { iterations: 8 } }, begun(own))).toEqual([
      falls('valueOptimizer', 'cosine'),
      last,
    ]);
    expect(await problems({ rollout: { iterations: 8 } }, begun({}, { status: 'finished' }))).toEqual([
      falls('optimizer', 'linear'),
      falls('valueOptimizer', 'linear'),
      last,
    ]);
    const warm = { ...constant, optimizer: { schedule: 'constant', warmupSteps: 5 } };
    expect(await problems({ ...warm, rollout: { iterations: 8 } }, begun(warm))).toEqual([
      'rollout.iterations: the run goes to 2, received 8. optimizer.warmupSteps 5 was shortened to fit 2 steps, so the steps that were made would have had other rates. Start a new run of that length.',
      last,
    ]);
  });

  test('is told from a shorter one, also where it has grown before', async () => {
    const shorter = (to: number) =>
      `rollout.iterations: the run goes to ${to}, received 1. A run can be made longer, not shorter: give rollout.iterations=${to}.`;
    expect(await problems({ ...constant, rollout: { iterations: 1 } }, begun(constant))).toEqual([shorter(2), last]);
    const grown = nextSession(begun(constant), lane, { 'rollout.iterations': 8 });
    expect(await problems({ ...constant, rollout: { iterations: 1 } }, grown)).toEqual([shorter(8), last]);
    expect(await problems(constant, grown)).toEqual([
      'rollout.iterations: the run goes to 8, received 2. A run can be made longer, not shorter: give rollout.iterations=8.',
      last,
    ]);
    expect(compare(longer, grown)).toEqual({ changed: { 'rollout.iterations': 8 }, lines: [], isLonger: false });
  });

  test('needs the last checkpoint', async () => {
    const manifest = begun(constant, { status: 'finished' });
    rmSync(path('checkpoints'), { recursive: true });
    expect(await problems(longer, manifest)).toEqual([
      'rollout.iterations: the run goes to 2, received 8, but its checkpoints are gone. A longer run goes on from the last one.',
      last,
    ]);
  });
});
