/** Content of the model cards of the stages that train. */

import type { CardFacts } from './model-card.ts';
import type { TuningSettings } from './training-plan.ts';

/** What every training stage sets of its optimizer. */
interface OptimizerSettings {
  readonly learningRate: number;
  readonly schedule: string;
  readonly weightDecay: number;
}

/** A step that was kept, with what it measured on validation rows. */
interface KeptMeasures {
  readonly step: number;
  readonly loss: number | null;
  readonly accuracy: number | null;
  /** Null where there is nothing to compare with. */
  readonly beatsStart: boolean | null;
}

/** The settings of pre-training that decide how a model behaves. */
export interface PretrainSettings {
  readonly corpus: string;
  readonly heldOut: string | null;
  readonly tokenizer: string;
  readonly training: { readonly steps: number; readonly rows: number; readonly length: number };
  readonly optimizer: OptimizerSettings;
  readonly evaluation: { readonly best: string };
}

/** The card of a pre-trained model. */
export function pretrainCard(
  { corpus, heldOut, tokenizer, training: { steps, rows, length }, optimizer, evaluation }: PretrainSettings,
  kept: { readonly loss: number | null; readonly step: number; readonly beatsStart: boolean | null },
): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  return {
    made: 'Pre-training',
    base: corpus,
    data: { corpus, 'held-out documents': heldOut ?? 'a share of the corpus', tokenizer },
    decisions: {
      sequences: { length, padding: 'packed, attention within a document' },
      optimizer: { learningRate, schedule, weightDecay, steps, rows },
    },
    results: {
      ...(kept.loss !== null && { 'loss on held-out documents': kept.loss }),
      ...keptFacts(evaluation.best, kept),
    },
  };
}

/** The settings of instruction tuning that decide how a model behaves. */
export interface InstructSettings {
  readonly model: string;
  readonly data: {
    readonly tables?: string | undefined;
    readonly templates?: string | undefined;
    readonly file?: unknown;
  };
  readonly mixture: { readonly examples: number; readonly templateChoice: string } & (
    | { readonly rule: 'proportional'; readonly cap: number }
    | { readonly rule: 'weights' }
  );
  readonly sequence: { readonly length: number; readonly buckets: readonly number[] | null; readonly overlong: string };
  readonly training: { readonly epochs: number; readonly rows: number };
  readonly optimizer: OptimizerSettings;
  readonly tuning: TuningSettings;
  readonly evaluation: { readonly best: string };
}

/** The card of an instruction-tuned model. */
export function instructCard(
  { model, data, mixture, sequence, training, optimizer, tuning, evaluation }: InstructSettings,
  kept: KeptMeasures,
): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  return {
    made: 'Instruction tuning',
    base: model,
    data: {
      ...(data.file !== undefined && { file: typeof data.file === 'string' ? data.file : JSON.stringify(data.file) }),
      ...(data.tables !== undefined && { rows: data.tables, templates: data.templates ?? '' }),
    },
    decisions: {
      'loss on': 'targets and their EOS, never prompts',
      ...(data.file !== undefined && { 'rows of files': 'each once an epoch, or as often as its weight says' }),
      ...(data.tables !== undefined && {
        mixture: {
          rule: mixture.rule,
          examples: mixture.examples,
          ...(mixture.rule === 'proportional' && { cap: mixture.cap }),
          templates: mixture.templateChoice,
        },
      }),
      sequences: {
        length: sequence.length,
        padding: sequence.buckets === null ? 'packed' : 'bucketed',
        overlong: sequence.overlong,
      },
      optimizer: { learningRate, schedule, weightDecay, epochs: training.epochs, rows: training.rows },
      tuning: tuningFacts(tuning),
    },
    results: validationFacts(evaluation.best, kept),
  };
}

/** The settings of distillation that decide how a student behaves. */
export interface DistillSettings {
  readonly teacher: string;
  readonly student: { readonly checkpoint: string | null } & Readonly<Record<string, unknown>>;
  readonly distill: unknown;
  readonly data: { readonly examples: string; readonly tables: string; readonly templates: string };
  readonly sequence: { readonly length: number };
  readonly training: { readonly epochs: number; readonly rows: number };
  readonly optimizer: OptimizerSettings;
  readonly evaluation: { readonly best: string };
}

