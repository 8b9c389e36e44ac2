/** Which step of a run is kept, and when a run stops early: one rule for all stages. Knows nothing of models and files. */

import { UserError } from '../errors.ts';

/** One measurement: what a stage measures, by name; null where it could not be measured. */
export type Measured = Readonly<Record<string, number | null>>;

/** How steps are compared. */
export interface BestRule<M extends Measured> {
  /** What chooses the step to keep; `last` keeps the last one whatever was measured. */
  readonly by: (keyof M & string) | 'last';
  /** The measure reported where the last step is kept. */
  readonly told: keyof M & string;
  /** The measures in words, "validation loss", and which way is better. */
  readonly measures: Readonly<Record<keyof M & string, { readonly name: string; readonly better: 'lower' | 'higher' }>>;
  /** Measurements in a row without a better one after which the run stops; null for never. */
  readonly patience: number | null;
}

/** A measured step. */
export interface KeptStep<M extends Measured> {
  readonly step: number;
  readonly measured: M;
}

/** What a checkpoint carries, so that a resumed run decides as an uninterrupted one. */
export interface BestState<M extends Measured> {
  /** Hash of the trained weights before the first step. */
  readonly begun: string;
  /** What was measured before the first step, which is never kept. */
  readonly start: M | null;
  readonly last: KeptStep<M> | null;
  readonly kept: KeptStep<M> | null;
  /** Measurements since the last one that was better than all before. */
  readonly waited: number;
}

/** The step a run keeps. */
export interface BestKeeper<M extends Measured> {
  state(): BestState<M>;
  /**
   * Takes a measurement, and sets the weights aside where its step is the one to keep so far. Step 0 is noted and never
   * kept. `isLast` where no step follows.
   */
  add(step: number, measured: M, isLast?: boolean): void;
  /** True where the run has waited long enough for a better step, now or before it was resumed. */
  hasStopped(): boolean;
  /**
   * The step that was kept, and lines to say about it.
   * @throws UserError where no step had other weights than the run began with
   */
  finish(steps: number): { readonly kept: KeptStep<M>; readonly summary: BestSummary; readonly lines: string[] };
}

/** What the manifest tells. */
export interface BestSummary {
  /** What chose the step. */
  readonly keptBy: string;
  readonly bestStep: number;
  /** Whether the kept step measures better than the weights before the first step; null where one was not measured. */
  readonly beatsStart: boolean | null;
  /** The step an early stop was at; null where there was none. */
  readonly stoppedEarly: number | null;
}

/** True where `value` is better than `than`; what is missing is worse than all that is there. */
export function isBetter(value: number | null, than: number | null, better: 'lower' | 'higher'): boolean {
  if (value === null || !Number.isFinite(value)) return false;
  if (than === null || !Number.isFinite(than)) return true;
  return better === 'lower' ? value < than : value > than;
}

/** True where a later step replaces the kept one: better, as good, or neither of them measured. */
export function replaces(value: number | null, kept: number | null, better: 'lower' | 'higher'): boolean {
  return !isBetter(kept, value, better);
}

/**
 * @param stage names the run in what is said
 * @param model `weights` is a hash of what is trained as it is now; `keep` sets it aside as that of the step to keep
 */
export function keepBest<M extends Measured>(
  stage: string,
  rule: BestRule<M>,
  model: { weights(): string; keep(step: number): void },
  resumed?: BestState<M>,
): BestKeeper<M> {
  let state: BestState<M> = resumed ?? { begun: model.weights(), start: null, last: null, kept: null, waited: 0 };
  const compared = rule.by === 'last' ? rule.told : rule.by;
  const { name, better } = rule.measures[compared];
  const comparedOf = (measured: M | undefined | null): number | null => measured?.[compared] ?? null;
  const beatsStart = (measured: M): boolean | null => {
    const [value, start] = [comparedOf(measured), comparedOf(state.start)];
    return value === null || start === null ? null : isBetter(value, start, better);
  };
  const hasStopped = (): boolean => rule.patience !== null && state.waited >= rule.patience;
  const add = (step: number, measured: M, isLast = false): void => {
    const taken = { step, measured };
    if (step === 0) {
      state = { ...state, start: measured, last: taken };
      return;
    }
    const [value, kept] = [comparedOf(measured), comparedOf(state.kept?.measured)];
    const isFirst = state.kept === null;
    const waited = isFirst || isBetter(value, kept, better) ? 0 : state.waited + 1;
    const wins = rule.by === 'last' ? isLast : isFirst || replaces(value, kept, better);
    // Weights that nothing has changed yet are those of step 0, whatever the step is called.
    const isTrained = wins && model.weights() !== state.begun;
    state = { ...state, last: taken, waited, kept: isTrained ? taken : state.kept };
    if (isTrained) model.keep(step);
  };
  const finish = (steps: number) => {
    const { kept, start, last } = state;
    if (kept === null) throw new UserError(untrained(stage, last?.step ?? steps));
    const stoppedEarly = last !== null && last.step < steps ? last.step : null;
    const summary = { keptBy: rule.by, bestStep: kept.step, beatsStart: beatsStart(kept.measured), stoppedEarly };
    const show = (measured: M | null): string => comparedOf(measured)?.toFixed(4) ?? 'not measured';
    const lines: string[] = [];
    if (stoppedEarly !== null) {
      const count = state.waited === 1 ? '1 measurement' : `${state.waited} measurements`;
      const since = `${count} without a better ${name}`;
      lines.push(`${stage}  stopped early after step ${stoppedEarly} of ${steps}: ${since} (evaluation.patience)`);
    }
    if (summary.beatsStart === false) {
      lines.push(
        `${stage}  no better than before training: ${name} ${show(start)} before the first step, ${show(kept.measured)} at step ${kept.step}, which is kept`,
      );
    }
    return { kept, summary, lines };
  };
  return { state: () => state, add, hasStopped, finish };
}

function untrained(stage: string, steps: number): string {
  return (
    `${stage}: after ${steps} steps the trained weights are those the run began with; expected them to change. ` +
    'A learning rate of 0 or next to it (optimizer, tuning.rates), nothing that is trained (tuning.freeze), or gradients that are all 0 ' +
    '(optimizer/gradient_norm in metrics.arrow) do that. Mend it, and start a new run.'
  );
}
