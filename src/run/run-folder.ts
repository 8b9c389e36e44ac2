/** The folder of one run of one stage: made once, resumed only with the same settings, never overwritten. */

import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { atomicWrite } from '../files/atomic-write.ts';
import type { Kind } from './declaration.ts';
import {
  hashPath,
  type Manifest,
  newManifest,
  nextSession,
  peakRssMb,
  readManifest,
  writeManifest,
} from './manifest.ts';
import type { ResumeRules } from './resume-settings.ts';
import { compareSettings } from './resume-settings.ts';
import { isHousekeeping } from './run-lock.ts';
import { stringifyConfig } from './show-config.ts';

/** What identifies a run. */
export interface RunRequest {
  readonly stage: string;
  readonly config: unknown;
  readonly seed: number;
  readonly resume: boolean;
  /** What a resumed run may change. */
  readonly rules: ResumeRules;
}

/** The lane a run works on, as far as the manifest tells. */
export interface LaneFacts {
  readonly name: string;
  readonly device: string;
  readonly versions: Record<string, string>;
}

/** An open run folder. Every method that changes it saves the manifest. */
export interface RunFolder {
  readonly path: string;
  /** True where an earlier session of this run is being continued. */
  readonly resumed: boolean;
  /** The path of a file in the folder. */
  file(name: string): string;
  manifest(): Manifest;
  /** Hashes and records data the run reads. On resume, content that has changed is an error. */
  recordInput(role: string, path: string): Promise<string>;
  /** Records a checkpoint the run starts from (see parents.ts). On resume, another one is an error. */
  recordParent(role: string, parent: { readonly path: string; readonly hash: string }): Promise<void>;
  /** Records how many steps the run makes in all. */
  recordSteps(steps: number): Promise<void>;
  /** Records what the configuration leaves open, as sequence.length auto. On resume, another value is an error. */
  settle(key: string, value: unknown): Promise<void>;
  /** Hashes and records what the run made, and which kind of parent it can be; `name` is relative to the folder. */
  recordOutput(role: string, name: string, kind?: Kind): Promise<void>;
  finish(status: Exclude<Manifest['status'], 'running'>, summary?: Record<string, unknown>): Promise<void>;
}

/** What stands at a run folder's path: nothing yet, a run to continue, or one that is done. */
export type RunState = 'new' | 'resume' | 'finished';

/**
 * Decides, without changing anything, whether a run may start or continue at `path`. A run that stopped before it
 * wrote anything but its configuration, or before its first step, may be started again.
 *
 * @throws CheckpointError where the folder is taken, there is nothing to resume, or the settings differ
 */
export function checkRunFolder(path: string, request: RunRequest): RunState {
  if (existsSync(path) && !statSync(path).isDirectory()) {
    throw new CheckpointError(
      `run.folder ${path}: is a file; expected a folder or nothing. Choose another run.folder.`,
    );
  }
  const entries = existsSync(path) ? readdirSync(path).filter((name) => !isHousekeeping(name)) : [];
  const manifest = readManifest(path);
  if (request.resume) {
    if (manifest === undefined) {
      throw new CheckpointError(`run.folder ${path}: there is no run to resume. Leave out --resume to start one.`);
    }
    if (manifest.stage !== request.stage) {
      throw new CheckpointError(
        `run.folder ${path}: expected a run of ${request.stage}, found one of ${manifest.stage}. Choose another run.folder.`,
      );
    }
    const { isLonger } = compareSettings(path, request.config, request.rules, manifest);
    return manifest.status === 'finished' && !isLonger ? 'finished' : 'resume';
  }
  const hasWork = entries.some((name) => name !== 'config.yaml' && name !== 'manifest.json');
  // A run that Ctrl-C stopped has a checkpoint and metrics, but where that was before its first step.
  const hasSteps = entries.includes('checkpoints') || entries.includes('metrics.arrow');
  const isStoppedEarly = manifest?.status === 'interrupted' && manifest.stage === request.stage && !hasSteps;
  const isUnstarted = isStoppedEarly || (!hasWork && manifest !== undefined && manifest.status !== 'finished');
  if (entries.length === 0 || isUnstarted) return 'new';
  const found = manifest === undefined ? 'files of another kind' : `a run of ${manifest.stage} (${manifest.status})`;
  const canResume = manifest !== undefined && manifest.status !== 'finished' && manifest.stage === request.stage;
  const remedy = canResume ? 'Continue it with --resume, or choose another run.folder' : 'Choose another run.folder';
  throw new CheckpointError(`run.folder ${path}: already holds ${found}, and nothing is overwritten. ${remedy}.`);
}

