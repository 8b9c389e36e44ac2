/**
 * Stage 0: a small base model by causal language modelling.
 *
 *   Reads   a corpus (JSONL), a tokenizer folder
 *   Writes  <run.folder>/{config.yaml, metrics.arrow, checkpoints/, model/, manifest.json}
 *   Run     npx tsx stages/0-pretrain.ts configs/pretrain/base.yaml
 *   After   Radford et al. 2019 (GPT-2); Touvron et al. 2023 (arXiv:2302.13971)
 */
import { listCheckpoints, saveCheckpoint } from '../src/checkpoint/checkpoint-list.ts';
import { loadModelFolder, writeModelFolder } from '../src/checkpoint/model-folder.ts';
import { readOptimizer, readState, writeOptimizer, writeState } from '../src/checkpoint/training-state.ts';
import { encodeDocument, readCorpus } from '../src/data/corpus.ts';
import type { CursorState } from '../src/data/cursor.ts';
import { createCursor } from '../src/data/cursor.ts';
import type { PackedRows } from '../src/data/packing.ts';
import { packSequences, takeRows } from '../src/data/packing.ts';
import { atomicFolder } from '../src/files/atomic-write.ts';
import { gpt2Style, llamaStyle, parameterCount } from '../src/model/dimensions.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, newModel } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { endStep } from '../src/run/end-step.ts';
import { openMetrics } from '../src/run/metrics.ts';
import { program } from '../src/run/program.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { nextTokenLoss, nextTokenUpdate } from '../src/steps/language-model.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import type { AdamW } from '../src/training/adamw.ts';
import { createAdamW, disposeAdamW } from '../src/training/adamw.ts';
import { learningRateAt } from '../src/training/schedule.ts';
import { PretrainConfig } from './0-pretrain.config.ts';

/** Every metric this stage writes. */
export const pretrainMetrics = {
  'loss/train': 'Cross-entropy of the batch: mean over tokens of −log p(token), in nats.',
  'loss/held_out': 'The same over the held-out documents.',
  'optimizer/learning_rate': 'Learning rate of the update.',
  'optimizer/gradient_norm': 'Global norm of the gradient before clipping.',
  'speed/tokens_per_second': 'Learned tokens a second, of the update alone.',
} as const;

interface State {
  readonly step: number;
  readonly cursor: CursorState;
}

export const pretrain: Stage<PretrainConfig> = { name: 'pretrain', schema: PretrainConfig, run };

async function run(config: PretrainConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const tokenizer = loadTokenizer(config.tokenizer);
  for (const role of ['corpus', 'heldOut', 'tokenizer'] as const) await folder.recordInput(role, config[role]);

  // 1. Documents as packed rows; attention never crosses from one document into another.
  const rows = packCorpus(config.corpus, config.training.length, tokenizer);
  const heldOut = batchesOf(packCorpus(config.heldOut, config.training.length, tokenizer), config.training.rows);

  // 2. A new model, or the one of the checkpoint to resume.
  const start = startOrResume(config, context, tokenizer, rows.rows);
  const { model, adam, cursor } = start;
  progress.say(
    `pretrain  ${parameterCount(model.dimensions, 'tokens')} parameters, ${rows.rows} rows of ${rows.length} tokens`,
  );
  const metrics = openMetrics(folder.file('metrics.arrow'), pretrainMetrics, { resumeFromStep: start.step });
  const save = async (step: number): Promise<void> => {
    await metrics.flush();
    await saveCheckpoint(folder.path, step, config.checkpoints.keepLast, (path) => {
      writeModelFolder(path, model, { tokenizer });
      writeOptimizer(`${path}/optimizer.safetensors`, model.parameters.layout, adam);
      writeState(path, { step, cursor: cursor.state() } satisfies State);
    });
  };

  // 3. Minimise the cross-entropy of the next token.
  const { steps, accumulate } = config.training;
  const bar = progress.phase('pretrain', steps, { unit: 'tokens', start: start.step });
  let seen = 0;
  let heldOutLoss = Number.NaN;
  for (let step = start.step + 1; step <= steps; step++) {
    const indices = cursor.next(config.training.rows);
    const size = indices.length / accumulate;
    const microBatches = Array.from({ length: accumulate }, (_, i) =>
      takeRows(rows, indices.slice(i * size, (i + 1) * size)),
    );
    const learningRate = learningRateAt(config.optimizer, step - 1, steps);
    const began = performance.now();
    const update = nextTokenUpdate(model, adam, microBatches, tokenizer.padId, {
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
    });
    bar.update(step, { loss: update.loss.toFixed(3), 'held-out': heldOutLoss.toFixed(3) }, seen);
    await endStep(context, { step, steps, everySteps: config.checkpoints.everySteps }, save);
  }
  bar.finish(`held-out loss ${heldOutLoss.toFixed(3)} nats a token`);

  // 4. The result, in bfloat16: a few megabytes that any tool opens.
  await atomicFolder(folder.file('model'), (path) => writeModelFolder(path, model, { tokenizer, dtype: 'bfloat16' }));
  await folder.recordOutput('model', 'model');
  disposeModel(model);
  disposeAdamW(adam);
  return { heldOutLoss, tokens: seen };
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

function startOrResume(
  config: PretrainConfig,
  context: RunContext,
  tokenizer: Tokenizer,
  rowCount: number,
): { model: Model; adam: AdamW; cursor: ReturnType<typeof createCursor>; step: number } {
  const last = context.folder.resumed ? listCheckpoints(context.folder.path).at(-1) : undefined;
  if (last !== undefined) {
    const state = readState<State>(last.path);
    const { model } = loadModelFolder(last.path);
    const adam = readOptimizer(
      `${last.path}/optimizer.safetensors`,
      model.parameters.layout,
      config.optimizer,
      state.step,
    );
    return { model, adam, cursor: createCursor(rowCount, state.cursor), step: state.step };
  }
  const { style, ...sizes } = config.model;
  const dimensions = (style === 'gpt2' ? gpt2Style : llamaStyle)({ vocab: tokenizer.vocabSize, ...sizes });
  const model = newModel(dimensions, 'tokens', seededRandom(config.run.seed, 'initialization'));
  const adam = createAdamW(model.parameters.layout, config.optimizer);
  return { model, adam, cursor: createCursor(rowCount, config.run.seed), step: 0 };
}

await program(import.meta.url, pretrain, 'Trains a small base model on a corpus by next-token prediction.');
