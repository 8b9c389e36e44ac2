/** A world for long proofs: a random model of two layers, a few rows, and what every stage starts from. Made in seconds. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../src/errors.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Stages that save, with their files and the names of their npm scripts. */
export const proofStages = {
  pretrain: ['stages/0-pretrain.ts', 'configs/pretrain/base.yaml'],
  instruct: ['stages/1-instruct.ts', 'configs/instruct/tiny.yaml'],
  reward: ['stages/2-reward.ts', 'configs/reward/tiny.yaml'],
  ppo: ['stages/3-ppo.ts', 'configs/ppo/tiny.yaml'],
} as const;
export type ProofStage = keyof typeof proofStages;

/** The names in a list such as "instruct,ppo". */
export function stagesNamed(text: string): ProofStage[] {
  return text.split(',').map((name) => {
    if (name in proofStages) return name as ProofStage;
    throw new UserError(`--stages ${name}: expected ${Object.keys(proofStages).join(', ')}.`);
  });
}

/** A world on disk. */
export interface ProofWorld {
  readonly folder: string;
  /** What a stage is given: its configuration file, then overrides. A few steps each; later arguments take precedence. */
  readonly given: Readonly<Record<ProofStage | 'preferences', readonly string[]>>;
}

const tasks = ['chat', 'cheaper', 'record_to_sentence', 'review_sentiment'];
const rowsPerSplit = 24;

/** The first rows of each split of a file of data/. */
function firstRows(name: string): string {
  const taken = new Map<string, number>();
  const lines = readFileSync(join(root, 'data', name), 'utf8').split('\n');
  const isTaken = (line: string): boolean => {
    if (line === '') return false;
    const { split = '' } = JSON.parse(line) as { split?: string };
    taken.set(split, (taken.get(split) ?? 0) + 1);
    return (taken.get(split) ?? 0) <= rowsPerSplit;
  };
  return lines.filter(isTaken).join('\n');
}

/**
 * Makes a world in a folder, which is emptied.
 * @param backend lane of every stage
 */
export function makeProofWorld(folder: string, backend: string): ProofWorld {
  const at = (...parts: string[]): string => join(folder, ...parts);
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['seed', 'templates']) mkdirSync(at(name), { recursive: true });
  for (const task of tasks) {
    writeFileSync(at('seed', `${task}.jsonl`), firstRows(`seed/${task}.jsonl`));
    copyFileSync(join(root, `data/templates/${task}.yaml`), at('templates', `${task}.yaml`));
  }
  copyFileSync(join(root, 'data/seed/lexicon.json'), at('seed', 'lexicon.json'));
  for (const name of ['corpus', 'held-out']) writeFileSync(at(`${name}.jsonl`), firstRows(`corpus/${name}.jsonl`));
  const world: ProofWorld = { folder, given: settings(at, `runtime.backend=${backend}`) };
  const files = { ...proofStages, preferences: ['stages/preferences.ts'] as const };
  for (const stage of ['pretrain', 'instruct', 'preferences', 'reward'] as const) {
    const command = ['--import', 'tsx', files[stage][0], ...world.given[stage], `run.folder=${at(stage)}`];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
    if (status !== 0) throw new UserError(`the proof's world: ${stage} failed:\n${stdout}${stderr}`);
  }
  return world;
}

const short = 'optimizer.warmupSteps=0';

function settings(at: (...parts: string[]) => string, runtime: string): ProofWorld['given'] {
  const model = ['model.layers=2', 'model.heads=4', 'model.kvHeads=2', 'model.dModel=32', 'model.dFf=64'];
  const corpus = [`corpus=${at('corpus.jsonl')}`, `heldOut=${at('held-out.jsonl')}`];
  const data = [`data.tables=${at('seed')}`, `data.templates=${at('templates')}`, `data.tasks=[${tasks.join(', ')}]`];
  return {
    pretrain: [
      proofStages.pretrain[1],
      runtime,
      ...corpus,
      ...model,
      short,
      'training.steps=12',
      'training.rows=4',
      'training.length=64',
      'checkpoints.everySteps=3',
    ],
    instruct: [
      proofStages.instruct[1],
      runtime,
      `model=${at('pretrain')}`,
      ...data,
      `data.cache=${at('cache')}`,
      short,
      'mixture.examples=96',
      'training.rows=4',
      'evaluation.rowsPerTask=2',
      'checkpoints.everySteps=3',
    ],
    ...alignmentSettings(at, runtime),
  };
}

function alignmentSettings(
  at: (...parts: string[]) => string,
  runtime: string,
): Pick<ProofWorld['given'], 'preferences' | 'reward' | 'ppo'> {
  const prompts = (key: string, split: string): string[] => [
    `${key}.tables=${at('seed')}`,
    `${key}.templates=${at('templates')}`,
    `${key}.split=${split}`,
  ];
  const pairs = (name: string): string => at('preferences', `${name}.arrow`);
  const answers = 'sampling.maxNewTokens=12';
  return {
    preferences: [
      'configs/preferences/tiny.yaml',
      runtime,
      `model=${at('instruct')}`,
      ...prompts('prompts', 'reward'),
      answers,
      'label.tie=0',
    ],
    reward: [
      proofStages.reward[1],
      runtime,
      `model=${at('instruct')}`,
      short,
      `pairs=${pairs('train')}`,
      `heldOut=${pairs('held-out')}`,
      'checkpoints.everySteps=3',
    ],
    ppo: [
      proofStages.ppo[1],
      runtime,
      `policy=${at('instruct')}`,
      `reward=${at('reward')}`,
      answers,
      ...prompts('prompts', 'ppo'),
      ...prompts('heldOut', 'validation'),
      'rollout.iterations=6',
      'rollout.batch=8',
      'evaluation.prompts=8',
      'checkpoints.everySteps=1',
    ],
  };
}
