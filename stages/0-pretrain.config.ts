/** Configuration of stage 0: causal language modelling of a small base model. */
import { z } from 'zod';
import { bestKey, checkPatience, everyStepsKey, patienceKey, shareKey } from '../src/run/evaluation-section.ts';
import { Checkpoints, filePath, Optimizer, Run, Runtime, withDefaults } from '../src/run/sections.ts';
import { checkMicroBatch, microBatchKey } from '../src/run/training-section.ts';

/** Sizes of a new decoder. */
const NewModel = z.strictObject({
  style: z
    .enum(['gpt2', 'llama'])
    .default('llama')
    .describe('gpt2: LayerNorm, learned positions, GELU, biases. llama: RMSNorm, rotary, SwiGLU.'),
  layers: z.int().positive().default(4).describe('Decoder layers.'),
  heads: z.int().positive().default(4).describe('Query heads.'),
  kvHeads: z.int().positive().default(2).describe('Key/value heads; divides heads. gpt2 has as many as heads.'),
  dModel: z.int().positive().default(128).describe('Width of the residual stream.'),
  dFf: z.int().positive().default(344).describe('Width of the feed-forward layer.'),
  context: z.int().positive().default(256).describe('Longest sequence.'),
  initialization: z
    .enum(['normal', 'mimetic'])
    .default('normal')
    .describe(
      'normal: as GPT-2. mimetic: attention begins as a lookup, so that reading from the context is learned sooner (arXiv:2305.09828).',
    ),
  tiedHead: z.boolean().default(true).describe('Share the token head with the embedding.'),
});

export const PretrainConfig = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    corpus: filePath('JSONL with id, kind, text: the documents to learn.'),
    heldOut: filePath(
      'JSONL of documents that are never trained on; null holds a share of the corpus out (evaluation.share).',
    )
      .nullable()
      .default(null),
    tokenizer: filePath('Folder with tokenizer.json and tokenizer_config.json.'),
    model: NewModel.prefault({}),
    training: z
      .strictObject({
        steps: z.int().positive().default(1500).describe('Updates.').meta({ resume: 'length' }),
        rows: z.int().positive().default(16).describe('Packed rows an update.'),
        length: z.int().positive().default(128).describe('Tokens a row.'),
        microBatch: microBatchKey('Rows', 'all rows of an update'),
      })
      .prefault({}),
    optimizer: withDefaults(Optimizer, {
      learningRate: 3e-3,
      schedule: 'cosine',
      warmupSteps: 100,
      weightDecay: 0.1,
      beta2: 0.95,
      finalRate: 0.1,
    }).prefault({}),
    evaluation: z
      .strictObject({
        everySteps: everyStepsKey(100, 'measurements of the held-out loss'),
        best: bestKey(['loss', 'last'], 'loss'),
        patience: patienceKey,
        share: shareKey('the documents', 'where heldOut is null'),
      })
      .prefault({}),
    checkpoints: Checkpoints.prefault({}),
  })
  .superRefine((config, context) => {
    const { model, training } = config;
    checkPatience(config.evaluation, context);
    const add = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (model.dModel % model.heads !== 0)
      add(['model', 'heads'], `expected a divisor of dModel ${model.dModel}, received ${model.heads}`);
    if (model.heads % model.kvHeads !== 0)
      add(['model', 'kvHeads'], `expected a divisor of heads ${model.heads}, received ${model.kvHeads}`);
    if (model.style === 'gpt2' && model.kvHeads !== model.heads)
      add(['model', 'kvHeads'], `expected ${model.heads}, as gpt2 has no grouped heads, received ${model.kvHeads}`);
    if (training.length > model.context)
      add(['training', 'length'], `expected at most model.context ${model.context}, received ${training.length}`);
    checkMicroBatch(training, context);
  });
export type PretrainConfig = z.infer<typeof PretrainConfig>;
