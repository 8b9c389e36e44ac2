/** Updates in tests: lay out and learn in one call. */
import type { AdamW } from '../../src/execution/adamw.ts';
import type { Learned } from '../../src/execution/learn.ts';
import { learn } from '../../src/execution/learn.ts';
import type { Objective } from '../../src/execution/objective.ts';
import type { LearnSettings } from '../../src/execution/phases.ts';
import type { Model } from '../../src/model/model.ts';

/** One update of a model on micro-batches. */
export async function learnFrom<Batch, Name extends string>(
  model: Model,
  adam: AdamW,
  objective: Objective<Batch, Name>,
  batches: readonly Batch[],
  settings: LearnSettings,
): Promise<Learned<Name>> {
  const parts = batches.map((batch) => objective.layOut(model, batch));
  return learn(model, adam, objective, parts, settings);
}
