/**
 * Stage 2: a reward model from preference pairs.
 *
 *   Reads   a stage-1 checkpoint, train.arrow and held-out.arrow of preference pairs
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, samples.arrow, calibration.arrow, groups.arrow, checkpoints/, model/,
 *           manifest.json}; groups.arrow where groupBy names a column
 *   Run     node --import tsx stages/2-reward.ts configs/reward/tiny.yaml
 *   After   Christiano et al. 2017 (arXiv:1706.03741); Stiennon et al. 2020 (arXiv:2009.01325); by likelihood: Meng et al. 2024
 *           (arXiv:2405.14734)
 */

import { loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { pairsCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf } from '../src/checkpoint/training-plan.ts';
import { InvariantError } from '../src/errors.ts';
import { rewardQuality, scoreSequences } from '../src/evaluation/pair-quality.ts';
import { heldOutMetrics, pairMeasures, pairScores } from '../src/evaluation/pair-scores.ts';
import { ACCURACY_OF, pairTables, qualityOf, writePairTables } from '../src/evaluation/pair-tables.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import type { PreferencePair } from '../src/examples/preference.ts';
import { pairIds } from '../src/examples/preference.ts';
import { type Learned, learn } from '../src/execution/learn.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import type { Model } from '../src/model/model.ts';
import { likelihoodPairs } from '../src/objectives/likelihood-pairs.ts';
import type { PairIds } from '../src/objectives/pair-batch.ts';
import { scorePairs } from '../src/objectives/score-pairs.ts';
import { seededRandom } from '../src/random.ts';
import { measuredSteps } from '../src/run/measured-step.ts';
import type { PairUse, PreparedPairs } from '../src/run/prepare-pairs.ts';
import { checkPairs, pairData, preparePairs } from '../src/run/prepare-pairs.ts';
import { program } from '../src/run/program.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import type { Progress } from '../src/terminal/progress.ts';
import { RewardConfig } from './2-reward.config.ts';

/** Every metric this stage writes. */
export const rewardMetrics = {
  'loss/train': 'Mean over the pairs of −log σ(r_chosen − r_rejected − margin), plus the centring term.',
  'accuracy/train': 'Fraction of the pairs of the update whose labelled choice scores higher.',
  'margin/train': 'Mean over the pairs of r_chosen − r_rejected.',
  ...heldOutMetrics,
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/pairs_per_second': 'Pairs a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const parents = {
  model: { role: 'instruct model', takes: 'language model', inChain: 'instruct' },
  pairs: { role: 'pairs', takes: 'preference pairs', inChain: 'preferences/train.arrow' },
  heldOut: { role: 'heldOut', takes: 'preference pairs', inChain: 'preferences/held-out.arrow' },
} as const;

export const reward: Stage<RewardConfig> = {
  name: 'reward',
  purpose: 'Trains a reward model on preference pairs.',
  schema: RewardConfig,
  parents,
  outputs: {
    model: { path: 'model', holds: 'the reward model of the step that is kept', kind: 'reward model' },
    ...pairTables,
  },
  metrics: rewardMetrics,
  figures: ({ own, ownStarting }) => {
    const accuracy = { heldOutAccuracy: own('heldOutAccuracy') };
    const groups = Object.entries(ownStarting(ACCURACY_OF));
    return [
      { measure: 'accuracy on held-out pairs', shown: 'percent', before: 0.5, after: accuracy },
      ...groups.map(([name, value]) => ({ measure: name, shown: 'percent', after: { [name]: value } }) as const),
      { measure: 'calibration error', shown: 3, after: { ece: own('ece') } },
    ];
  },
  check: (config) => checkPairs(config, useOf(config)),
  run,
};

/** The pairs teach the instruct model, with a new score head or with its own. */
function useOf({ score, loss }: RewardConfig): PairUse {
  return {
    model: parents.model,
    recordedAs: 'model',
    head: score === 'head' ? 'score' : 'tokens',
    useMargin: loss.useMargin,
  };
}

async function run(config: RewardConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;

  // 1. Pairs as ids. Held-out prompts never occur in training.
  const prepared = await preparePairs(config, useOf(config), context);
  const { parent, tokenizer, dimensions, sets, grouped, steps } = prepared;
  const { pairs } = sets.train;
  const marginOf = ({ margin }: PreferencePair): number => (config.loss.useMargin ? margin : 0);
  const idsOf = (row: PreferencePair): PairIds => ({ ...pairIds(row), margin: marginOf(row) });

  // 2. The trunk of the instruct model with a new scalar head or its own, or the checkpoint to resume.
  const optimizer = { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) };
  const begin = (): Model => newRewardModel(config, prepared, progress.say);
  const trained = startOrResume(folder, optimizer, begin, config.memory.recompute);
  const { model, adam } = trained;
  await recordLength(context, steps, { optimizer: config.optimizer });

  // 3. Bradley–Terry on the labelled pairs; the step that is best on held-out ones is kept.
  const heldOut = sets.heldOut.pairs;
  progress.say(`reward  ${pairs.length} pairs, ${heldOut.length} held out, ${steps} steps`);
  const { padId } = tokenizer;
  const { objective, centring, scale } = objectiveOf(config, padId);
  const judged = measuredSteps(() => rewardQuality(model, heldOut, { scale, centring, marginOf, padId }));
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'reward',
    metrics: rewardMetrics,
    model,
    steps,
    data: pairData(grouped, config.training.microBatch, (part) => objective.layOut(model, part.map(idsOf))),
    unit: 'pairs',
    update: async (microBatches, settings) => {
      const update = await learn(model, adam, objective, microBatches, settings);
      return { metrics: metricsOf(update), shown: { loss: update.loss.toFixed(3) }, size: update.count };
    },
    measures: pairMeasures,
    measure: (step) => pairScores(judged.at(step)),
    save: (state, more) => saveTraining(folder.path, config.checkpoints.keepLast, trained, tokenizer, state, more),
  });
  const quality = judged.of(kept.step);

  // 4. Normalise: over training responses, scores have mean 0 and standard deviation 1. Stored with the model.
  const normalisation = normalise(model, pairs.map(idsOf), padId, progress);
  const card = pairsCard(factsOf(config), config, qualityOf(quality), { ...summary, step: kept.step });
  const options = { tokenizer, normalisation, base: parent.path, card };
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  if (quality !== null) await writePairTables(folder.file, heldOut, quality, config.groupBy !== null);
  disposeTrained(trained);
  const score = { rewardMean: normalisation.mean, rewardSd: normalisation.deviation };
  const data = { train: sets.train.statistics, heldOut: sets.heldOut.statistics };
  return { ...qualityOf(quality), ...summary, ...score, steps, data };
}