/** The card of a student. */
export function distillCard(
  { teacher, student, distill, data, sequence, training, optimizer, evaluation }: DistillSettings,
  kept: KeptMeasures,
): CardFacts {
  const { learningRate, schedule, weightDecay } = optimizer;
  const { checkpoint, ...sizes } = student;
  return {
    made: 'Distillation',
    base: checkpoint ?? teacher,
    data: { teacher, examples: data.examples, 'validation rows': data.tables, templates: data.templates },
    decisions: {
      student: checkpoint ?? sizes,
      loss: distill,
      sequences: { length: sequence.length, padding: 'packed' },
      optimizer: { learningRate, schedule, weightDecay, epochs: training.epochs, rows: training.rows },
    },
    results: validationFacts(evaluation.best, kept),
  };
}

/** What validation says of the step that was kept. */
function validationFacts(by: string, kept: KeptMeasures): Readonly<Record<string, unknown>> {
  return {
    ...(kept.loss !== null && { 'loss on validation rows': kept.loss }),
    ...(kept.accuracy !== null && { 'accuracy on validation rows': kept.accuracy }),
    ...keptFacts(by, kept),
  };
}

/** Facts of a card about the step that was kept. */
function keptFacts(
  by: string,
  { step, beatsStart }: { readonly step: number; readonly beatsStart: boolean | null },
): Readonly<Record<string, unknown>> {
  return {
    step,
    'kept as': by === 'last' ? 'the last step' : `the best by ${by}`,
    ...(beatsStart !== null && { 'better than before training': beatsStart ? 'yes' : 'no' }),
  };
}

/** The settings of learning from pairs that decide what a model becomes. */
export interface PairCardSettings {
  readonly model: string;
  readonly pairs: string;
  readonly heldOut: string | null;
  readonly training: { readonly epochs: number; readonly pairs: number };
  readonly optimizer: OptimizerSettings;
  readonly tuning: TuningSettings;
  readonly evaluation: { readonly best: string };
}

/**
 * The card of a model that learned from pairs.
 * @param made what it is, and the decisions of its stage alone
 * @param quality what was measured on held-out pairs
 */
export function pairsCard(
  { made, decisions }: Pick<CardFacts, 'made' | 'decisions'>,
  { model, pairs, heldOut, training, optimizer, tuning, evaluation }: PairCardSettings,
  quality: Readonly<Record<string, number | null>>,
  kept: { readonly step: number; readonly beatsStart: boolean | null },
): CardFacts {
  const { learningRate, schedule } = optimizer;
  return {
    made,
    base: model,
    data: { pairs, 'held-out pairs': heldOut ?? 'a share of the pairs' },
    decisions: {
      ...decisions,
      optimizer: { learningRate, schedule, epochs: training.epochs, pairs: training.pairs },
      tuning: tuningFacts(tuning),
    },
    results: { ...quality, ...keptFacts(evaluation.best, kept) },
  };
}

/** The settings of PPO that decide how a policy behaves. */
export interface PpoSettings {
  readonly policy: string;
  readonly reward: string;
  readonly prompts: {
    readonly file?: string | undefined;
    readonly tables?: string | undefined;
    readonly split: string;
  };
  readonly sampling: object;
  readonly rollout: object;
  readonly kl: object;
  readonly gae: object;
  readonly updates: object;
  readonly pretrainingMix?: object | undefined;
  readonly optimizer: { readonly learningRate: number };
  readonly valueOptimizer: { readonly learningRate: number };
  readonly evaluation: { readonly best: string };
}

/** A step that was kept, with what the answers to held-out prompts measured. */
interface KeptAnswers {
  readonly step: number;
  readonly gold: number | null;
  readonly reward: number;
  readonly kl: number;
  readonly objective: number;
  readonly beatsStart: boolean | null;
}

/** The card of a policy: what InstructGPT's and its followers' details are set to (arXiv:2403.17031). */
export function ppoCard(settings: PpoSettings, kept: KeptAnswers): CardFacts {
  const { policy, reward, prompts, sampling, rollout, kl, gae, updates, optimizer, valueOptimizer } = settings;
  const rates = { policy: optimizer.learningRate, critic: valueOptimizer.learningRate };
  const decisions = {
    'reward model': reward,
    sampling,
    rollout,
    'KL penalty': kl,
    advantages: gae,
    updates,
    ...(settings.pretrainingMix !== undefined && { 'pre-training mix': settings.pretrainingMix }),
    'learning rates': rates,
  };
  return {
    made: 'PPO against a reward model',
    base: policy,
    data: { prompts: `${prompts.file ?? prompts.tables}, split ${prompts.split}` },
    decisions,
    results: {
      gold: kept.gold,
      reward: kept.reward,
      'KL a response': kept.kl,
      'reward − β · KL': kept.objective,
      ...keptFacts(settings.evaluation.best, kept),
    },
  };
}

function tuningFacts(tuning: TuningSettings): unknown {
  return tuning.method === 'lora' ? tuning.lora : { method: 'full', freeze: tuning.freeze };
}
