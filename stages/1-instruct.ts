/**
 * Stage 1: instruction tuning on rows of one's own, on FLAN-style tasks, or on both.
 *
 *   Reads   a base checkpoint; a file of conversations, questions with answers or texts; data/seed/<task>.jsonl, data/templates/<task>.yaml
 *   Writes  <run.folder>/{config.yaml, instruct.arrow, mixture.arrow, metrics.arrow, samples.arrow, checkpoints/, best/, manifest.json}
 *   Run     node --import tsx stages/1-instruct.ts configs/instruct/tiny.yaml
 *   After   Wei et al. 2022 (FLAN, arXiv:2109.01652)
 */
import { join } from 'node:path';
import type { TokenBatch } from '../src/batch/token-batch.ts';
import { rowBatches } from '../src/batch/token-batch.ts';
import { checkModelFolder, loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { instructCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { rateOf, trainingPlan } from '../src/checkpoint/training-plan.ts';
import { planWithValidation } from '../src/evaluation/instruct-plan.ts';
import { measureValidation } from '../src/evaluation/validation.ts';
import { loadFileTasks } from '../src/examples/file-tasks.ts';
import type { InstructDataset, InstructPlan } from '../src/examples/instruct-dataset.ts';
import { prepareInstruct } from '../src/examples/instruct-dataset.ts';
import { describeStatistics, instructColumns } from '../src/examples/instruction-table.ts';
import { openTraining } from '../src/examples/open-training.ts';
import { mixtureColumns } from '../src/examples/render-mixture.ts';
import { settleLength } from '../src/examples/settle-length.ts';
import { longestWithin } from '../src/execution/fit-length.ts';
import { learn } from '../src/execution/learn.ts';
import type { RunShapes } from '../src/execution/memory-estimate.ts';
import { announceMemory } from '../src/execution/memory-estimate.ts';
import { compiledSizes } from '../src/execution/position-bucket.ts';
import { shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicCopy } from '../src/files/atomic-copy.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import type { Model } from '../src/model/model.ts';
import { nextToken } from '../src/objectives/next-token.ts';
import { seededRandom } from '../src/random.ts';
import { mixtureLines } from '../src/report/mixture-table.ts';
import { openValidationLog, validationMeasures, validationSamples } from '../src/report/validation-log.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import { recordData } from '../src/run/record-data.ts';
import { recordLength, stepsOfEpochs } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import { withTemplate } from '../src/tokenizer/set-template.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { InstructConfig, type SettledInstructConfig } from './1-instruct.config.ts';

/** Every metric this stage writes. */
export const instructMetrics = {
  'loss/train': 'Mean over target tokens of the update of −log p(token | prompt, earlier target tokens), in nats.',
  'loss/validation': 'The same over validation rows with trained templates, nothing dropped.',
  'accuracy/validation':
    'Mean score on validation rows with trained templates: mean over tasks; the fraction of right answers for most.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Tokens of rows (prompt, target, padding) a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

const parents = { model: { role: 'base model', takes: 'language model', inChain: 'base' } } as const;

export const instruct: Stage<InstructConfig> = {
  name: 'instruct',
  purpose: 'Tunes a base model on rows of your own, or on instruction tasks rendered from templates.',
  schema: InstructConfig,
  parents,
  outputs: {
    dataset: {
      path: 'instruct.arrow',
      holds: 'every training example as text and tokens',
      kind: 'instruction examples',
      columns: instructColumns,
    },
    mixture: { path: 'mixture.arrow', holds: 'declared and realised rates of the mixture', columns: mixtureColumns },
    samples: validationSamples,
    model: { path: 'best', holds: 'the model of the step that is kept', kind: 'tuned model' },
  },
  metrics: instructMetrics,
  figures: ({ of }) => {
    const [before, after] = [{ accuracyBase: of('base', 'accuracy') }, { accuracy: of('instruct', 'accuracy') }];
    const otherwise = { accuracyUnseenTemplates: of('instruct', 'accuracy_unseen_templates') };
    return [
      { measure: 'accuracy on unseen rows', shown: 'percent', before, after },
      { measure: 'accuracy with unseen templates', shown: 'percent', after: otherwise },
    ];
  },
  check,
  run,
};

/** The base model's folder and tokenizer, the rows of one's own, and what is trained; nothing that needs weights or a lane. */
async function prepare(config: InstructConfig) {
  const parent = await openParent(config.model, parents.model);
  const { tokenizer, lines } = withTemplate(loadTokenizer(parent.folder), config.data.template, parent.folder);
  const { length } = config.sequence;
  const expected = { where: `base model ${config.model}`, kind: 'language model', tokenizer } as const;
  const dimensions = checkModelFolder(parent.folder, length === 'auto' ? expected : { ...expected, length });
  const training = trainingPlan(dimensions, 'tokens', config.tuning, config.memory, tokenizer.newTokens);
  const files = await loadFileTasks(config.data, tokenizer);
  const models = { trained: [{ dimensions, head: 'tokens', plan: training } as const], others: [] };
  return { parent, tokenizer, dimensions, training, files, models, lines };
}

/** The tokenized mixture, from the cache or made now. */
async function makeDataset(
  config: SettledInstructConfig,
  plan: InstructPlan,
  tokenizer: Tokenizer,
): Promise<InstructDataset> {
  const { sequence, data } = config;
  const fit = { maxLength: sequence.length, overlong: sequence.overlong, learn: data.learn };
  return prepareInstruct(config, plan, tokenizer, { cache: config.data.cache, seed: config.run.seed, fit });
}

/** The largest batches of the run; the learned share of rows varies by about a third. */
function memoryShapes(
  config: SettledInstructConfig,
  { statistics }: Pick<InstructDataset, 'statistics'>,
  asked: number,
): RunShapes {
  const { training, sequence } = config;
  const rows = training.microBatch ?? training.rows;
  const share = Math.min(1, (1.3 * statistics.trainableTokens) / statistics.tokens);
  const logits = Math.ceil(rows * sequence.length * share);
  const train = { rows, seq: sequence.length, logits };
  const sizes = compiledSizes(logits);
  return asked === 0
    ? { train, sizes }
    : { train, sizes, generate: { rows: Math.min(64, asked), seq: statistics.longest } };
}

function describeUnit({ sequence: { length, buckets }, training: { rows } }: SettledInstructConfig): string {
  return buckets === null ? `${rows} packed rows of ${length} tokens` : `${rows} rows of ${buckets.join(', ')} tokens`;
}

async function check(config: InstructConfig): Promise<string[]> {
  const { tokenizer, dimensions, files, ...begun } = await prepare(config);
  const { config: settled, lines } = await settleLength(config, files, dimensions.context);
  const { plan, lines: measured } = planWithValidation(settled, files, tokenizer, dimensions.context);
  const { statistics, mixture, path } = await makeDataset(settled, plan, tokenizer);
  const data = openTraining(settled, join(path, 'instruct.arrow'), tokenizer);
  const steps = stepsOfEpochs(config.training, data);
  data.close();
  const warmups = shortenedWarmups({ optimizer: config.optimizer }, steps);
  const made = [describeStatistics(statistics), ...mixtureLines(mixture)];
  return [...begun.lines, ...lines, ...made, ...measured, `${steps} steps`, ...warmups];
}

/** Rows in micro-batches, and how many tokens they are. */
function layOut(model: Model, rows: TokenBatch, microBatch: number | null) {
  const microBatches = rowBatches(rows, microBatch ?? rows.batch).map((part) => nextToken.layOut(model, part));
  return { microBatches, size: rows.ids.length };
}

async function run(given: InstructConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { parent, tokenizer, dimensions, training, files, models, ...begun } = await prepare(given);
  const { config, lines } = await settleLength(given, files, dimensions.context, {
    before: folder.manifest().settled['sequence.length'],
    longestOf: (lengths) => longestWithin(lengths, given.memory.limitGb, models, given.training),
  });
  for (const line of [...begun.lines, ...lines]) progress.say(line);
  await folder.recordParent('model', parent);
  await recordData(folder, config.data, files, config.sequence.length);

  // 1. Mix tasks, render templates, tokenize; loss on the target only. The tables are what a notebook opens.
  const { plan, set, lines: measured } = planWithValidation(config, files, tokenizer, dimensions.context);
  const dataset = await makeDataset(config, plan, tokenizer);
  for (const name of ['instruct.arrow', 'mixture.arrow']) await atomicCopy(join(dataset.path, name), folder.file(name));
  for (const line of [...mixtureLines(dataset.mixture), ...measured]) progress.say(line);

  // 2. The base model, or the checkpoint to resume.
  const shapes = memoryShapes(config, dataset, set.questions.length);
  await announceMemory(progress.say, config.memory.limitGb, models, shapes);
  const optimizer = { ...config.optimizer, rateOf: rateOf(dimensions, config.tuning) };
  const base = { plan: training, random: seededRandom(config.run.seed, 'adapters'), tokenizer, say: progress.say };
  const begin = (): Model => loadModelFolder(parent.folder, base).model;
  const trained = startOrResume(folder, optimizer, begin, config.memory.recompute);
  const { model, adam, state } = trained;
  const data = openTraining(config, folder.file('instruct.arrow'), tokenizer);
  const steps = await recordLength(context, stepsOfEpochs(config.training, data), { optimizer: config.optimizer });
  progress.say(`instruct  ${describeStatistics(dataset.statistics)}; ${steps} steps of ${describeUnit(config)}`);

  // 3. Masked cross-entropy; the step that is best on validation rows is kept.
  const validation = openValidationLog(folder, state?.step, () => measureValidation(model, tokenizer, set));
  const read = (units: readonly number[]) => layOut(model, data.take(units), config.training.microBatch);
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'instruct',
    metrics: instructMetrics,
    model,
    steps,
    data: { count: data.units, perStep: data.perUpdate, read },
    unit: 'tokens',
    update: async ({ microBatches, size }, settings) => {
      const { loss, gradientNorm } = await learn(model, adam, nextToken, microBatches, settings);
      const made = { 'loss/train': loss, 'optimizer/gradient_norm': gradientNorm };
      return { metrics: made, shown: { loss: loss.toFixed(3) }, size };
    },
    measures: validationMeasures,
    measure: validation.measure,
    tables: [validation],
    save: (state, more) => saveTraining(folder.path, config.checkpoints.keepLast, trained, tokenizer, state, more),
  });
  data.close();

  // 4. The model to go on with is the best one.
  const card = instructCard(config, { ...kept.measured, step: kept.step, beatsStart: summary.beatsStart });
  const parts = { tokenizer, base: parent.path, card };
  await atomicFolder(folder.file('best'), (path) => writeModelFolder(path, model, parts));
  disposeTrained(trained);
  const { loss: validationLoss, accuracy } = kept.measured;
  return { validationLoss, accuracy, ...summary, steps, ...dataset.statistics };
}

await program(import.meta.url, instruct);
