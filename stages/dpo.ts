/**
 * Direct preference optimisation: a policy from preference pairs, without a reward model and without rollouts.
 *
 *   Reads   a stage-1 checkpoint, train.arrow and held-out.arrow of preference pairs
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, calibration.arrow, groups.arrow, checkpoints/, model/,
 *           manifest.json}; groups.arrow where groupBy names a column
 *   Run     node --import tsx stages/dpo.ts configs/dpo/tiny.yaml
 *   After   Rafailov et al. 2023 (arXiv:2305.18290); the other losses: src/objectives/preference-losses.ts
 */

import { checkReference } from '../src/alignment/invariants.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { pairsCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf } from '../src/checkpoint/training-plan.ts';
import { sumLogProbs } from '../src/evaluation/pair-quality.ts';
import { heldOutMetrics, pairMeasures, pairScores } from '../src/evaluation/pair-scores.ts';
import { pairTables, qualityOf, writePairTables } from '../src/evaluation/pair-tables.ts';
import { preferenceQuality } from '../src/evaluation/preference-quality.ts';
import { pairIds, pairSequences } from '../src/examples/preference.ts';
import { type Learned, learn } from '../src/execution/learn.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import type { Model } from '../src/model/model.ts';
import type { PreferenceStat } from '../src/objectives/direct-preference.ts';
import { directPreference } from '../src/objectives/direct-preference.ts';
import type { PreferenceLoss } from '../src/objectives/preference-losses.ts';
import { hasReference } from '../src/objectives/preference-losses.ts';
import { seededRandom } from '../src/random.ts';
import { measuredSteps } from '../src/run/measured-step.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent } from '../src/run/parents.ts';
import type { PairUse, PreparedPairs } from '../src/run/prepare-pairs.ts';
import { checkPairs, pairData, preparePairs } from '../src/run/prepare-pairs.ts';
import { program } from '../src/run/program.ts';
import type { ReferenceLogProb } from '../src/run/reference-log-probs.ts';
import { referenceLogProbs } from '../src/run/reference-log-probs.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import { DpoConfig, lossOf } from './dpo.config.ts';

