/**
 * Stage 0: a small base model by causal language modelling.
 *
 *   Reads   a corpus (JSONL), a tokenizer folder
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, checkpoints/, model/, manifest.json}
 *   Run     node --import tsx stages/0-pretrain.ts configs/pretrain/base.yaml
 *   After   Radford et al. 2019 (GPT-2); Touvron et al. 2023 (arXiv:2302.13971)
 */
import { join } from 'node:path';
import { packSequences } from '../src/batch/packing.ts';
import type { TokenBatch } from '../src/batch/token-batch.ts';
import { rowBatches, takeRows } from '../src/batch/token-batch.ts';
import type { CardFacts } from '../src/checkpoint/model-card.ts';
import { writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { keptFacts } from '../src/checkpoint/stage-cards.ts';
import { trainedHash } from '../src/checkpoint/trained-hash.ts';
import { saveTraining, startOrResume } from '../src/checkpoint/training-checkpoint.ts';
import { ConfigError } from '../src/errors.ts';
import { divideCorpus, encodeDocument } from '../src/examples/corpus.ts';
import type { CursorState } from '../src/examples/cursor.ts';
import { createCursor } from '../src/examples/cursor.ts';
import { readAhead } from '../src/examples/read-ahead.ts';
import { checkUnknown, countUnknown } from '../src/examples/unknown-tokens.ts';
import { disposeAdamW } from '../src/execution/adamw.ts';
import { learn } from '../src/execution/learn.ts';
import { learningRateAt, shortenedWarmups } from '../src/execution/schedule.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { GRAPHS_MADE, graphsMade } from '../src/graph/mode.ts';
import { gpt2Style, llamaStyle } from '../src/model/dimensions.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, newModel } from '../src/model/model.ts';
import { parameterCount } from '../src/model/parameter-table.ts';
import { nextToken, nextTokenLoss } from '../src/objectives/next-token.ts';
import { seededRandom } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import type { BestState, KeptStep } from '../src/run/keep-best.ts';
import { keepBest } from '../src/run/keep-best.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { program } from '../src/run/program.ts';
import { recordLength } from '../src/run/run-length.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
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

interface State {
  readonly step: number;
  readonly cursor: CursorState;
  readonly best: BestState<Scores>;
}

/** One measurement on held-out documents; null where there are none. */
type Scores = { readonly loss: number | null };

const measures = { told: 'loss', measures: { loss: { name: 'held-out loss', better: 'lower' } } } as const;

export const pretrain: Stage<PretrainConfig> = {
  name: 'pretrain',
  purpose: 'Trains a small base model on a corpus by next-token prediction.',
  schema: PretrainConfig,
  parents: {},
  outputs: {
    model: { path: 'model', holds: 'the base model of the step that is kept, in bfloat16', kind: 'language model' },
  },
  metrics: pretrainMetrics,
  check,
  run,
};

/**
 * Documents as packed rows; attention never crosses from one document into another.
 * @throws ConfigError where there is nothing to measure the loss on that is to choose the model
 */
function readCorpora(config: PretrainConfig, tokenizer: Tokenizer) {
  const { corpus, evaluation, run, training } = config;
  const random = seededRandom(run.seed, 'held-out documents');
  const divided = divideCorpus(corpus, config.heldOut, evaluation.share, random);
  if (divided.heldOut.length === 0 && evaluation.best === 'loss') {
    throw new ConfigError(
      `evaluation.best: loss needs held-out documents, and of ${corpus} none are held out: ${divided.trained.length} documents, evaluation.share ${evaluation.share}. ` +
        'Name heldOut, raise evaluation.share, give at least two different documents, or set evaluation.best to last.',
    );
  }
  const pack = (texts: readonly string[]): TokenBatch => {
    const { length } = training;
    const documents = texts.flatMap((text) => encodeDocument(text, tokenizer, length));
    const unknown = documents.reduce((sum, one) => sum + countUnknown(one.ids, one.learned, tokenizer), 0);
    const learned = documents.reduce((sum, { ids }) => sum + ids.length - 1, 0);
    checkUnknown(config.corpus, unknown, learned, tokenizer);
    return packSequences(documents, length, tokenizer.padId);
  };
  const heldOut = pack(divided.heldOut);
  const held = `${divided.heldOut.length} of ${divided.heldOut.length + divided.trained.length} documents`;
  const note = `held out  ${heldOut.batch} rows${config.heldOut === null ? `: ${held}, by run.seed (evaluation.share)` : ''}`;
  return { rows: pack(divided.trained), heldOut, note };
}

async function check(config: PretrainConfig): Promise<readonly string[]> {
  const { rows, note } = readCorpora(config, loadTokenizer(config.tokenizer));
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
  const tokenizer = loadTokenizer(config.tokenizer);
  await folder.recordInput('corpus', config.corpus);
  if (config.heldOut !== null) await folder.recordInput('heldOut', config.heldOut);
  // Not the folder: it may hold a model too, which this stage does not read.
  await folder.recordInput('tokenizer', join(config.tokenizer, 'tokenizer.json'));
  await folder.recordInput('tokenizer config', join(config.tokenizer, 'tokenizer_config.json'));

  // 1. Documents as packed rows.
  const corpora = readCorpora(config, tokenizer);
  const { rows } = corpora;
  const heldOut = rowBatches(corpora.heldOut, config.training.rows);

  // 2. A new model, or the checkpoint to resume.
  const { model, adam, state } = startOrResume<State>(folder, config.optimizer, () =>
    freshModel(config, tokenizer.vocabSize),
  );
  const { steps, rows: batch, microBatch } = config.training;
  await recordLength(context, steps, { optimizer: config.optimizer });
  const first = state?.step ?? 0;
  const cursor = createCursor(rows.batch, state?.cursor ?? config.run.seed);
  const batches = readAhead(cursor, batch, steps - first, (items) =>
    rowBatches(takeRows(rows, items), microBatch ?? batch).map((part) => nextToken.layOut(model, part)),
  );
  const parameters = parameterCount(model.dimensions, 'tokens');
  progress.say(`pretrain  ${parameters} parameters, ${rows.batch} rows of ${rows.seq} tokens; ${corpora.note}`);
  const metrics = openMetrics(folder.file('metrics.arrow'), pretrainMetrics, { resumeFromStep: state?.step });
  const rule = { ...measures, by: config.evaluation.best, patience: config.evaluation.patience };
  const write = async (kept: KeptStep<Scores>, beatsStart: boolean | null): Promise<void> => {
    // In bfloat16: a few megabytes that any tool opens.
    const options = { tokenizer, dtype: 'bfloat16', card: cardOf(config, kept, beatsStart) } as const;
    await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, options));
  };
  const best = keepBest<Scores>('pretrain', rule, { weights: () => trainedHash(model), write }, state?.best);
  const measureHeldOut = async (step: number): Promise<Scores> => {
    const scores = { loss: heldOut.length === 0 ? null : nextTokenLoss(model, heldOut) };
    await best.add(step, scores, step === steps);
    return scores;
  };
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    const saved: State = { step, cursor: batches.state(), best: best.state() };
    await saveTraining(folder.path, config.checkpoints.keepLast, { model, adam }, tokenizer, saved);
  };

  // 3. Minimise the cross-entropy of the next token; the step that is best on held-out documents is kept.
  const bar = progress.phase('pretrain', steps, { unit: 'tokens', start: first });
  let seen = 0;
  let scores = state?.best.last?.measured ?? (await measureHeldOut(0));
  if (state === undefined) await metrics.add({ step: 0, 'loss/held_out': scores.loss });
  for (let step = first + 1; step <= steps && !best.hasStopped(); step++) {
    const pieces = batches.next();
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = await learn(model, adam, nextToken, pieces, {
      learningRate,
      clipNorm: config.optimizer.clipNorm,
      where: `pretrain step ${step}`,
    });
    const speed = update.count / ((performance.now() - began) / 1000);
    seen += update.count;

    const measure = step % config.evaluation.everySteps === 0 || step === steps;
    if (measure) scores = await measureHeldOut(step);
    await metrics.add({
      step,
      'loss/train': update.loss,
      'loss/held_out': measure ? scores.loss : null,
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': update.gradientNorm,
      'speed/tokens_per_second': speed,
      'speed/graphs': graphsMade(),
    });
    bar.update(step, { loss: update.loss.toFixed(3), ...shown(scores) }, seen);
    const last = best.hasStopped() ? step : steps;
    await endStep(context, { step, steps: last, everySteps: config.checkpoints.everySteps }, save);
  }
  const { kept, summary, lines } = best.finish(steps);
  const { loss: heldOutLoss } = kept.measured;
  bar.finish(`step ${kept.step} is kept: held-out loss ${heldOutLoss?.toFixed(3) ?? 'not measured'}`);
  for (const line of lines) progress.say(line);
  disposeModel(model);
  disposeAdamW(adam);
  return { heldOutLoss, ...summary, steps, parameters };
}

