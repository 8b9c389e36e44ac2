/** How stages begin that learn from preference pairs: the checkpoint, the pairs as ids, what is held out, the memory it takes. */

import { chunks } from '../batch/chunks.ts';
import { SIDE_BY_SIDE } from '../batch/like-lengths.ts';
import { roundedLength } from '../batch/padding.ts';
import { checkModelFolder } from '../checkpoint/model-folder.ts';
import { trainingPlan } from '../checkpoint/training-plan.ts';
import { ConfigError } from '../errors.ts';
import type { PreferencePair, PreferenceReader } from '../examples/preference.ts';
import type { PreferenceSets } from '../examples/preference-sets.ts';
import { describePairs, readPreferenceSets } from '../examples/preference-sets.ts';
import type { RunShapes } from '../execution/memory-estimate.ts';
import { announceMemory } from '../execution/memory-estimate.ts';
import type { Schedule } from '../execution/schedule.ts';
import { shortenedWarmups } from '../execution/schedule.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { TrainingPlan } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { PairSettings } from './pair-section.ts';
import type { Parent, ParentExpectations } from './parents.ts';
import { openParent } from './parents.ts';
import { stepsOfEpochs } from './run-length.ts';
import type { RunContext } from './stage.ts';

/** The sections of a configuration that are read here. */
interface PairConfig extends PairSettings {
  readonly run: { readonly seed: number };
  /** The checkpoint to start from. */
  readonly model: string;
  readonly optimizer: Schedule;
}

/** What a stage makes of the pairs. */
export interface PairUse {
  /** What the checkpoint is for. */
  readonly model: ParentExpectations;
  /** What it is among the parents of the manifest. */
  readonly recordedAs: 'model' | 'policy';
  /** The head of the model that is trained. */
  readonly head: HeadKind;
  /** Whether the loss asks for the margin of each pair. */
  readonly useMargin: boolean;
}

/** What is known before weights are read. */
export interface PreparedPairs {
  readonly parent: Parent;
  readonly tokenizer: Tokenizer;
  readonly dimensions: ModelDimensions;
  /** What of the model is trained. */
  readonly plan: TrainingPlan;
  /** Held-out prompts never occur in training. */
  readonly sets: PreferenceSets;
  /** The training pairs of `sets`. */
  readonly grouped: PairGroups;
  /** Updates of the run. */
  readonly steps: number;
}

/**
 * Opens the checkpoint and reads the pairs; in a run, records both in its folder, says what they are, and what memory
 * the run takes. No weights are read.
 *
 * @throws ConfigError, DataError or CheckpointError with what does not fit, pairs to choose a step by among it
 */
export async function preparePairs(config: PairConfig, use: PairUse, context?: RunContext): Promise<PreparedPairs> {
  const parent = await openParent(config.model, use.model);
  await context?.folder.recordParent(use.recordedAs, parent);
  const tokenizer = loadTokenizer(parent.folder);
  const where = `${use.model.role} ${config.model}`;
  const dimensions = checkModelFolder(parent.folder, { where, kind: 'language model', tokenizer });
  const plan = trainingPlan(dimensions, use.head, config.tuning, config.memory);
  const sets = await readSets(config, use.useMargin, { tokenizer, contextLength: dimensions.context });
  for (const [role, paths] of Object.entries(sets.inputs)) {
    for (const path of paths) await context?.folder.recordInput(paths.length === 1 ? role : `${role} ${path}`, path);
  }
  const grouped = groupPairs(sets.train.pairs, config.training.pairs);
  const steps = stepsOfEpochs(config.training, { units: grouped.groups.length, perUpdate: grouped.perUpdate });
  if (context !== undefined) {
    const { say } = context.progress;
    for (const line of describeSets(sets)) say(line);
    const models = { trained: [{ dimensions, head: use.head, plan } as const], others: [] };
    await announceMemory(say, config.memory.limitGb, models, memoryShapes(config, sets, use.head));
  }
  return { parent, tokenizer, dimensions, plan, sets, grouped, steps };
}

/**
 * The check of such a stage: what it would read, in figures.
 * @param more what the stage checks beside the pairs
 * @throws as `preparePairs`
 */
