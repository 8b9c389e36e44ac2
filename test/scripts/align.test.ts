/** The whole chain on a tiny world: its summary and report, and that it goes on where it was stopped. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { AlignConfig } from '../../scripts/align.config.ts';
import { align } from '../../scripts/align.ts';
import type { ChainSummary } from '../../src/report/chain-summary.ts';
import { hashPath, readManifest, writeManifest } from '../../src/run/manifest.ts';
import { lockRunFolder } from '../../src/run/run-lock.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { checkConfig } from '../../src/yaml/load-config.ts';
import { allStages } from '../../stages/all.ts';
import { notAsDeclared } from '../helpers/declared.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import {
  evaluateSettings,
  instructSettings,
  ppoSettings,
  preferencesSettings,
  rewardSettings,
  tinyRuns,
} from '../helpers/tiny-configs.ts';
import { arrowRows, filesBelow, namesIn, useSharedFolder, watchProgress } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { lanesToTest } from '../helpers/use-lane.ts';

/** A folder as people name them: everything in it is syntax somewhere. */
const CHAIN = "try #2: it's {*a} & [b]";
const path = useSharedFolder();
const stages = ['instruct', 'preferences', 'reward', 'ppo', 'evaluate'] as const;
const backend = lanesToTest()[0]!;
const runs = tinyRuns('set by the chain');
let world: TinyWorld;

beforeAll(async () => {
  mkdirSync(path('configs'));
  world = await makeTinyWorld(path('world'));
  const settings: Record<(typeof stages)[number], Changes> = {
    instruct: instructSettings(world, 'set by the chain'),
    // Several batches, so that a signal has time to arrive.
    preferences: preferencesSettings(world, runs.instruct, 'set by the chain', { sampling: { batchSize: 8 } }),
    reward: rewardSettings(world, runs.instruct, 'set by the chain'),
    ppo: ppoSettings(world, runs, 'set by the chain', { checkpoints: { everySteps: 1 } }),
    evaluate: evaluateSettings(world, runs, 'set by the chain'),
  };
  for (const stage of stages) writeFileSync(path('configs', `${stage}.yaml`), JSON.stringify(settings[stage]));
});

function config(folder: string, changes: Changes = {}): AlignConfig {
  const settings = {
    run: { folder: path(folder), seed: 5 },
    runtime: { backend },
    base: world.base,
    stages: Object.fromEntries(stages.map((stage) => [stage, path('configs', `${stage}.yaml`)])),
    overrides: { reward: ['training.epochs=1'] },
    ...changes,
  };
  return checkConfig(AlignConfig, settings as never, 'test');
}

const said: string[] = [];
const progress = watchProgress({ say: (line) => said.push(line) });
let summary: ChainSummary;
beforeAll(async () => {
  summary = await align(config(CHAIN), progress);
});

