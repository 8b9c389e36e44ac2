/** Checkpoints and run folders that cannot be used: each with its whole message, and nothing overwritten. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listCheckpoints } from '../../src/checkpoint/checkpoint-list.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { runStage } from '../../src/run/stage.ts';
import type { Lane } from '../../src/tensor/lane.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { pretrain, pretrainMetrics } from '../../stages/0-pretrain.ts';
import { instruct } from '../../stages/1-instruct.ts';
import { reward } from '../../stages/2-reward.ts';
import { ppo } from '../../stages/3-ppo.ts';
import { evaluate } from '../../stages/4-evaluate.ts';
import { refusal } from '../helpers/refusals.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { TinyRuns } from '../helpers/tiny-configs.ts';
import { evaluateConfig, instructConfig, ppoConfig, pretrainConfig, rewardConfig } from '../helpers/tiny-configs.ts';
import { makeParents } from '../helpers/tiny-parents.ts';
import {
  filesBelow,
  interruptedAt,
  namesIn,
  readMetrics,
  useSharedFolder,
  watchProgress,
} from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld, writeBase, writeTokenizer } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';

const path = useSharedFolder();
let lane: Lane;
let world: TinyWorld;
let runs: TinyRuns;
beforeAll(async () => {
  lane = await useLane();
  world = await makeTinyWorld(path('world'));
  runs = await makeParents(world, path('chain'), lane);
});

let count = 0;
const fresh = (): string => {
  count += 1;
  return path(`run-${count}`);
};
const refuseInstruct = (model: string, changes = {}): Promise<string[]> =>
  refusal(instruct, instructConfig(world, fresh(), { model, ...changes }), path(), lane);
const refuseReward = (model: string): Promise<string[]> =>
  refusal(reward, rewardConfig(world, model, fresh()), path(), lane);
const refusePpo = (changes: object): Promise<string[]> =>
  refusal(ppo, ppoConfig(world, runs, fresh(), { ...changes }), path(), lane);
const refuseEvaluate = (changes: object): Promise<string[]> =>
  refusal(evaluate, evaluateConfig(world, { ...runs, ppo: runs.instruct }, fresh(), { ...changes }), path(), lane);
/** A copy of the base model named "base". */
function spoiltBase(change: (folder: string) => void): string {
  rmSync(path('base'), { recursive: true, force: true });
  cpSync(world.base, path('base'), { recursive: true });
  change(path('base'));
  return path('base');
}
/** Replaces text in a file of any kind, byte for byte. */
function replaceIn(file: string, from: string, to: string): void {
  writeFileSync(file, Buffer.from(readFileSync(file, 'latin1').replace(from, to), 'latin1'));
}

describe('a damaged checkpoint', () => {
  it('that is cut short', async () => {
    const base = spoiltBase((folder) => truncateSync(join(folder, 'model.safetensors'), 5000));
    const message =
      /^base\/model\.safetensors: tensor "model\.embed_tokens\.weight": ends at byte 57344, after the end of the data \(\d+\)\. The file is damaged or was cut short: copy or make it again\.$/;
    for (const found of [await refuseInstruct(base), await refuseReward(base), await refusePpo({ policy: base })]) {
      expect(found).toEqual([expect.stringMatching(message)]);
    }
  });

  it('without one of its tensors, or with one of another shape', async () => {
    const missing = spoiltBase((folder) =>
      replaceIn(join(folder, 'model.safetensors'), 'layers.1.mlp.down_proj', 'layers.1.mlp.dawn_proj'),
    );
    expect(await refuseInstruct(missing)).toEqual([
      'base/model.safetensors: tensor "model.layers.1.mlp.down_proj.weight" is missing.',
      expect.stringMatching(
        /^base\/model\.safetensors: nothing reads "model\.layers\.1\.mlp\.dawn_proj\.weight"\. No part/,
      ),
    ]);
    const shape = spoiltBase((folder) =>
      replaceIn(join(folder, 'config.json'), '"vocab_size": 448', '"vocab_size": 449'),
    );
    expect(await refuseInstruct(shape)).toEqual([
      'base/model.safetensors: tensor "model.embed_tokens.weight": expected shape [449, 32] by config.json, received [448, 32]. Set vocab_size to 448 in config.json where the table was resized.',
    ]);
  });

  it('without its files, or not there at all', async () => {
    const base = spoiltBase((folder) => {
      rmSync(join(folder, 'config.json'));
      rmSync(join(folder, 'tokenizer.json'));
    });
    expect(await refuseInstruct(base)).toEqual([
      'base model base: config.json, tokenizer.json missing in base; expected a run folder or a Hugging Face model folder.',
    ]);
    expect(await refuseReward(path('none'))).toEqual([
      'instruct model none: there is no such folder. Run the stage that makes it, or correct the path.',
    ]);
  });

  it('of a finished run that was changed afterwards', async () => {
    cpSync(runs.instruct, path('changed'), { recursive: true });
    writeFileSync(path('changed/best/config.json'), `${readFileSync(path('changed/best/config.json'), 'utf8')} `);
    expect(await refuseReward(path('changed'))).toEqual([
      'instruct model changed: best is damaged or was changed after its run. Make the run again, or name changed/best itself.',
    ]);
  });
});

