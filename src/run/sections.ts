/**
 * Schema sections that several stages share; the only home of their defaults.
 *
 * A key with `.meta({ resume: 'free' })` may be changed by a resumed run, since it changes no result, or no more than a lane
 * does; `resume: 'split'` are micro-batches; one with `resume: 'length'` may grow where the schedule of the rates allows
 * it (resume-settings.ts). A key with `readWhen: '.schedule=linear|cosine'` is refused where it is set and that does not
 * hold (unread-keys.ts). Where one key decides which others there are, the section is a discriminated union.
 */

import { z } from 'zod';
import { expandHome, isOtherHome } from '../files/home-path.ts';

/** The name of a file or folder; `~/` is the home folder. A resumed run may change it, as contents are compared by hash. */
export function filePath(description: string) {
  return z
    .string()
    .min(1)
    .refine((path) => !isOtherHome(path), 'expected ~/ for your home folder, or ./~name for a name that begins with ~')
    .overwrite(expandHome)
    .meta({ description, format: 'path' });
}

/**
 * A section with other defaults for some keys: `withDefaults(Optimizer, { learningRate: 1e-5 }).prefault({})`.
 * `.prefault({ learningRate: 1e-5 })` is not the same: zod drops it as soon as a file sets any key of the section.
 */
export function withDefaults<Shape extends z.ZodRawShape>(
  section: z.ZodObject<Shape, z.core.$strict>,
  defaults: Partial<z.output<z.ZodObject<Shape>>>,
): z.ZodObject<Shape, z.core.$strict> {
  const shape: Record<string, z.core.$ZodType> = { ...section.shape };
  for (const [key, value] of Object.entries(defaults)) {
    // The keys are those of the section by their type, and a second default replaces the first.
    shape[key] = (shape[key] as z.ZodType).default(value);
  }
  return z.strictObject(shape) as unknown as z.ZodObject<Shape, z.core.$strict>;
}

/** Where a run is written and what seeds it. */
export const Run = z.strictObject({
  folder: filePath('Folder this stage writes: config.yaml, metrics.arrow, samples.arrow, checkpoints, manifest.json.'),
  seed: z.int().default(1).describe('Seeds initialization, data order and sampling.'),
});
export type Run = z.infer<typeof Run>;

/** Which tensor lane runs the program, and what happens where an invariant fails. */
export const Runtime = z.strictObject({
  backend: z
    .enum(['auto', 'tensorflow', 'wasm', 'webgpu', 'cpu'])
    .default('auto')
    .describe('Tensor lane; auto takes the best that works and says why.')
    .meta({ resume: 'free' }),
  device: z
    .enum(['auto', 'gpu', 'cpu'])
    .default('auto')
    .describe('gpu fails where there is none; it never falls back to the CPU in silence.')
    .meta({ resume: 'free' }),
  compile: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      'Steps as TensorFlow graphs, on the tensorflow lane: on fails where that is not possible, auto then runs eagerly.',
    )
    .meta({ resume: 'free' }),
  precision: z
    .enum(['f32', 'tf32', 'bf16'])
    .default('f32')
    .describe(
      'What matrices are multiplied in; weights, norms, softmax and losses stay float32. tf32: TensorFloat-32 on NVIDIA GPUs (Ampere and newer), the same as f32 on CPUs. bf16: in compiled steps; f32 on CPUs without bfloat16 products (AVX512-BF16, AMX), which is said.',
    )
    .meta({ resume: 'free' }),
  native: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      'Our own fused ops, compiled for this processor, which only the tensorflow lane has, on a CPU: auto uses them where they can be built, on fails elsewhere.',
    )
    .meta({ resume: 'free' }),
  xla: z
    .boolean()
    .default(false)
    .describe(
      'XLA compiles each compiled step into few kernels, on a GPU: seconds for every new shape, and a multiple of the speed from then on. Said, and not used, elsewhere.',
    )
    .meta({ resume: 'free' }),
  checks: z
    .enum(['strict', 'warn', 'off'])
    .default('strict')
    .describe('Run-time invariants: strict stops the run, warn prints, off skips them.')
    .meta({ resume: 'free' }),
});
export type Runtime = z.infer<typeof Runtime>;