/** What the pairs teach; scores count `scale` in the loss. */
function objectiveOf({ score, loss }: RewardConfig, padId: number) {
  const { centring, scale } = score === 'head' ? { ...loss, scale: 1 } : { ...loss, centring: 0 };
  const objective = score === 'head' ? scorePairs({ centring, padId }) : likelihoodPairs({ scale, padId });
  return { objective, centring, scale };
}

function metricsOf({ loss, gradientNorm, stats }: Learned<'accuracy' | 'margin'>) {
  return {
    'loss/train': loss,
    'accuracy/train': stats.accuracy,
    'margin/train': stats.margin,
    'optimizer/gradient_norm': gradientNorm,
  };
}

/** The instruct model, with a new head where scores are read by one, and new adapters where the plan asks for them. */
function newRewardModel(
  { score, run: { seed } }: RewardConfig,
  { parent, plan, tokenizer }: PreparedPairs,
  say: (line: string) => void,
): Model {
  const random = seededRandom(seed, 'adapters');
  const head = score === 'head' ? { newHead: seededRandom(seed, 'score head') } : {};
  return loadModelFolder(parent.folder, { plan, random, ...head, tokenizer, say }).model;
}

/** What the card of the model says of this stage alone. */
function factsOf({ score, loss: { useMargin, centring, scale } }: RewardConfig) {
  const normalisation = `mean 0 and deviation 1 over the responses of at most ${NORMALISED_BY} training pairs, in config.json (plumbline.reward_normalisation)`;
  return {
    made: 'Reward model',
    decisions: {
      score:
        score === 'head' ? 'read at the last token of the response' : 'mean log-probability of its tokens, in nats',
      loss: { kind: 'Bradley–Terry', useMargin, ...(score === 'head' ? { centring } : { scale }) },
      normalisation,
    },
  };
}

/** Pairs whose responses say on which scale scores are, evenly spread over all. */
const NORMALISED_BY = 2048;

/** Mean and deviation of the scores of training responses. Stage 3 divides by the deviation. */
function normalise(model: Model, pairs: readonly PairIds[], padId: number, { phase }: Progress) {
  const step = Math.ceil(pairs.length / NORMALISED_BY);
  const responses = pairs.flatMap(({ chosen, rejected }, i) => (i % step === 0 ? [chosen, rejected] : []));
  const shown = phase('scores of the training responses', responses.length, { unit: 'responses' });
  const scores = meanAndDeviation(scoreSequences(model, responses, padId, shown.update));
  shown.finish();
  if (scores.deviation > 0) return scores;
  throw new InvariantError(
    'reward: every training response has the same score, so scores cannot be normalised; expected some spread. ' +
      'Train for longer or with a higher optimizer.learningRate.',
  );
}

await program(import.meta.url, reward);
