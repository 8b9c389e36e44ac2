/** What the training loop does at the end of a step: save when due, and stop cleanly when asked. */
import { breathe, Interrupted } from '../terminal/interrupts.ts';

/**
 * Saves every `everySteps` steps, at the last step, and when Ctrl-C was pressed.
 * @throws Interrupted after saving, when Ctrl-C was pressed
 */
export async function endStep(
  context: { interrupted(): boolean },
  at: { readonly step: number; readonly steps: number; readonly everySteps: number },
  save: (step: number) => Promise<void>,
): Promise<void> {
  await breathe();
  const stop = context.interrupted();
  if (stop || at.step % at.everySteps === 0 || at.step === at.steps) await save(at.step);
  if (stop) throw new Interrupted(at.step);
}
