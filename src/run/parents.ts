/** Opens the checkpoint a stage starts from, and refuses one that does not fit, before any weights are loaded. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, UserError } from '../errors.ts';
import { hashText } from '../files/hash.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { Kind } from './declaration.ts';
import { fits } from './declaration.ts';
import { checkpointKind, hashPath, type Manifest, readManifest } from './manifest.ts';
import { shortHash } from './run-folder.ts';

/** What a stage asks of a checkpoint. */
export interface ParentExpectations {
  /** What the checkpoint is for, in messages and the manifest: "policy", "reward model". */
  readonly role: string;
  /** What it must be; anything where left out. A folder that is no run does not say what it is, and is not refused for it. */
  readonly takes?: Kind;
  /** The hash of the tokenizer it must have been made with (`Tokenizer.hash`). */
  readonly tokenizer?: string;
  /** Hashes its run must have recorded as inputs, by role, e.g. { templates: "sha256:…" }. */
  readonly inputs?: Readonly<Record<string, string>>;
}

/** A checkpoint to start from. */
export interface Parent {
  /** The path that was given. */
  readonly path: string;
  /** The Hugging Face folder to load. */
  readonly folder: string;
  /** The content hash of its weights. */
  readonly hash: string;
  /** The manifest of the run that made it; undefined for a plain Hugging Face folder. */
  readonly manifest: Manifest | undefined;
}

/**
 * Finds the model in a run folder (its output of role "model") or takes a plain Hugging Face folder as it is.
 *
 * @throws CheckpointError with everything that is wrong: no such folder, files missing, a run that did not finish, a
 *   model that changed after its run, another stage, tokenizer or input
 */
export async function openParent(path: string, expectations: ParentExpectations): Promise<Parent> {
  const where = `${expectations.role} ${path}`;
  if (!existsSync(path)) {
    throw new CheckpointError(`${where}: there is no such folder. Run the stage that makes it, or correct the path.`);
  }
  const manifest = readManifest(path);
  const problems = manifest === undefined ? [] : runProblems(where, manifest, expectations);
  const model = manifest?.outputs.find((output) => output.role === 'model');
  if (manifest !== undefined && model === undefined)
    throw new CheckpointError([...problems, `${where}: its run has made no model.`]);
  const folder = model === undefined ? path : join(path, model.path);

  const missing = missingFiles(folder);
  if (missing.length > 0) {
    problems.push(
      `${where}: ${missing.join(', ')} missing in ${folder}; expected a run folder or a Hugging Face model folder.`,
    );
    throw new CheckpointError(problems);
  }
  if (model !== undefined && (await hashPath(expectations.role, folder)) !== model.hash) {
    problems.push(
      `${where}: ${model.path} is damaged or was changed after its run. Make the run again, or name ${folder} itself.`,
    );
  }
  if (expectations.tokenizer !== undefined) problems.push(...tokenizerProblems(where, folder, expectations.tokenizer));
  if (problems.length > 0) throw new CheckpointError(problems);
  return { path, folder, hash: await weightsHash(expectations.role, folder), manifest };
}

/** The checkpoint that a parent's own run started from in a role; undefined where its manifest names none. */
export function startOf({ manifest }: Parent, role: string): Manifest['parents'][number] | undefined {
  return manifest?.parents.find((start) => start.role === role);
}

/** Files a model folder lacks. Older repositories have their tokenizer as two files, large models their weights as shards. */
function missingFiles(folder: string): string[] {
  const has = (name: string): boolean => existsSync(join(folder, name));
  const missing = has('config.json') ? [] : ['config.json'];
  if (!has('model.safetensors') && !has('model.safetensors.index.json')) missing.push('model.safetensors');
  if (!has('tokenizer.json') && !(has('vocab.json') && has('merges.txt'))) missing.push('tokenizer.json');
  return missing;
}

/** Compared as they are used: with the chat template, and with the PAD that is added where a folder has none. */
function tokenizerProblems(where: string, folder: string, expected: string): readonly string[] {
  let found: string;
  try {
    found = loadTokenizer(folder).hash;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.problems;
  }
  if (found === expected) return [];
  return [
    `${where}: was made with another tokenizer; expected ${shortHash(expected)}, received ${shortHash(found)}. Use checkpoints of one chain.`,
  ];
}

/** The content hash of the one file of weights, or of all shards. */
async function weightsHash(role: string, folder: string): Promise<string> {
  const single = join(folder, 'model.safetensors');
  if (existsSync(single)) return hashPath(role, single);
  const shards = readdirSync(folder)
    .filter((name) => /^model.*\.safetensors$/.test(name))
    .sort();
  const hashes = await Promise.all(shards.map(async (name) => `${name} ${await hashPath(role, join(folder, name))}`));
  return hashText(hashes.join('\n'));
}

function runProblems(where: string, manifest: Manifest, expectations: ParentExpectations): string[] {
  const problems: string[] = [];
  if (manifest.status !== 'finished') {
    problems.push(`${where}: its run did not finish (${manifest.status}). Continue it with --resume, or name another.`);
  }
  const kind = checkpointKind(manifest);
  const hasModel = manifest.outputs.some(({ role }) => role === 'model');
  if (hasModel && expectations.takes !== undefined && !fits(kind, expectations.takes)) {
    const found = kind === undefined ? 'does not say in its manifest what it is' : `is a ${kind}`;
    problems.push(`${where}: ${found}; expected a ${expectations.takes}. Name another checkpoint.`);
  }
  for (const [role, hash] of Object.entries(expectations.inputs ?? {})) {
    const recorded = manifest.inputs.find((input) => input.role === role);
    if (recorded?.hash === hash) continue;
    const received = recorded === undefined ? 'none' : shortHash(recorded.hash);
    problems.push(
      `${where}: was made with other ${role}; expected ${shortHash(hash)}, received ${received}. Make it again.`,
    );
  }
  return problems;
}
