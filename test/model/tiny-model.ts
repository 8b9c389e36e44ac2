/** Decoders of a few thousand parameters whose weights are large enough that every part of them matters. */
import type { HeadKind, ModelDimensions } from '../../src/model/dimensions.ts';
import { gpt2Style, llamaStyle } from '../../src/model/dimensions.ts';
import type { Model } from '../../src/model/model.ts';
import { modelFrom } from '../../src/model/model.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { seededRandom } from '../../src/random.ts';
import { layoutOf } from '../../src/tensor/parameters.ts';

const sizes = { vocab: 32, context: 24, layers: 2, heads: 4, dModel: 16 };

/** Gemma 2: four norms, soft caps low enough to matter, every second layer with a window. */
const gemma2: ModelDimensions = {
  ...llamaStyle({ ...sizes, kvHeads: 2, windows: [4, null] }),
  family: 'gemma2',
  activation: 'geglu',
  scaledEmbedding: true,
  gainFromOne: true,
  postNorm: true,
  attentionScalar: 3,
  attentionSoftCap: 2,
  logitSoftCap: 4,
};

/** Llama with grouped heads and, as "llama-untied", a token head of its own; Gemma 3 with rotary settings by layer. */
export const tinyDimensions = {
  gpt2: gpt2Style(sizes),
  llama: llamaStyle({ ...sizes, kvHeads: 2 }),
  'llama-untied': llamaStyle({ ...sizes, kvHeads: 1, tiedHead: false }),
  gemma2,
  gemma3: {
    ...gemma2,
    family: 'gemma3_text',
    headNorm: true,
    attentionSoftCap: null,
    logitSoftCap: null,
    ropeTheta: 1_000_000,
    ropeScaling: { type: 'linear', factor: 8 },
    windowRope: { theta: 10_000, scaling: null },
  },
} as const satisfies Record<string, ModelDimensions>;

export type TinyStyle = keyof typeof tinyDimensions;
export const tinyStyles = Object.keys(tinyDimensions) as TinyStyle[];

/** Gains near 1, everything else N(0, 0.3²): with the usual 0.02 all next tokens would be about equally likely. */
export function tinyValues(dimensions: ModelDimensions, head: HeadKind, seed = 1): Float32Array {
  const random = seededRandom(seed, 'tiny model');
  const { specs, sizes: lengths, offsets, total } = layoutOf(parameterSpecs(dimensions, head));
  const values = new Float32Array(total);
  specs.forEach(({ name }, index) => {
    const centre = name.endsWith('.gain') && !dimensions.gainFromOne ? 1 : 0;
    for (let i = 0; i < lengths[index]!; i++) values[offsets[index]! + i] = centre + 0.3 * random.normal();
  });
  return values;
}

/** Dispose with `disposeModel`. */
export function tinyModel(style: TinyStyle = 'llama', head: HeadKind = 'tokens', seed = 1): Model {
  const dimensions = tinyDimensions[style];
  return modelFrom(dimensions, head, tinyValues(dimensions, head, seed));
}

/** Ids 3 … vocab − 1, never a special one. */
export function tinyIds(length: number, seed: number): Int32Array {
  const random = seededRandom(seed, 'ids');
  return Int32Array.from({ length }, () => 3 + random.integer(sizes.vocab - 3));
}

/** PAD and EOS of the tiny models. */
export const tinyStop = { padId: 0, eosId: 2 };
