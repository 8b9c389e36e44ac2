/** A checkpoint that answers: checked first, loaded later. */
import { unusedGenerationSettings } from '../../src/checkpoint/generation-config.ts';
import { checkModelFolder, loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { ConfigError, DataError, UserError } from '../../src/errors.ts';
import { encodePrompt } from '../../src/examples/instruction.ts';
import { systemSays, userSays } from '../../src/message.ts';
import { disposeModel, type Model, trainNothing } from '../../src/model/model.ts';
import { openParent } from '../../src/run/parents.ts';
import { openLaneFor } from '../../src/run/stage.ts';
import type { LaneName } from '../../src/tensor/lane.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';

/** A language model with its tokenizer. */
export interface Speaker {
  /** The path that was given. */
  readonly name: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
}

/** A checkpoint that was looked at and found right; its weights are not read yet. */
interface Candidate {
  readonly name: string;
  readonly folder: string;
  readonly tokenizer: Tokenizer;
}

/**
 * Checks one or two checkpoints (run folders or Hugging Face folders), opens the lane, and loads them.
 * @param say   prints which lane it is
 * @param usage what to type, for the error where none or too many are named
 * @throws ConfigError, CheckpointError or DataError with the problems of all checkpoints, before a lane is opened
 */
export async function openSpeakers(
  paths: readonly string[],
  { backend, say, usage }: { backend: 'auto' | LaneName; say: (line: string) => void; usage: string },
): Promise<Speaker[]> {
  if (paths.length < 1 || paths.length > 2) {
    const received = paths.length === 0 ? 'none' : `${paths.length} (${paths.join(', ')})`;
    throw new ConfigError(`expected one checkpoint, or two to compare, received ${received}. ${usage}`);
  }
  const candidates = await lookAt(paths);
  await openLaneFor({ backend, device: 'auto' }, { say });
  return candidates.map(({ name, folder, tokenizer }) => {
    const unused = unusedGenerationSettings(folder);
    if (unused !== '')
      say(`${name}: generation_config.json says ${unused}: not used here, flags say how tokens are drawn`);
    return { name, tokenizer, model: loadModelFolder(folder, { plan: trainNothing(), tokenizer, say }).model };
  });
}

async function lookAt(paths: readonly string[]): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const problems: string[] = [];
  for (const name of paths) {
    try {
      const { folder } = await openParent(name, { role: 'checkpoint' });
      const tokenizer = loadTokenizer(folder);
      checkModelFolder(folder, { where: `checkpoint ${name}`, kind: 'language model', tokenizer });
      candidates.push({ name, folder, tokenizer });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new DataError([...new Set(problems)]);
  return candidates;
}

/** Frees the models. */
export function disposeSpeakers(speakers: readonly Speaker[]): void {
  for (const { model } of speakers) disposeModel(model);
}

/** Why models cannot be told a system text, each by name: their templates refuse it or leave it out. */
export function systemProblems(system: string, speakers: readonly Speaker[]): string[] {
  return speakers.flatMap(({ tokenizer }) => {
    try {
      encodePrompt([...systemSays(system), ...userSays('?')], tokenizer);
      return [];
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return error.problems;
    }
  });
}

/** How many tokens fit behind a prompt. */
export function roomAfter(prompt: Int32Array, { model }: Speaker): number {
  return model.dimensions.context - prompt.length;
}