export async function checkPairs(
  config: PairConfig,
  use: PairUse,
  more: (prepared: PreparedPairs) => Promise<unknown> = async () => undefined,
): Promise<readonly string[]> {
  const prepared = await preparePairs(config, use);
  await more(prepared);
  const { sets, steps } = prepared;
  return [...describeSets(sets), `${steps} steps`, ...shortenedWarmups({ optimizer: config.optimizer }, steps)];
}

/** Most pairs that go together: all there are of four answers. */
const MOST_TOGETHER = 6;

/** Pairs that go into an update together. */
export interface PairGroups {
  readonly groups: readonly (readonly PreferencePair[])[];
  /** How many groups make an update. */
  readonly perUpdate: number;
}

/**
 * Pairs of one prompt that share a response go together into an update, where it is read once, as in InstructGPT
 * (arXiv:2203.02155, section 3.5). A pair that shares one with several groups goes to the first that has room.
 * @param pairsPerUpdate pairs an update, on average
 */
export function groupPairs(pairs: readonly PreferencePair[], pairsPerUpdate: number): PairGroups {
  const groups: PreferencePair[][] = [];
  const groupsOf = new Map<string, PreferencePair[][]>();
  for (const pair of pairs) {
    const keys = [pair.chosen, pair.rejected].map((response) => JSON.stringify([pair.prompt, response]));
    const open = keys.flatMap((key) => groupsOf.get(key) ?? []).find((group) => group.length < MOST_TOGETHER);
    const group = open ?? [];
    if (open === undefined) groups.push(group);
    group.push(pair);
    for (const key of keys) {
      const known = groupsOf.get(key);
      if (known === undefined) groupsOf.set(key, [group]);
      else if (!known.includes(group)) known.push(group);
    }
  }
  return { groups, perUpdate: Math.max(1, Math.round((pairsPerUpdate * groups.length) / pairs.length)) };
}

/** Pairs as a training loop takes its data: an update's in micro-batches, each laid out. */
export function pairData<Laid>(
  { groups, perUpdate }: PairGroups,
  microBatch: number | null,
  layOut: (part: readonly PreferencePair[]) => Laid,
) {
  const read = (items: readonly number[]): Laid[] => {
    const pairs = items.flatMap((index) => groups[index] ?? []);
    return chunks(pairs, microBatch ?? pairs.length).map(layOut);
  };
  return { count: groups.length, perStep: perUpdate, read };
}

async function readSets(config: PairConfig, useMargin: boolean, reader: PreferenceReader): Promise<PreferenceSets> {
  const { pairs, heldOut, splits, apartBy, groupBy, badRows, sequence, evaluation, run } = config;
  const share = { of: evaluation.share, random: seededRandom(run.seed, 'held-out pairs') };
  const sources = { pairs, heldOut, splits, apartBy, groupBy, badRows, useMargin, share };
  const { length, overlong } = sequence;
  const isShorter = length !== null && length < reader.contextLength;
  const limit = isShorter ? { contextLength: length, lengthBy: 'sequence.length' } : {};
  const sets = await readPreferenceSets(sources, { ...reader, ...limit, overlong });
  if (sets.heldOut.pairs.length === 0 && evaluation.best !== 'last') {
    throw new ConfigError(
      `evaluation.best: ${evaluation.best} needs held-out pairs, and of the ${sets.train.pairs.length} in ${pairs} none are held out (evaluation.share ${evaluation.share}; pairs of one ${apartBy} stay together). ` +
        'Name heldOut or splits.heldOut, raise evaluation.share, or set evaluation.best to last.',
    );
  }
  return sets;
}

function describeSets({ train, heldOut, notes }: PreferenceSets): string[] {
  return [`train     ${describePairs(train)}`, `held out  ${describePairs(heldOut)}`, ...notes];
}

/** The largest batches of the run; a score head reads one position of a row, a token head all. */
function memoryShapes({ training }: PairConfig, { train, heldOut }: PreferenceSets, head: HeadKind): RunShapes {
  const seq = roundedLength(Math.max(train.statistics.longest, heldOut.statistics.longest));
  const shape = (rows: number) => ({ rows, seq, logits: head === 'score' ? rows : rows * seq });
  return {
    train: shape(2 * Math.min(training.pairs, training.microBatch ?? training.pairs)),
    score: shape(SIDE_BY_SIDE),
  };
}
