/**
 * Stage 0: a small base model by causal language modelling.
 *
 *   Reads   a corpus (JSONL), a tokenizer folder
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, checkpoints/, model/, manifest.json}
 *   Run     node --import tsx stages/0-pretrain.ts configs/pretrain/base.yaml
 *   After   Radford et al. 2019 (GPT-2); Touvron et al. 2023 (arXiv:2302.13971)
 */
import { join } from 'node:path';
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { GRAPHS_MADE, graphsMade } from '../src/compile/mode.ts';
import { encodeDocument, readCorpus } from '../src/data/corpus.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { PackedRows } from '../src/data/packing.ts';
import { packSequences, splitRows, takeRows } from '../src/data/packing.ts';
import { readAhead } from '../src/data/read-ahead.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { gpt2Style, llamaStyle, parameterCount } from '../src/model/dimensions.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, newModel } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { program } from '../src/run/program.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { nextTokenBatches, nextTokenLoss, nextTokenUpdate } from '../src/steps/language-model.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt, shortenedWarmups } from '../src/training/schedule.ts';
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

interface State {
  readonly step: number;
  readonly cursor: CursorState;
}

export const pretrain: Stage<PretrainConfig> = { name: 'pretrain', schema: PretrainConfig, check, run };

/** Documents as packed rows; attention never crosses from one document into another. */
function readCorpora(config: PretrainConfig, tokenizer: Tokenizer): { rows: PackedRows; heldOut: PackedRows } {
  const { length } = config.training;
  return { rows: packCorpus(config.corpus, length, tokenizer), heldOut: packCorpus(config.heldOut, length, tokenizer) };
}

async function check(config: PretrainConfig): Promise<readonly string[]> {
  const { rows, heldOut } = readCorpora(config, loadTokenizer(config.tokenizer));
  const { steps, rows: batch } = config.training;
  return [
    `corpus    ${rows.rows} rows of ${rows.length} tokens`,
    `held out  ${heldOut.rows} rows`,
    `${steps} steps of ${batch} rows: ${((steps * batch) / rows.rows).toFixed(1)} passes`,
    ...shortenedWarmups({ optimizer: config.optimizer }, steps),
  ];
}

async function run(config: PretrainConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const tokenizer = loadTokenizer(config.tokenizer);
  for (const role of ['corpus', 'heldOut'] as const) await folder.recordInput(role, config[role]);
  // Not the folder: it may hold a model too, which this stage does not read.
  await folder.recordInput('tokenizer', join(config.tokenizer, 'tokenizer.json'));
  await folder.recordInput('tokenizer config', join(config.tokenizer, 'tokenizer_config.json'));

  // 1. Documents as packed rows.
  const corpora = readCorpora(config, tokenizer);
  const { rows } = corpora;
  const heldOut = batchesOf(corpora.heldOut, config.training.rows);

  // 2. A new model, or the checkpoint to resume.
  const { model, adam, state } = startOrResume<State>(folder, config.optimizer, () =>
    freshModel(config, tokenizer.vocabSize),
  );
  const { steps, accumulate } = config.training;
  await recordLength(context, steps, { optimizer: config.optimizer });
  const first = state?.step ?? 0;
  const cursor = createCursor(rows.rows, state?.cursor ?? config.run.seed);
  const batches = readAhead(cursor, config.training.rows, steps - first, (items) =>
    nextTokenBatches(model, splitRows(takeRows(rows, items), accumulate), tokenizer.padId),
  );
  const parameters = parameterCount(model.dimensions, 'tokens');
  progress.say(`pretrain  ${parameters} parameters, ${rows.rows} rows of ${rows.length} tokens`);
  const metrics = openMetrics(folder.file('metrics.arrow'), pretrainMetrics, { resumeFromStep: state?.step });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    const saved: State = { step, cursor: batches.state() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. Minimise the cross-entropy of the next token.
  const bar = progress.phase('pretrain', steps, { unit: 'tokens', start: first });
  let seen = 0;
  let heldOutLoss = nextTokenLoss(model, heldOut, tokenizer.padId);
  for (let step = first + 1; step <= steps; step++) {
    const batch = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = await nextTokenUpdate(model, adam, batch, {
      learningRate,
      clipNorm: config.optimizer.clipNorm,
      where: `pretrain step ${step}`,
    });
    const speed = update.tokens / ((performance.now() - began) / 1000);
    seen += update.tokens;

    const measure = step % config.evaluateEverySteps === 0 || step === steps;
    if (measure) heldOutLoss = nextTokenLoss(model, heldOut, tokenizer.padId);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'loss/held_out': measure ? heldOutLoss : null,
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/tokens_per_second': speed,
      'speed/graphs': graphsMade(),
    });
    bar.update(step, { loss: update.loss.toFixed(3), 'held-out': heldOutLoss.toFixed(3) }, seen);
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  bar.finish(`held-out loss ${heldOutLoss.toFixed(3)} nats a token`);

  // 4. The result, in bfloat16: a few megabytes that any tool opens.
  const options = { tokenizer, dtype: 'bfloat16', card: cardOf(config, heldOutLoss) } as const;
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  await folder.recordOutput('model', 'model');
  disposeModel(model);
  disposeAdamW(adam);
  return { heldOutLoss, steps, parameters };
}

/** What the model card tells. */
function cardOf({ corpus, heldOut, tokenizer, training, optimizer }: PretrainConfig, heldOutLoss: number): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  const { steps, rows, length } = training;
  return {
    made: 'Pre-training',
    base: corpus,
    data: { corpus, 'held-out documents': heldOut, tokenizer },
    decisions: {
      sequences: { length, padding: 'packed, attention within a document' },
      optimizer: { learningRate, schedule, weightDecay, steps, rows },
    },
    results: { 'loss on held-out documents': heldOutLoss },
  };
}

/** A corpus as packed rows of `length` tokens. */
function packCorpus(path: string, length: number, tokenizer: Tokenizer): PackedRows {
  const documents = readCorpus(path).flatMap(({ text }) => encodeDocument(text, tokenizer, length));
  return packSequences(documents, length, tokenizer.padId);
}

function batchesOf(rows: PackedRows, size: number): PackedRows[] {
  const batches: PackedRows[] = [];
  for (let at = 0; at < rows.rows; at += size) {
    const count = Math.min(size, rows.rows - at);
    batches.push(
      takeRows(
        rows,
        Array.from({ length: count }, (_, i) => at + i),
      ),
    );
  }
  return batches;
}

/** A new decoder of the configured sizes. */
function freshModel(config: PretrainConfig, vocab: number): Model {
  const { style, ...sizes } = config.model;
  const dimensions = (style === 'gpt2' ? gpt2Style : llamaStyle)({ vocab, ...sizes });
  return newModel(dimensions, 'tokens', seededRandom(config.run.seed, 'initialization'));
}

await program(import.meta.url, pretrain, 'Trains a small base model on a corpus by next-token prediction.');