describe('the chain', () => {
  it('writes every stage, a summary and a report', () => {
    expect(namesIn(path(CHAIN))).toEqual([...stages, 'report.md', 'summary.json'].sort());
    for (const stage of stages) {
      expect(readManifest(path(CHAIN, stage))).toMatchObject({ stage, status: 'finished', seed: 5, lane: backend });
    }
  });

  it.each(stages)('finds in the folder of %s what the stage declares, and nothing else', (name) => {
    const stage = allStages.find((each) => each.name === name)!;
    expect(notAsDeclared(stage, path(CHAIN, name))).toEqual([]);
    const other = { ...stage, outputs: { other: { path: 'other.arrow', holds: 'nothing' } } };
    expect(notAsDeclared(other, path(CHAIN, name))).toContain('other.arrow: missing');
  });

  it('gives stages their parents, and what the configuration overrides', () => {
    const parents = (stage: string) =>
      readManifest(path(CHAIN, stage))!.parents.map(({ role, path: folder }) => [role, folder.replace(path('/'), '')]);
    expect(parents('instruct')).toEqual([['model', 'world/base']]);
    expect(parents('preferences')).toEqual([['model', `${CHAIN}/instruct`]]);
    expect(parents('reward')).toEqual([['model', `${CHAIN}/instruct`]]);
    expect(parents('ppo')).toEqual([
      ['policy', `${CHAIN}/instruct`],
      ['reward', `${CHAIN}/reward`],
    ]);
    const pairs = readManifest(path(CHAIN, 'reward'))!.inputs;
    const made = readManifest(path(CHAIN, 'preferences'))!.outputs;
    expect(pairs.map(({ hash }) => hash)).toEqual(made.slice(0, 2).map(({ hash }) => hash));
    expect(readFileSync(path(CHAIN, 'reward', 'config.yaml'), 'utf8')).toMatch(/epochs: 1\n/);
  });

  it('has every number of the issue in summary.json, taken from the manifests of its stages', () => {
    const stored = JSON.parse(readFileSync(path(CHAIN, 'summary.json'), 'utf8')) as ChainSummary;
    expect(stored).toEqual(summary);
    expect(summary).toMatchObject({ lane: backend, seed: 5 });
    const { seconds, peakRssMb } = stored;
    const { instruct, reward, ppo } = stored as unknown as Record<string, Record<string, number>>;
    expect(Object.keys(instruct!).sort()).toEqual(['accuracy', 'accuracyBase', 'accuracyUnseenTemplates']);
    expect(reward).toMatchObject({ heldOutAccuracy: expect.any(Number), ece: expect.any(Number) });
    expect(Object.keys(ppo!).sort()).toEqual([
      'accuracyAfter',
      'goldAfter',
      'goldBefore',
      'goldSdBefore',
      'klPerResponse',
      'proxyAfter',
      'proxyBefore',
      'rightAfter',
      'rightBefore',
      'winRate',
    ]);
    for (const value of [seconds, peakRssMb, ...[instruct, reward, ppo].flatMap((part) => Object.values(part!))]) {
      expect(Number.isFinite(value)).toBe(true);
    }
    const total = stages.reduce((sum, stage) => sum + readManifest(path(CHAIN, stage))!.seconds, 0);
    expect(Math.abs(seconds - total)).toBeLessThan(0.1);
    expect(reward!.heldOutAccuracy).toBe(readManifest(path(CHAIN, 'reward'))!.summary.heldOutAccuracy);
    const row = (model: string) => stored.table.find((candidate) => candidate.model === model)!;
    expect(instruct).toEqual({
      accuracyBase: row('base').accuracy,
      accuracy: row('instruct').accuracy,
      accuracyUnseenTemplates: row('instruct').accuracy_unseen_templates,
    });
    expect(ppo).toMatchObject({
      goldBefore: row('instruct').gold,
      goldAfter: row('ppo').gold,
      winRate: row('ppo').win_rate,
    });
  });

  it('shows a table, answers side by side and where to look', () => {
    const report = readFileSync(path(CHAIN, 'report.md'), 'utf8');
    expect(report).toContain('# Report of a chain');
    expect(report).toMatch(/\| ppo \| right answers \|/);
    expect(said).toContain(
      'Answers to the first 6 of 6 held-out prompts, in their order and not chosen, with gold scores:',
    );
    expect(said).toContain('Where to look:');
    expect(report).toContain(said.slice(said.indexOf('Step by step of ppo:')).slice(0, 11).join('\n'));
    expect(said.some((line) => line.includes(join(path(CHAIN), 'summary.json')))).toBe(true);
  });
});

