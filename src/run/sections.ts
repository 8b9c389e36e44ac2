/** Schema sections that several stages share; the only home of their defaults. */

import { z } from 'zod';

/** The name of a file or folder. A resumed run may change it, as contents are compared by hash. */
export function filePath(description: string) {
  return z.string().min(1).meta({ description, format: 'path' });
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
    .describe('Tensor lane; auto takes the best that works and says why.'),
  device: z
    .enum(['auto', 'gpu', 'cpu'])
    .default('auto')
    .describe('gpu fails where there is none; it never falls back to the CPU in silence.'),
  checks: z
    .enum(['strict', 'warn', 'off'])
    .default('strict')
    .describe('Run-time invariants: strict stops the run, warn prints, off skips them.'),
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
    .describe('Steps over which the rate rises linearly from 0 to its peak.'),
  finalRate: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('Rate at the last step as a fraction of the peak; a constant schedule ignores it.'),
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

/** When checkpoints are saved and how many stay. */
export const Checkpoints = z.strictObject({
  everySteps: z
    .int()
    .positive()
    .default(100)
    .describe('Steps between checkpoints; one is saved at the end in any case.'),
  keepLast: z.int().positive().default(2).describe('Latest checkpoints kept; older ones are removed.'),
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

/** Where conversation prompts come from. */
export const PromptsSection = z.strictObject({
  seed: filePath('Folder with chat.jsonl and lexicon.json.'),
  templates: filePath('Folder with chat.yaml.'),
  split: z.string().describe('Split of chat.jsonl to take the prompts from.'),
});