describe('parents that do not fit', () => {
  it('a run that did not finish', async () => {
    const half = pretrainConfig(world, path('half'));
    await expect(runStage(interruptedAt(pretrain, 1), half, { lane, quiet: true })).rejects.toThrow('saved at step 1');
    expect(await refuseInstruct(path('half'))).toEqual([
      'base model half: its run did not finish (interrupted). Continue it with --resume, or name another.',
      'base model half: its run has made no model.',
    ]);
  });

  it('a run that made something else', async () => {
    expect(await refusePpo({ policy: runs.reward })).toEqual([
      'policy chain/reward: is a reward model; expected a tuned model. Name another checkpoint.',
    ]);
    expect(await refusePpo({ reward: runs.instruct })).toEqual([
      'reward model chain/instruct: is a tuned model; expected a reward model. Name another checkpoint.',
    ]);
    expect(await refuseInstruct(runs.reward)).toEqual([
      'base model chain/reward: is a reward model; expected a language model. Name another checkpoint.',
    ]);
  });

  it('a model made with another tokenizer', async () => {
    mkdirSync(path('foreign'));
    writeBase(path('foreign'), writeTokenizer(path('foreign'), ['a few other words'], 300));
    const [own, other] = [world.base, path('foreign')].map((folder) => loadTokenizer(folder).hash.slice(0, 19));
    const message = `was made with another tokenizer; expected ${own}…, received ${other}…. Use checkpoints of one chain.`;
    expect(await refusePpo({ reward: path('foreign') })).toEqual([`reward model foreign: ${message}`]);
    expect(await refuseEvaluate({ policies: { ppo: path('foreign') } })).toEqual([`ppo foreign: ${message}`]);
  });

  it('a model with too short a context', async () => {
    expect(await refuseInstruct(world.base, { sequence: { length: 145 } })).toEqual([
      'base model world/base: reads at most 144 tokens and the configuration asks for sequences of 145. Lower the sequence length, or use a model with a longer context.',
    ]);
  });
});

