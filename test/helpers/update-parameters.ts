/** Updates by losses that are closures of the weights, run op by op. */
import type { AdamW } from '../../src/execution/adamw.ts';
import { eagerPhases } from '../../src/execution/eager-phases.ts';
import type { LossTerms } from '../../src/execution/objective.ts';
import type { LearnSettings, SumOfLoss } from '../../src/execution/phases.ts';
import type { Model } from '../../src/model/model.ts';
import type { Tensors } from '../../src/tensor/host-arrays.ts';
import { number } from '../../src/tensor/host-arrays.ts';
import type { Parameters } from '../../src/tensor/parameters.ts';
import type { Weights } from '../../src/tensor/weights.ts';

/** One update from micro-batches, each a loss. What `learn` makes of finite numbers on lanes without graphs. */
export function updateParameters<Name extends string>(
  parameters: Parameters,
  adam: AdamW,
  losses: readonly ((weights: Weights) => LossTerms<Name>)[],
  settings: LearnSettings,
) {
  const terms = (_: Model, weights: Weights, { part }: Tensors) => losses[part!.dataSync()[0]!]!(weights);
  const loss = { key: 'closures', unit: 'closures', terms };
  const parts = losses.map((_, index) => ({ part: number(index) }));
  const phases = eagerPhases({
    model: { parameters } as Model,
    adam,
    losses: [{ loss, parts, coefficient: 1 }],
    settings,
  });
  const [sum] = phases.gradients() as [SumOfLoss<Name>];
  return { ...sum, gradientNorm: phases.apply(sum.loss).sum };
}