describe('while the chain runs', () => {
  /** What was said of one prompt: where, its first line, and the answers by model. */
  const shown = (lines: readonly string[]) => {
    return lines.flatMap((line, at) => {
      if (!line.startsWith('Greedy answers to the first held-out prompt: ')) return [];
      const rest = lines.slice(at + 1);
      const end = rest.findIndex((other) => !/^ {2}(base|instruct|ppo) +(right|wrong) {2}\S/.test(other));
      return [{ at, line, answers: rest.slice(0, end) }];
    });
  };
  const modelsOf = (answers: readonly string[]) => answers.map((line) => line.trim().split(' ')[0]);

  it('shows the answers so far to one prompt: of the base first, then after each model that is made', () => {
    const blocks = shown(said);
    expect(blocks.map(({ answers }) => modelsOf(answers))).toEqual([
      ['base'],
      ['base', 'instruct'],
      ['base', 'instruct', 'ppo'],
    ]);
    // The first of split test in the world's chat.jsonl, which the evaluation asks first too.
    const [row] = arrowRows(path(CHAIN, 'evaluate', 'answers.arrow'));
    const prompt = String(row!.prompt).replaceAll('\n', ' / ');
    expect(prompt).toContain('This morning in Thorn it is foggy, and in Moss it is windy.');
    expect(blocks.map(({ line }) => line.split(': ').slice(1).join(': '))).toEqual([prompt, prompt, prompt]);
    expect(said.slice(said.indexOf('Where to look:')).join()).not.toContain('Greedy');
    // What was answered stays.
    const [base, instruct, ppo] = blocks.map(({ answers }) => answers.map((line) => line.replace(/^ {2}\w+ +/, '')));
    expect([instruct![0], ppo![0], ppo![1]]).toEqual([base![0], base![0], instruct![1]]);
  });

  it('shows them again where stages are finished already', async () => {
    const lines: string[] = [];
    await align(config(CHAIN), watchProgress({ say: (line) => lines.push(line) }));
    expect(shown(lines).map(({ answers }) => answers)).toEqual(shown(said).map(({ answers }) => answers));
    const done = lines.filter((line) => / already finished /.test(line) || line.startsWith('Greedy'));
    expect(done.map((line) => line.split(/[ :]/)[0])).toEqual([
      ...['Greedy', 'instruct', 'Greedy', 'preferences', 'reward', 'ppo', 'Greedy', 'evaluate'],
    ]);
  });

  it('colours marks where it is told to, and nothing in report.md', async () => {
    const lines: string[] = [];
    const paint = (color: string, word: string) => `<${color} ${word}>`;
    await align(config(CHAIN), watchProgress({ say: (line) => lines.push(line) }), paint);
    expect(lines.filter((line) => /<(red wrong|green right)> {2}/.test(line))).toHaveLength(1 + 2 + 3 + 12);
    expect(readFileSync(path(CHAIN, 'report.md'), 'utf8')).not.toContain('<red');
  });

  it('says nothing of answers and curves in a chain whose evaluation has no prompts and whose stages have none', async () => {
    const { reward: _, prompts: __, promptCount: ___, sampling: ____, ...bare } = evaluateSettings(world, runs, 'x');
    writeFileSync(path('configs', 'bare.yaml'), JSON.stringify(bare));
    const named = { instruct: path('configs', 'instruct.yaml'), evaluate: path('configs', 'bare.yaml') };
    const lines: string[] = [];
    const watch = watchProgress({ say: (line) => lines.push(line) });
    await align(config('bare', { stages: named, overrides: {} }), watch);
    expect(lines).toContain('Where to look:');
    expect(lines.join('\n')).not.toMatch(/Greedy|Answers to|Step by step|answers\.arrow/);
    expect(readFileSync(path('bare', 'report.md'), 'utf8')).not.toMatch(/## Answers|## Curves|answers\.arrow/);
  });
});

describe('the same command again', () => {
  it('runs nothing of a chain that is finished and changes none of its files', async () => {
    const before = filesBelow(path(CHAIN));
    let steps = 0;
    const lines: string[] = [];
    const watch = watchProgress({ say: (line) => lines.push(line), step: () => steps++ });
    expect(await align(config(CHAIN), watch)).toEqual(summary);
    expect(steps).toBe(0);
    expect(lines.filter((line) => line.includes('already finished'))).toHaveLength(5);
    expect(filesBelow(path(CHAIN))).toEqual(before);
  });

  it('is refused while the first works in the folder, and gives the folder back', async () => {
    const lock = await lockRunFolder(path(CHAIN), 'align', () => undefined);
    expect(await problemsOf(() => align(config(CHAIN), watchProgress({})), path())).toEqual([
      expect.stringMatching(/^run\.folder .*: is in use by align, process \d+, since /),
    ]);
    lock.release();
    expect(namesIn(path(CHAIN))).not.toContain('run.lock');
  });

  it('goes on where Ctrl-C stopped it, stage by stage, to the same result', async () => {
    // Every stage but the last is interrupted once: in its first step, by a real signal.
    const stopIn = ['instruct', 'preferences', 'reward', 'ppo'];
    const begun: string[] = [];
    const step = (phase: string): void => {
      if (!stopIn.includes(phase)) return;
      stopIn.splice(stopIn.indexOf(phase), 1);
      begun.push(phase);
      process.kill(process.pid, 'SIGINT');
    };
    for (let round = 0; round < 4; round++) {
      await expect(align(config('stopped'), watchProgress({ step }))).rejects.toThrow(Interrupted);
    }
    expect(begun).toEqual(['instruct', 'preferences', 'reward', 'ppo']);
    const resumed = await align(config('stopped'), watchProgress({}));
    const lasting = ({ seconds, secondsByStage, peakRssMb, ...rest }: ChainSummary) => rest;
    expect(lasting(resumed)).toEqual(lasting(summary));
    const files = ['instruct/best', 'reward/model', 'ppo/model'].map((folder) => [
      filesBelow(path(CHAIN, folder)),
      filesBelow(path('stopped', folder)),
    ]);
    for (const [whole, again] of files) {
      // The model card names the folders of the chain, which are others here.
      const names = Object.keys(whole!).filter((name) => name !== 'README.md');
      expect(names.filter((name) => whole![name] !== again![name])).toEqual([]);
    }
  });

  it('is refused where stage 1 was made again under later stages of old, naming all folders to make again', async () => {
    cpSync(path(CHAIN), path('mixed'), { recursive: true });
    // As another run of stage 1 would leave it: other weights, and a manifest that knows them.
    const best = path('mixed/instruct/best');
    const weights = readFileSync(join(best, 'model.safetensors'));
    weights[weights.length - 4]! ^= 1;
    writeFileSync(join(best, 'model.safetensors'), weights);
    const manifest = readManifest(path('mixed/instruct'))!;
    const outputs = manifest.outputs.filter(({ role }) => role !== 'model');
    const model = { role: 'model', path: 'best', hash: await hashPath('model', best) };
    await writeManifest(path('mixed/instruct'), { ...manifest, outputs: [...outputs, model] });

    const problems = await problemsOf(() => align(config('mixed'), watchProgress({})), path());
    const changed = (role: string) =>
      new RegExp(
        `^${role} mixed/instruct: is not what mixed/\\w+ was made from; expected sha256:\\w+…, received sha256:`,
      );
    for (const role of ['model', 'policy', 'instruct']) {
      expect(
        problems.some((line) => changed(role).test(line)),
        role,
      ).toBe(true);
    }
    expect(problems.at(-1)).toBe(
      'Remove or rename mixed/preferences, mixed/reward, mixed/ppo, mixed/evaluate to make them again, or put the old content back.',
    );
  });

  it('is refused where the settings of a stage were changed', async () => {
    const changed = config(CHAIN, { overrides: { reward: ['training.epochs=1'], ppo: ['kl.weight=0.2'] } });
    await expect(align(changed, watchProgress({}))).rejects.toThrow(
      /kl\.weight: the run to resume has 0\.05, received 0\.2\./,
    );
  });
});
