/** A tiny language model over bytes, and one that was trained to answer two questions. */

import { packSequences } from '../../src/batch/packing.ts';
import { encodeExample } from '../../src/examples/instruction.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import { learn } from '../../src/execution/learn.ts';
import type { HeadKind } from '../../src/model/dimensions.ts';
import { llamaStyle } from '../../src/model/dimensions.ts';
import type { Model } from '../../src/model/model.ts';
import { modelFrom, newModel } from '../../src/model/model.ts';
import { nextToken } from '../../src/objectives/next-token.ts';
import { seededRandom } from '../../src/random.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { talk } from '../helpers/messages.ts';
import { tinyValues } from '../model/tiny-model.ts';

const dimensions = llamaStyle({ vocab: 259, context: 64, layers: 2, heads: 2, dModel: 32 });

/** Random weights. */
export function byteModel(head: HeadKind = 'tokens', seed = 1): Model {
  return modelFrom(dimensions, head, tinyValues(dimensions, head, seed));
}

/** Has learned the given answers by heart. */
export async function trainedByteModel(
  tokenizer: Tokenizer,
  rows: readonly { prompt: string; target: string }[],
): Promise<Model> {
  const model = newModel(dimensions, 'tokens', seededRandom(1));
  const adam = createAdamW(model.parameters.layout, {
    ...{ beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0 },
  });
  const fit = { maxLength: 64, overlong: 'error', where: 'test' } as const;
  const packed = packSequences(
    rows.map(({ prompt, target }) => encodeExample({ messages: talk(prompt, target) }, tokenizer, fit)!),
    64,
    tokenizer.padId,
  );
  const batch = [nextToken.layOut(model, packed)];
  for (let step = 0; step < 60; step++) {
    const options = { learningRate: 0.01, clipNorm: 1, where: `step ${step}` };
    await learn(model, adam, nextToken, batch, options);
  }
  disposeAdamW(adam);
  return model;
}
