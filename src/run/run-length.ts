/** The length of a run, once it is known. */

import type { Schedule } from '../execution/schedule.ts';
import { shortenedWarmups } from '../execution/schedule.ts';
import type { RunContext } from './stage.ts';

/** The updates of so many passes over the data, at least one. */
export function stepsOfEpochs(
  { epochs }: { readonly epochs: number },
  { units, perUpdate }: { readonly units: number; readonly perUpdate: number },
): number {
  return Math.max(1, Math.round((epochs * units) / perUpdate));
}

/**
 * Keeps the number of steps in the manifest, for starts that would make the run longer, and says which warm-ups do not fit it.
 * @param schedules by section of the configuration
 * @returns the steps
 */
export async function recordLength(
  { folder, progress }: Pick<RunContext, 'folder' | 'progress'>,
  steps: number,
  schedules: Readonly<Record<string, Schedule>>,
): Promise<number> {
  for (const line of shortenedWarmups(schedules, steps)) progress.say(line);
  await folder.recordSteps(steps);
  return steps;
}