describe('a run folder', () => {
  const refuseFolder = (folder: string): Promise<string[]> =>
    problemsOf(() => runStage(instruct, instructConfig(world, folder), { lane, quiet: true }), path());

  it('that holds a run or anything else is never overwritten', async () => {
    const before = filesBelow(runs.instruct);
    const taken = 'already holds a run of instruct (finished), and nothing is overwritten. Choose another run.folder.';
    expect(await refuseFolder(runs.instruct)).toEqual([`run.folder chain/instruct: ${taken}`]);
    expect(filesBelow(runs.instruct)).toEqual(before);
    expect(await refuseFolder(path('world'))).toEqual([
      'run.folder world: already holds files of another kind, and nothing is overwritten. Choose another run.folder.',
    ]);
    expect(await refuseFolder(world.corpus)).toEqual([
      'run.folder world/corpus.jsonl: is a file; expected a folder or nothing. Choose another run.folder.',
    ]);
    expect(await refuseFolder(join(world.corpus, 'run'))).toEqual([
      expect.stringMatching(
        /^world\/corpus\.jsonl\/run: could not be written .*A part of the path is a file: choose another name or remove it\.$/,
      ),
    ]);
  });

  it('is resumed only with the settings and data it began with', async () => {
    const stopped = path('stopped');
    await expect(
      runStage(interruptedAt(pretrain, 1), pretrainConfig(world, stopped), { lane, quiet: true }),
    ).rejects.toThrow('saved at step 1');
    const resume = (changes: object): Promise<string[]> =>
      problemsOf(
        () => runStage(pretrain, pretrainConfig(world, stopped, { ...changes }), { lane, quiet: true, resume: true }),
        path(),
      );
    const [problem = '', remedy] = await resume({ optimizer: { learningRate: 1e-3 } });
    expect(problem).toMatch(
      /^stopped\/config\.yaml:\d+:\d+ optimizer\.learningRate: the run to resume has 0\.003, received 0\.001\.$/,
    );
    expect(remedy).toBe('Resume with the settings of the run, or start a new one with another run.folder.');
    writeFileSync(path('other.jsonl'), `${readFileSync(world.corpus, 'utf8')}\n`);
    const [changed = ''] = await resume({ corpus: path('other.jsonl') });
    expect(changed).toMatch(
      /^corpus other\.jsonl: has changed since the run began; expected sha256:\w+…, received sha256:\w+…\. Put the old content back, or start a new run with another run\.folder\.$/,
    );
  });

  it('whose last checkpoint is damaged is resumed from the one before, once that is removed', async () => {
    const folder = path('damaged');
    const config = pretrainConfig(world, folder, { checkpoints: { everySteps: 1 } });
    await expect(runStage(interruptedAt(pretrain, 3), config, { lane, quiet: true })).rejects.toThrow('step 3');
    const last = join(folder, 'checkpoints', 'step-000003');
    truncateSync(join(last, 'optimizer.safetensors'), 9000);
    const resume = () => runStage(pretrain, config, { lane, quiet: true, resume: true });
    const [found = '', remedy] = await problemsOf(resume, path());
    expect(remedy).toMatch(/^Remove .*checkpoints\/step-\d{6} to resume from the checkpoint before it\.$/);
    expect(found).toMatch(
      /^damaged\/checkpoints\/step-000003\/optimizer\.safetensors: .*The file is damaged or was cut short/,
    );
    rmSync(last, { recursive: true });
    expect(await resume()).toMatchObject({ steps: 4 });
  });
});

describe('a loss that is not finite', () => {
  it('stops the run, says where, and keeps the checkpoint of the step before', async () => {
    const changes = { optimizer: { learningRate: 1e30 }, checkpoints: { everySteps: 1 } };
    const run = () => runStage(pretrain, pretrainConfig(world, path('nan'), changes), { lane, quiet: true });
    const found = await problemsOf(run, path());
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(
      /^pretrain step 2: the loss is \S+ and the gradient norm (NaN|Infinity); expected finite numbers\. The weights of the last good checkpoint are kept\. Lower optimizer\.learningRate or optimizer\.clipNorm, and look at the last rows of metrics\.arrow\.$/,
    );
    expect(readManifest(path('nan'))?.status).toBe('failed');
    expect(namesIn(path('nan/checkpoints'))).toEqual(['step-000001']);
    expect(readMetrics(path('nan'), pretrainMetrics).map(({ step }) => step)).toEqual([0, 1]);
    const { model } = loadModelFolder(path('nan/checkpoints/step-000001'), { tokenizer: null });
    expect(readParameters(model.parameters).every(Number.isFinite)).toBe(true);
    disposeModel(model);
  });
});