function shown({ loss }: Scores): Record<string, string> {
  return loss === null ? {} : { 'held-out': loss.toFixed(3) };
}

/** What the model card tells. */
function cardOf(
  { corpus, heldOut, tokenizer, training, optimizer, evaluation }: PretrainConfig,
  { step, measured: { loss } }: KeptStep<Scores>,
  beatsStart: boolean | null,
): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  const { steps, rows, length } = training;
  return {
    made: 'Pre-training',
    base: corpus,
    data: { corpus, 'held-out documents': heldOut ?? 'a share of the corpus', tokenizer },
    decisions: {
      sequences: { length, padding: 'packed, attention within a document' },
      optimizer: { learningRate, schedule, weightDecay, steps, rows },
    },
    results: {
      ...(loss !== null && { 'loss on held-out documents': loss }),
      ...keptFacts(evaluation.best, { step, beatsStart }),
    },
  };
}

/** A new decoder of the configured sizes. */
function freshModel(config: PretrainConfig, vocab: number): Model {
  const { style, ...sizes } = config.model;
  const dimensions = (style === 'gpt2' ? gpt2Style : llamaStyle)({ vocab, ...sizes });
  return newModel(dimensions, 'tokens', seededRandom(config.run.seed, 'initialization'));
}

await program(import.meta.url, pretrain);
