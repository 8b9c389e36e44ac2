/** What a run folder says of itself: code, lane, seed, time, and the content hashes of everything it read and made. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CheckpointError, errorMessage, hasCode } from '../errors.ts';
import { atomicWrite } from '../files/atomic-write.ts';
import { hashFile, hashText } from '../files/hash.ts';
import type { Kind } from './declaration.ts';

const FORMAT_VERSION = 1;

const Content = z.object({ role: z.string().overwrite(currentRole), path: z.string(), hash: z.string() });
/** A file or folder that a run read or made, by what it was for. */
export type Content = z.infer<typeof Content>;

const Output = Content.extend({
  /** What kind of parent it can be for other stages (declaration.ts). */
  kind: z.string().optional(),
});

/** The role by its name of now: tables were called seed once. */
function currentRole(role: string): string {
  return role.replace(/(^| )seed$/, '$1tables');
}

const Session = z.object({
  startedAt: z.string(),
  codeVersion: z.string(),
  gitCommit: z.string().nullable(),
  lane: z.string(),
  device: z.string(),
  versions: z.record(z.string(), z.string()),
  /** Settings that this start had otherwise than config.yaml, by key. */
  changed: z.record(z.string(), z.unknown()).default({}),
});
/** One start of a run: a run that was stopped and continued has several. */
export type Session = z.infer<typeof Session>;

const Manifest = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  stage: z.string(),
  status: z.enum(['running', 'finished', 'interrupted', 'failed']),
  /** Code, lane and library versions of the last session. */
  codeVersion: z.string(),
  gitCommit: z.string().nullable(),
  lane: z.string(),
  device: z.string(),
  versions: z.record(z.string(), z.string()),
  /** Every session, in order. */
  sessions: z.array(Session).default([]),
  seed: z.number(),
  /** Updates (of PPO: rollouts) that the run makes in all, as the last session has it; null until that is known. */
  steps: z.number().nullable().default(null),
  /** What the run found out for itself where the configuration leaves it open, by key: every session goes by it. */
  settled: z.record(z.string(), z.unknown()).default({}),
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  /** Working time of all sessions of the run; what a killed session did after its last save is not in it. */
  seconds: z.number(),
  peakRssMb: z.number(),
  /** Data, templates, tokenizer. Paths as the configuration has them. */
  inputs: z.array(Content),
  /** Checkpoints the run started from; the hash is that of the weights. */
  parents: z.array(Content),
  /** What the run made; paths relative to its folder. */
  outputs: z.array(Output),
  summary: z.record(z.string(), z.unknown()),
});
export type Manifest = z.infer<typeof Manifest>;

/** What kind of checkpoint a stage made whose manifest is from before outputs named their kind. */
const KIND_BEFORE: Readonly<Record<string, Kind>> = {
  pretrain: 'base model',
  instruct: 'tuned model',
  distill: 'tuned model',
  ppo: 'tuned model',
  reward: 'reward model',
};

/** What kind of checkpoint a run made; undefined where it made none or its manifest does not say. */
export function checkpointKind({ stage, outputs }: Manifest): string | undefined {
  const model = outputs.find(({ role }) => role === 'model');
  return model && (model.kind ?? KIND_BEFORE[stage]);
}

/** What a session works on. */
export interface SessionFacts {
  readonly lane: string;
  readonly device: string;
  readonly versions: Record<string, string>;
}

/** A manifest for a run that starts now. */
export function newManifest(start: { stage: string; seed: number } & SessionFacts): Manifest {
  const { stage, seed, ...lane } = start;
  const empty = { seconds: 0, peakRssMb: 0, inputs: [], parents: [], outputs: [], summary: {} };
  const facts = { ...codeVersion(), ...lane };
  const startedAt = new Date().toISOString();
  return {
    formatVersion: FORMAT_VERSION,
    stage,
    status: 'running',
    ...facts,
    sessions: [{ startedAt, ...facts, changed: {} }],
    seed,
    steps: null,
    settled: {},
    startedAt,
    finishedAt: null,
    ...empty,
  };
}

/** The manifest of a run that goes on: it is running again, with one more session, whose `changed` settings are kept. */
export function nextSession(previous: Manifest, lane: SessionFacts, changed: Session['changed'] = {}): Manifest {
  const facts = { ...codeVersion(), ...lane };
  const sessions = [...previous.sessions, { startedAt: new Date().toISOString(), ...facts, changed }];
  return { ...previous, ...facts, sessions, status: 'running', finishedAt: null };
}

/** The package's version, and the commit of its checkout (with "-dirty" where files were changed) if it is one. */
export function codeVersion(): { codeVersion: string; gitCommit: string | null } {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  try {
    const commit = execFileSync('git', ['-C', root, 'describe', '--always', '--dirty', '--exclude', '*'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 2000,
    });
    return { codeVersion: version, gitCommit: commit.trim() };
  } catch {
    return { codeVersion: version, gitCommit: null };
  }
}

/** The largest resident memory this process has had, in MB. */
export function peakRssMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function manifestPath(folder: string): string {
  return join(folder, 'manifest.json');
}

/** Writes `manifest.json` in one step. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await atomicWrite(manifestPath(folder), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * The manifest of a run folder, or undefined where there is none.
 * @throws CheckpointError where it is damaged or of another version
 */
export function readManifest(folder: string): Manifest | undefined {
  const path = manifestPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined;
    throw new CheckpointError(`${path}: cannot be read (${errorMessage(error)}). Check its permissions.`, {
      cause: error,
    });
  }
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new CheckpointError(`${path}: is damaged; expected JSON. Use another run folder, or make this run again.`);
  }
  const version = (data as { formatVersion?: unknown } | null)?.formatVersion;
  if (version !== FORMAT_VERSION) {
    throw new CheckpointError(
      `${path}: expected formatVersion ${FORMAT_VERSION}, received ${JSON.stringify(version) ?? 'none'}. Make this run again with this version.`,
    );
  }
  const parsed = Manifest.safeParse(data);
  if (parsed.success) return parsed.data;
  const keys = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.')))].join(', ');
  throw new CheckpointError(
    `${path}: is damaged; missing or wrong: ${keys}. Use another run folder, or make this run again.`,
  );
}

/**
 * The content hash of a file, or of a folder (names and contents of all files below it, in order of name).
 * @throws CheckpointError where there is nothing at the path, or a pipe, which would be waited for; `role` names it
 */
export async function hashPath(role: string, path: string): Promise<string> {
  try {
    const found = statSync(path);
    if (found.isFile()) return await hashFile(path);
    if (!found.isDirectory()) {
      throw new CheckpointError(`${role} ${path}: is a pipe or a device; expected a file. Put the file itself there.`);
    }
    const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
    const lines: string[] = [];
    for (const name of names) {
      const file = join(path, name);
      if (statSync(file).isFile()) lines.push(`${name.replaceAll('\\', '/')} ${await hashFile(file)}`);
    }
    return hashText(lines.join('\n'));
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTDIR')) throw error;
    throw new CheckpointError(`${role} ${path}: there is no such file or folder. Correct the path.`, { cause: error });
  }
}
