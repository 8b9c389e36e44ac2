/**
 * Stage 0: a small base model by causal language modelling.
 *
 *   Reads   a corpus (JSONL), a tokenizer folder
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, checkpoints/, model/, manifest.json}
 *   Run     node --import tsx stages/0-pretrain.ts configs/pretrain/base.yaml
 *   After   Radford et al. 2019 (GPT-2); Touvron et al. 2023 (arXiv:2302.13971)
 */
import { join } from 'node:path';
import { rowBatches, takeRows } from '../src/batch/token-batch.ts';
import { writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { pretrainCard } from '../src/checkpoint/stage-cards.ts';
import { disposeTrained, saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { readPackedCorpora } from '../src/examples/packed-corpora.ts';
import { learn } from '../src/execution/learn.ts';
import { shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE } from '../src/graph/mode.ts';
import { gpt2Style, llamaStyle } from '../src/model/dimensions.ts';
import { initialValues } from '../src/model/initialize.ts';
import { mimeticValues } from '../src/model/mimetic.ts';
import type { Model } from '../src/model/model.ts';
import { modelFrom } from '../src/model/model.ts';
import { parameterCount } from '../src/model/parameter-table.ts';
import { nextToken, nextTokenLoss } from '../src/objectives/next-token.ts';
import { seededRandom } from '../src/random.ts';
import { program } from '../src/run/program.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { trainingLoop } from '../src/run/training-loop.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { PretrainConfig } from './0-pretrain.config.ts';

/** Every metric this stage writes. */
export const pretrainMetrics = {
  'loss/train': 'Cross-entropy of the batch: mean over tokens of −log p(token), in nats.',
  'loss/held_out': 'The same over the held-out documents.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Learned tokens a second, of the update alone.',
  'speed/graphs': GRAPHS_MADE,
} as const;

/** What is measured on held-out documents. */
const measures = {
  loss: { name: 'held-out loss', better: 'lower', metric: 'loss/held_out', bar: 'held-out' },
} as const;

export const pretrain: Stage<PretrainConfig> = {
  name: 'pretrain',
  purpose: 'Trains a small base model on a corpus by next-token prediction.',
  schema: PretrainConfig,
  parents: {},
  outputs: {
    model: { path: 'model', holds: 'the base model of the step that is kept, in bfloat16', kind: 'base model' },
  },
  metrics: pretrainMetrics,
  check,
  run,
};

async function check(config: PretrainConfig): Promise<readonly string[]> {
  const { rows, note } = readPackedCorpora(config, loadTokenizer(config.tokenizer));
  const { steps, rows: batch } = config.training;
  return [
    `corpus    ${rows.batch} rows of ${rows.seq} tokens`,
    note,
    `${steps} steps of ${batch} rows: ${((steps * batch) / rows.batch).toFixed(1)} passes`,
    ...shortenedWarmups({ optimizer: config.optimizer }, steps),
  ];
}

async function run(config: PretrainConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { keepLast } = config.checkpoints;
  const { steps, rows: batch, microBatch } = config.training;
  await folder.recordInput('corpus', config.corpus);
  if (config.heldOut !== null) await folder.recordInput('heldOut', config.heldOut);
  // Not the folder: it may hold a model too, which this stage does not read.
  await folder.recordInput('tokenizer', join(config.tokenizer, 'tokenizer.json'));
  await folder.recordInput('tokenizer config', join(config.tokenizer, 'tokenizer_config.json'));

  // 1. Documents as packed rows.
  const tokenizer = loadTokenizer(config.tokenizer);
  const { rows, heldOut, note } = readPackedCorpora(config, tokenizer);
  const heldOutBatches = rowBatches(heldOut, batch);

  // 2. A new model, or the checkpoint to resume.
  const trained = startOrResume(folder, config.optimizer, () => freshModel(config, tokenizer.vocabSize));
  const { model, adam } = trained;
  const parameters = parameterCount(model.dimensions, 'tokens');
  await recordLength(context, steps, { optimizer: config.optimizer });
  progress.say(`pretrain  ${parameters} parameters, ${rows.batch} rows of ${rows.seq} tokens; ${note}`);

  // 3. Minimise the cross-entropy of the next token; the step that is best on held-out documents is kept.
  const { kept, summary } = await trainingLoop(context, config, {
    stage: 'pretrain',
    metrics: pretrainMetrics,
    model,
    steps,
    data: {
      count: rows.batch,
      perStep: batch,
      read: (items) =>
        rowBatches(takeRows(rows, items), microBatch ?? batch).map((part) => nextToken.layOut(model, part)),
    },
    unit: 'tokens',
    update: async (microBatches, settings) => {
      const { loss, gradientNorm, count } = await learn(model, adam, nextToken, microBatches, settings);
      const made = { 'loss/train': loss, 'optimizer/gradient_norm': gradientNorm };
      return { metrics: made, shown: { loss: loss.toFixed(3) }, size: count };
    },
    measures,
    measure: () => ({ loss: heldOut.batch === 0 ? null : nextTokenLoss(model, heldOutBatches) }),
    save: (state, more) => saveTraining(folder.path, keepLast, trained, tokenizer, state, more),
  });

  // 4. The model of that step, in bfloat16: a few megabytes that any tool opens.
  const { loss: heldOutLoss } = kept.measured;
  const card = pretrainCard(config, { loss: heldOutLoss, step: kept.step, beatsStart: summary.beatsStart });
  await atomicFolder(folder.file('model'), (path) =>
    writeModelFolder(path, model, { tokenizer, dtype: 'bfloat16', card }),
  );
  disposeTrained(trained);
  return { heldOutLoss, ...summary, steps, parameters };
}

/** A new decoder of the configured sizes. */
function freshModel(config: PretrainConfig, vocab: number): Model {
  const { style, initialization, ...sizes } = config.model;
  const dimensions = (style === 'gpt2' ? gpt2Style : llamaStyle)({ vocab, ...sizes });
  const random = seededRandom(config.run.seed, 'initialization');
  const valuesOf = initialization === 'mimetic' ? mimeticValues : initialValues;
  return modelFrom(dimensions, 'tokens', valuesOf(dimensions, 'tokens', random));
}

await program(import.meta.url, pretrain);
