/** Opens the checkpoint a stage starts from, and refuses one that does not fit, before any weights are loaded. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { hashPath, type Manifest, readManifest } from './manifest.ts';
import { shortHash } from './run-folder.ts';

/** What a stage asks of a checkpoint. */
export interface ParentExpectations {
  /** What the checkpoint is for, in messages and the manifest: "policy", "reward model". */
  readonly role: string;
  /** The stages it may come from; all where left out. A folder that is no run is never refused for its stage. */
  readonly stages?: readonly string[];
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

  const missing = ['config.json', 'model.safetensors', 'tokenizer.json'].filter(
    (name) => !existsSync(join(folder, name)),
  );
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
  const tokenizer = await hashPath('tokenizer', join(folder, 'tokenizer.json'));
  if (expectations.tokenizer !== undefined && tokenizer !== expectations.tokenizer) {
    problems.push(
      `${where}: was made with another tokenizer; expected ${shortHash(expectations.tokenizer)}, received ${shortHash(tokenizer)}. Use checkpoints of one chain.`,
    );
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  return { path, folder, hash: await hashPath(expectations.role, join(folder, 'model.safetensors')), manifest };
}

function runProblems(where: string, manifest: Manifest, expectations: ParentExpectations): string[] {
  const problems: string[] = [];
  if (manifest.status !== 'finished') {
    problems.push(`${where}: its run did not finish (${manifest.status}). Continue it with --resume, or name another.`);
  }
  const { stages } = expectations;
  if (stages !== undefined && !stages.includes(manifest.stage)) {
    problems.push(
      `${where}: expected a run of ${stages.join(' or ')}, received one of ${manifest.stage}. Name another.`,
    );
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