describe('a value model whose loss is not finite', () => {
  it('names its own optimizer', async () => {
    const config = ppoConfig(world, runs, path('value nan'), {
      valueOptimizer: { learningRate: 1e30 },
      runtime: { checks: 'off' },
    });
    const found = await problemsOf(() => runStage(ppo, config, { lane, quiet: true }), path());
    expect(found[0]).toMatch(
      /^ppo step 1 value model: the loss is .* Lower valueOptimizer\.learningRate or valueOptimizer\.clipNorm, and/,
    );
  });
});

describe('a policy whose logits overflow', () => {
  /** The instruct model with a gain that is finite and far too large. */
  const broken = (): string => {
    cpSync(join(runs.instruct, 'best'), path('overflowing'), { recursive: true });
    const file = path('overflowing/model.safetensors');
    const bytes = readFileSync(file);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + bytes.readUInt32LE(0))) as {
      'model.norm.weight': { data_offsets: [number, number] };
    };
    const [from, to] = header['model.norm.weight'].data_offsets;
    for (let at = from; at < to; at += 4) bytes.writeFloatLE(3e38, 8 + bytes.readUInt32LE(0) + at);
    writeFileSync(file, bytes);
    return path('overflowing');
  };

  it('breaks the invariants of its first rollout: strict stops there, warn prints them and goes on to the loss', async () => {
    const policy = broken();
    const lines: string[] = [];
    const run = (folder: string, checks: string): Promise<string[]> => {
      const config = ppoConfig(world, runs, path(folder), { policy, runtime: { checks } });
      const progress = watchProgress({ say: (line) => lines.push(line) });
      return problemsOf(() => runStage(ppo, config, { lane, progress }), path());
    };
    const strict = await run('strict', 'strict');
    expect(strict[0]).toBe(
      'ppo step 1: log-probabilities of cached, left-padded decoding and of a full, right-padded pass: expected a difference of at most 0.002, received Infinity.',
    );
    expect(strict.at(-1)).toBe('The last checkpoint is kept. runtime.checks: warn goes on in spite of this.');
    expect(lines.filter((line) => line.startsWith('warning'))).toEqual([]);
    expect(namesIn(path('strict'))).not.toContain('checkpoints');

    const warned = await run('warn', 'warn');
    expect(lines.filter((line) => line.startsWith('warning'))[0]).toBe(`warning: ${strict[0]}`);
    expect(warned[0]).toMatch(
      /^ppo step 1 policy: the loss is NaN and the gradient norm NaN; expected finite numbers\./,
    );
    expect(readManifest(path('warn'))?.status).toBe('failed');

    lines.length = 0;
    expect((await run('off', 'off'))[0]).toBe(warned[0]);
    expect(lines.filter((line) => line.startsWith('warning'))).toEqual([]);
  });
});

describe('a disk that is full', () => {
  it('ends the run with a remedy; the checkpoint before is whole, and the run goes on from it', async (context) => {
    mkdirSync(path('disk'));
    // A checkpoint of the tiny model takes about 400 kB; the second does not fit. Only root may mount.
    const options = (size: string): string[] => ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path('disk')];
    context.skip(spawnSync('mount', options('700k')).status !== 0, 'a small disk can only be mounted as root');
    try {
      const folder = path('disk/run');
      const config = pretrainConfig(world, folder, { checkpoints: { everySteps: 1 } });
      const found = await problemsOf(() => runStage(pretrain, config, { lane, quiet: true }), path());
      expect(found[0]).toMatch(/^disk\/run\/checkpoints\/step-000002.*(full|ENOSPC|no space left)/i);
      expect(found.at(-1)).toBe(
        'run.folder disk/run: the checkpoint saved before is intact. Free space, then continue with --resume.',
      );
      expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([1]);
      expect(spawnSync('mount', ['-o', 'remount,size=8m', path('disk')]).status).toBe(0);
      expect(await runStage(pretrain, config, { lane, quiet: true, resume: true })).toMatchObject({ steps: 4 });
    } finally {
      spawnSync('umount', [path('disk')]);
    }
  });
});
