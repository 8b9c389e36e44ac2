/** What stages that tune language models measure on validation rows, and the answers they write down. */

import type { ValidationResult } from '../evaluation/validation.ts';
import { messagesText } from '../message.ts';
import type { RunFolder } from '../run/run-folder.ts';
import { openSamples, sampleColumns } from '../run/samples.ts';
import { bool, utf8 } from '../tables/columns.ts';

/** One measurement; null for what there is nothing to measure on. */
export type Scores = Omit<ValidationResult, 'answers'>;

/** What is measured, in words and in metrics.arrow. */
export const validationMeasures = {
  loss: { name: 'validation loss', better: 'lower', metric: 'loss/validation', bar: 'validation' },
  accuracy: { name: 'validation accuracy', better: 'higher', metric: 'accuracy/validation', bar: 'accuracy' },
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
  /** Measures the model, and notes its answers in samples.arrow. */
  measure(step: number): Promise<Scores>;
  /** Writes samples.arrow. */
  flush(): Promise<void>;
}

/** @param resumeFromStep the step of the checkpoint the run goes on from */
export function openValidationLog(
  folder: Pick<RunFolder, 'file'>,
  resumeFromStep: number | undefined,
  measure: () => Promise<ValidationResult>,
): ValidationLog {
  const samples = openSamples(folder.file(validationSamples.path), validationColumns, { resumeFromStep });
  return {
    flush: samples.flush,
    measure: async (step) => {
      const { answers, ...scores } = await measure();
      for (const { item, prediction, correct } of answers) {
        const { task, template, messages, answer: target } = item;
        await samples.add({ step, task, template, prompt: messagesText(messages), target, prediction, correct });
      }
      return scores;
    },
  };
}
