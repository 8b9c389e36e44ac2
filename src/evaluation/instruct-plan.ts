/** What stage 1 draws and what it measures: the plan of the mixture with the validation rows that belong to it. */
import type { FileTask } from '../examples/file-tasks.ts';
import { type InstructPlan, type InstructSource, planInstruct } from '../examples/instruct-dataset.ts';
import type { OverlongPolicy } from '../examples/instruction.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { describeValidation, requireMeasure, type ValidationSet, validationSet } from './validation.ts';

/** What of a configuration decides it. */
export interface InstructRows extends InstructSource {
  readonly run: { readonly seed: number };
  readonly sequence: { readonly length: number; readonly overlong: OverlongPolicy };
  readonly training: { readonly rows: number; readonly microBatch: number | null };
  readonly evaluation: {
    readonly rowsPerTask: number;
    readonly share: number;
    readonly best: 'loss' | 'accuracy' | 'last';
  };
}

/**
 * @param files   rows of one's own, beside the tasks of the configuration or alone
 * @param context the model's
 * @returns with lines on what of the rows is not read, what was held out and what is measured
 * @throws DataError as `planInstruct`; ConfigError where the measure that is to choose cannot be had
 */
export function planWithValidation(
  config: InstructRows,
  files: readonly FileTask[],
  tokenizer: Tokenizer,
  context: number,
): { plan: InstructPlan; set: ValidationSet; lines: string[] } {
  const { data, evaluation, sequence, run, mixture, training } = config;
  const plan = planInstruct(config, { share: evaluation.share, seed: run.seed }, files);
  const set = validationSet(plan.trained, tokenizer, {
    rowsPerTask: evaluation.rowsPerTask,
    seed: run.seed,
    context,
    length: sequence.length,
    overlong: sequence.overlong,
    learn: data.learn,
    kinds: [...Object.values(mixture.parts).flatMap(({ kinds }) => kinds), 'conversation', 'text'],
    batch: training.microBatch ?? training.rows,
  });
  const { notes } = plan.validation;
  const path = [...files.map(({ task }) => task.path), ...(data.tables === undefined ? [] : [data.tables])].join(', ');
  requireMeasure(evaluation.best, set, { path, notes });
  return { plan, set, lines: [...notes, describeValidation(set), ...set.notes] };
}