/** AdamW and its schedule. */
export const Optimizer = z.strictObject({
  learningRate: z.number().positive().default(3e-4).describe('Peak learning rate.'),
  schedule: z.enum(['constant', 'linear', 'cosine']).default('linear').describe('Decay after warm-up.'),
  warmupSteps: z
    .int()
    .nonnegative()
    .default(0)
    .describe(
      'Steps over which the rate rises linearly to its peak; a tenth of the run, and said, where the run is no longer.',
    ),
  finalRate: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('What the rate falls towards, as a fraction of the peak; it would get there one step after the last.')
    .meta({ readWhen: '.schedule=linear|cosine' }),
  weightDecay: z.number().nonnegative().default(0).describe('Decoupled decay; matrices only.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe('Decay of the mean of gradients.'),
  beta2: z.number().min(0).lt(1).default(0.999).describe('Decay of the mean of squared gradients.'),
  epsilon: z.number().positive().default(1e-8).describe('Added to the denominator of the update.'),
  epsilonStyle: z
    .enum(['pytorch', 'tensorflow'])
    .default('pytorch')
    .describe('Where epsilon enters: pytorch adds it after bias correction, tensorflow before.'),
  clipNorm: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe('Largest global norm of the gradient; null for no clipping.'),
});
export type Optimizer = z.infer<typeof Optimizer>;

const rates = {
  layerDecay: z.number().positive().max(1).default(1).describe('Each layer learns this much slower than the next.'),
  head: z.number().nonnegative().default(1).describe('Factor of the rate for the head, where it has its own matrix.'),
};

const tuningMethod =
  'full trains the model’s own parameters; lora trains low-rank changes to frozen ones (arXiv:2106.09685).';

const FullTuning = z.strictObject({
  method: z.literal('full').default('full').describe(tuningMethod),
  freeze: z
    .strictObject({
      embeddings: z.boolean().default(false).describe('Token and position tables stay as they are.'),
      layers: z.int().nonnegative().default(0).describe('First layers that stay as they are.'),
    })
    .prefault({}),
  rates: z
    .strictObject({
      ...rates,
      embeddings: z.number().nonnegative().default(1).describe('Factor of the rate for token and position tables.'),
    })
    .prefault({}),
});

const LoraTuning = z.strictObject({
  method: z.literal('lora').describe(tuningMethod),
  lora: z
    .strictObject({
      rank: z.int().positive().default(8).describe('Rank of each change.'),
      alpha: z.number().positive().default(16).describe('α: a change counts α / rank.'),
      dropout: z.number().min(0).lt(1).default(0).describe('Share of a change’s inputs dropped in training.'),
      targets: z
        .array(z.string())
        .min(1)
        .default(['all-linear'])
        .describe('Linear layers by their names in Hugging Face files (q_proj, c_attn, …), or all-linear.'),
      rankStabilized: z.boolean().default(false).describe('α / √rank instead (rsLoRA, arXiv:2312.03732).'),
    })
    .prefault({}),
  rates: z.strictObject(rates).prefault({}),
});

/** Which parameters learn, and how fast. */
export const Tuning = z.discriminatedUnion('method', [FullTuning, LoraTuning]);
export type Tuning = z.infer<typeof Tuning>;

/** How memory is spent. */
export const Memory = z.strictObject({
  recompute: z
    .boolean()
    .default(false)
    .describe('Gradient checkpointing: keep each layer’s input only, compute the rest again. Slower, far less memory.')
    .meta({ resume: 'free' }),
  frozen: z
    .enum(['float32', 'bfloat16'])
    .default('float32')
    .describe('How matrices that are not trained are kept; bfloat16 halves them, on the tensorflow lane.'),
  limitGb: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe('Stop before loading where the estimate is above this; null for the memory that is free.')
    .meta({ resume: 'free' }),
});
export type Memory = z.infer<typeof Memory>;

/** When checkpoints are saved and how many stay. */
export const Checkpoints = z.strictObject({
  everySteps: z
    .int()
    .positive()
    .default(100)
    .describe('Steps between checkpoints; one is saved at the end in any case.')
    .meta({ resume: 'free' }),
  keepLast: z
    .int()
    .positive()
    .default(2)
    .describe('Latest checkpoints kept; older ones are removed.')
    .meta({ resume: 'free' }),
});
export type Checkpoints = z.infer<typeof Checkpoints>;

/** How responses are drawn. */
export const SamplingSection = z.strictObject({
  temperature: z
    .number()
    .positive()
    .default(0.7)
    .describe('Divides the logits, when sampling and in every log-probability.'),
  topK: z.int().nonnegative().default(0).describe('Only the k most likely tokens; 0 for all.'),
  topP: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('Only the smallest set of tokens whose probability reaches p; 1 for all.'),
  maxNewTokens: z.int().positive().default(48).describe('Longest response, EOS included.'),
  batchSize: z.int().positive().default(64).describe('Prompts decoded side by side.'),
});