/** Every metric this program writes. */
export const dpoMetrics = {
  'loss/train': 'Mean over the pairs of the loss that loss.kind names, with its sft term.',
  'accuracy/train':
    'Fraction of the pairs of the update whose labelled choice has the higher implicit reward; of no meaning before the first update.',
  'reward/chosen':
    'Mean implicit reward of the chosen responses: what the loss compares, with β; of orpo the log odds.',
  'reward/rejected': 'The same of the rejected ones.',
  'logprob/chosen': 'Mean over the pairs of Σ log π of the chosen response’s tokens, in nats.',
  'logprob/rejected': 'The same of the rejected ones.',
  'logprob/chosen_shift':
    'Mean of log π − log π_ref of the chosen responses, in nats: below 0 they are becoming less likely.',
  'logprob/displaced':
    'Fraction of the pairs whose chosen response is less likely than by the reference; of no meaning before the first update.',
  ...heldOutMetrics,
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/pairs_per_second': 'Pairs a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const parents = {
  model: { role: 'policy', takes: 'language model', inChain: 'instruct' },
  reference: { role: 'reference', takes: 'language model' },
  pairs: { role: 'pairs', takes: 'preference pairs', inChain: 'preferences/train.arrow' },
  heldOut: { role: 'heldOut', takes: 'preference pairs', inChain: 'preferences/held-out.arrow' },
} as const;

export const dpo: Stage<DpoConfig> = {
  name: 'dpo',
  purpose: 'Trains a policy on preference pairs directly: DPO, IPO, SimPO, ORPO and others.',
  schema: DpoConfig,
  parents,
  outputs: {
    model: { path: 'model', holds: 'the policy of the step that is kept', kind: 'tuned model' },
    ...pairTables,
  },
  metrics: dpoMetrics,
  figures: ({ own }) => [
    { measure: 'accuracy on held-out pairs', shown: 'percent', after: { heldOutAccuracy: own('heldOutAccuracy') } },
  ],
  check: (config) => checkPairs(config, use, (prepared) => openReference(config, prepared)),
  run,
};

const use: PairUse = { model: parents.model, recordedAs: 'policy', head: 'tokens', useMargin: false };

/** What is compared with, where that is another checkpoint than the policy's own. */
async function openReference(
  { reference }: DpoConfig,
  { tokenizer, sets: { train, heldOut } }: PreparedPairs,
): Promise<Parent | undefined> {
  if (reference === null) return undefined;
  const named = await openParent(reference, { ...parents.reference, tokenizer: tokenizer.hash });
  const length = Math.max(train.statistics.longest, heldOut.statistics.longest);
  checkModelFolder(named.folder, { where: `reference ${reference}`, kind: 'language model', tokenizer, length });
  return named;
}

async function run(config: DpoConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;

  // 1. Pairs as ids. Held-out prompts never occur in training.
  const prepared = await preparePairs(config, use, context);
  const { parent, tokenizer, dimensions, sets, grouped, steps } = prepared;
  const [heldOut, { padId }] = [sets.heldOut.pairs, tokenizer];
  progress.say(`dpo  ${sets.train.pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);

  // 2. What the reference thinks of every response: read once.
  const referenceOf = await readReference(config, prepared, context);

  // 3. The policy starts where the reference is, or at the checkpoint to resume.
  const optimizer = { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) };
  const begin = (): Model => newPolicy(config, prepared, progress.say);
  const trained = startOrResume(folder, optimizer, begin, config.memory.recompute);
  const { model, adam } = trained;
  await recordLength(context, steps, { optimizer: config.optimizer });

  // 4. The loss on the labelled pairs; the step that is best on held-out ones is kept.
  const loss = lossOf(config);
  const objective = directPreference({ loss, referenceOf, padId });
  const judged = measuredSteps(() => preferenceQuality(model, heldOut, { loss, referenceOf, padId }));
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'dpo',
    metrics: dpoMetrics,
    model,
    steps,
    data: pairData(grouped, config.training.microBatch, (part) => objective.layOut(model, part.map(pairIds))),
    unit: 'pairs',
    update: async (microBatches, settings) => {
      const update = await learn(model, adam, objective, microBatches, settings);
      const shown = { loss: update.loss.toFixed(3), shift: update.stats.chosenShift.toFixed(2) };
      return { metrics: metricsOf(update), shown, size: update.count };
    },
    measures: pairMeasures,
    measure: (step) => {
      const found = judged.at(step);
      const isReference = step === 0 && config.reference === null;
      if (isReference && found !== null) checkReference(found.furthest, config.runtime.checks, progress.say);
      return pairScores(found?.quality ?? null);
    },
    save: (state, more) => saveTraining(folder.path, config.checkpoints.keepLast, trained, tokenizer, state, more),
  });
  const { quality = null, shift = null } = judged.of(kept.step) ?? {};
  if (shift !== null && shift < 0) progress.say(displacement(shift));

  // 5. The policy to go on with is the best one.
  const card = pairsCard(factsOf(config, loss), config, qualityOf(quality), { ...summary, step: kept.step });
  const options = { tokenizer, base: parent.path, card };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  if (quality !== null) await writePairTables(folder.file, heldOut, quality, config.groupBy !== null);
  disposeTrained(trained);
  const data = { train: sets.train.statistics, heldOut: sets.heldOut.statistics };
  return { ...qualityOf(quality), chosenShift: shift, ...summary, steps, data };
}

/** Log-probabilities by the checkpoint named, or by the one the policy starts from: also what is reported of losses without it. */
async function readReference(
  config: DpoConfig,
  prepared: PreparedPairs,
  context: RunContext,
): Promise<ReferenceLogProb> {
  const { parent, tokenizer, sets, plan } = prepared;
  const named = await openReference(config, prepared);
  if (named !== undefined) await context.folder.recordParent('reference', named);
  const responses = pairSequences([...sets.train.pairs, ...sets.heldOut.pairs]);
  const { frozenPrecision } = plan;
  const { cache, runtime } = config;
  const source = { parent: named ?? parent, tokenizer, frozenPrecision, runtime, cache, read: sumLogProbs };
  return referenceLogProbs(source, responses, context);
}

/** The policy, with new adapters where the plan asks for them. */
function newPolicy({ run }: DpoConfig, { parent, plan, tokenizer }: PreparedPairs, say: (line: string) => void): Model {
  return loadModelFolder(parent.folder, { plan, random: seededRandom(run.seed, 'adapters'), tokenizer, say }).model;
}

function metricsOf({ loss, gradientNorm, stats }: Learned<PreferenceStat>) {
  return {
    'loss/train': loss,
    'accuracy/train': stats.accuracy,
    'reward/chosen': stats.chosenReward,
    'reward/rejected': stats.rejectedReward,
    'logprob/chosen': stats.chosenLogProb,
    'logprob/rejected': stats.rejectedLogProb,
    'logprob/chosen_shift': stats.chosenShift,
    'logprob/displaced': stats.displaced,
    'optimizer/gradient_norm': gradientNorm,
  };
}

/** What is said where chosen responses became less likely, which losses of differences do not see. */
function displacement(shift: number): string {
  return `likelihood displacement: held-out chosen responses are less likely than by the reference, by ${(-shift).toFixed(2)} nats on average. If answers got worse, raise loss.sft or lower optimizer.learningRate (arXiv:2410.08847).`;
}

/** What the card of the model says of this stage alone. */
function factsOf({ referenceFree, reference }: DpoConfig, loss: PreferenceLoss) {
  const compared = referenceFree || !hasReference(loss.kind) ? 'none' : (reference ?? 'the model it starts from');
  return { made: 'Policy tuned on preference pairs directly', decisions: { loss, reference: compared } };
}

await program(import.meta.url, dpo);
