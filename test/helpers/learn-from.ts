/** Updates in tests: lay out and learn in one call. */
import type { AdamW, AdamWOptions } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Learned } from '../../src/execution/learn.ts';
import { learn } from '../../src/execution/learn.ts';
import type { Objective } from '../../src/execution/objective.ts';
import type { LearnSettings } from '../../src/execution/phases.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';

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

/** What one update of a new model does, to compare it with the same in other pieces; the model is freed. */
export async function oneUpdate<Batch>(
  model: Model,
  adamOptions: AdamWOptions,
  objective: Objective<Batch, 'accuracy' | 'margin'>,
  batches: readonly Batch[],
  settings: LearnSettings,
) {
  const adam = createAdamW(model.parameters.layout, adamOptions);
  const { loss, stats, gradientNorm } = await learnFrom(model, adam, objective, batches, settings);
  const moved = [...adam.first.read()];
  disposeAdamW(adam);
  disposeModel(model);
  return { numbers: [loss, gradientNorm, stats.accuracy, stats.margin], moved };
}