/**
 * Makes a run folder, or opens the one to resume, and writes config.yaml and manifest.json.
 * @throws CheckpointError as `checkRunFolder`, and for a run that is already finished
 */
export async function openRunFolder(path: string, request: RunRequest, lane: LaneFacts): Promise<RunFolder> {
  const state = checkRunFolder(path, request);
  if (state === 'finished') {
    throw new CheckpointError(
      `run.folder ${path}: this run is finished; there is nothing to resume. Choose another run.folder.`,
    );
  }
  const laneFields = { lane: lane.name, device: lane.device, versions: lane.versions };
  const previous = state === 'resume' ? readManifest(path) : undefined;
  const manifest: Manifest = previous
    ? nextSession(previous, laneFields, compareSettings(path, request.config, request.rules, previous).changed)
    : newManifest({ stage: request.stage, seed: request.seed, ...laneFields });
  mkdirSync(path, { recursive: true });
  // A resumed run keeps the configuration it began with; what a later start has otherwise stands in its session.
  if (previous === undefined) await atomicWrite(join(path, 'config.yaml'), stringifyConfig(request.config));
  await writeManifest(path, manifest);
  return folderOf(path, manifest, previous !== undefined);
}

function folderOf(path: string, manifest: Manifest, resumed: boolean): RunFolder {
  const startedAt = performance.now();
  const secondsBefore = manifest.seconds;
  const save = async (): Promise<void> => {
    manifest.seconds = Math.round((secondsBefore + (performance.now() - startedAt) / 1000) * 10) / 10;
    manifest.peakRssMb = Math.max(manifest.peakRssMb, peakRssMb());
    await writeManifest(path, manifest);
  };
  type Item = { path: string; hash: string };
  const record = async (list: 'inputs' | 'parents', role: string, item: Item): Promise<void> => {
    const known = manifest[list].find((content) => content.role === role);
    if (resumed && known !== undefined && known.hash !== item.hash) {
      throw new CheckpointError(
        `${role} ${item.path}: has changed since the run began; expected ${shortHash(known.hash)}, received ${shortHash(item.hash)}. Put the old content back, or start a new run with another run.folder.`,
      );
    }
    manifest[list] = [...manifest[list].filter((content) => content.role !== role), { role, ...item }];
    await save();
  };
  return {
    path,
    resumed,
    file: (name) => join(path, name),
    manifest: () => manifest,
    recordInput: async (role, inputPath) => {
      const hash = await hashPath(role, inputPath);
      await record('inputs', role, { path: inputPath, hash });
      return hash;
    },
    recordParent: (role, parent) => record('parents', role, { path: parent.path, hash: parent.hash }),
    recordSteps: async (steps) => {
      manifest.steps = steps;
      await save();
    },
    settle: async (key, value) => {
      const known = manifest.settled[key];
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(value)) {
        throw new CheckpointError(
          `${key}: the run to resume has ${JSON.stringify(known)}, received ${JSON.stringify(value)}. Resume with the settings of the run, or start a new one with another run.folder.`,
        );
      }
      manifest.settled = { ...manifest.settled, [key]: value };
      await save();
    },
    recordOutput: async (role, name, kind) => {
      const hash = await hashPath(role, join(path, name));
      const output = { role, path: name, hash, ...(kind !== undefined && { kind }) };
      manifest.outputs = [...manifest.outputs.filter((content) => content.role !== role), output];
      await save();
    },
    finish: async (status, summary = {}) => {
      manifest.status = status;
      manifest.finishedAt = new Date().toISOString();
      manifest.summary = { ...manifest.summary, ...summary };
      await save();
    },
  };
}

/** "sha256:0123456789ab…": enough to distinguish two. */
export function shortHash(hash: string): string {
  return hash.length > 20 ? `${hash.slice(0, 19)}…` : hash;
}
