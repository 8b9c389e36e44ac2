/** What stages that tune language models write of every measurement on validation rows: losses, answers, the model to keep. */

import type { ValidationResult } from '../evaluation/validation.ts';
import { type BestKeeper, type BestState, type KeptStep, keepBest } from '../run/keep-best.ts';
import type { RunFolder } from '../run/run-folder.ts';
import { openSamples, sampleColumns } from '../run/samples.ts';
import { bool, utf8 } from '../tables/columns.ts';

/** One measurement; null for what there is nothing to measure on. */
export type Scores = Omit<ValidationResult, 'answers'>;

const measures = {
  told: 'loss',
  measures: {
    loss: { name: 'validation loss', better: 'lower' },
    accuracy: { name: 'validation accuracy', better: 'higher' },
  },
} as const;

const validationColumns = {
  task: utf8('Dataset of the row.'),
  template: utf8('Template it was rendered with.'),
  prompt: utf8('Rendered prompt.'),
  target: utf8('Right answer.'),
  prediction: utf8('Answer of the model.'),
  correct: bool('Whether they are equal.'),
};

/** What stages declare of samples.arrow. */
export const validationSamples = {
  path: 'samples.arrow',
  holds: 'answers to validation rows at every measurement',
  columns: sampleColumns(validationColumns),
};

/** A run's measurements. */
export interface ValidationLog {
  readonly best: BestKeeper<Scores>;
  /** Writes samples.arrow. */
  flush(): Promise<void>;
  /** Measures the model, notes its answers, and stores it where its step is the one to keep so far. */
  measure(step: number, isLast: boolean): Promise<Scores>;
}

/**
 * @param evaluation what chooses the step to keep, and when to stop early
 * @param model   `weights` is a hash of what is trained as it is now; `write` stores the model as the one to keep
 * @param resumed the state of the checkpoint the run goes on from
 */
export function openValidationLog(
  stage: string,
  folder: Pick<RunFolder, 'file'>,
  evaluation: { readonly best: keyof Scores | 'last'; readonly patience: number | null },
  model: {
    measure(): ValidationResult;
    weights(): string;
    write(kept: KeptStep<Scores>, beatsStart: boolean | null): Promise<void>;
  },
  resumed: { readonly step: number; readonly best: BestState<Scores> } | undefined,
): ValidationLog {
  const samples = openSamples(folder.file(validationSamples.path), validationColumns, {
    resumeFromStep: resumed?.step,
  });
  const rule = { ...measures, by: evaluation.best, patience: evaluation.patience };
  const best = keepBest<Scores>(stage, rule, model, resumed?.best);
  return {
    best,
    flush: () => samples.flush(),
    measure: async (step, isLast) => {
      const { answers, ...scores } = model.measure();
      for (const { item, prediction, correct } of answers) {
        const { task, template, prompt, answer: target } = item;
        await samples.add({ step, task, template, prompt, target, prediction, correct });
      }
      await best.add(step, scores, isLast);
      return scores;
    },
  };
}

/** A measurement in metrics.arrow. */
export function validationMetrics({ loss, accuracy }: Scores) {
  return { 'loss/validation': loss, 'accuracy/validation': accuracy };
}

/** What there is of a measurement, for a bar. */
export function shownScores({ loss, accuracy }: Scores): Record<string, string> {
  return {
    ...(loss !== null && { validation: loss.toFixed(3) }),
    ...(accuracy !== null && { accuracy: accuracy.toFixed(3) }),
  };
}

/** "validation loss 0.4123, accuracy 0.750". */
export function describeScores({ loss, accuracy }: Scores): string {
  return `validation loss ${loss?.toFixed(4) ?? 'not measured'}, accuracy ${accuracy?.toFixed(3) ?? 'not measured'}`;
}
