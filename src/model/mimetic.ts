/** Attention that begins as a lookup: tokens attend to their like, and what is attended to becomes likelier. */
import type { Random } from '../random.ts';
import { layoutOf, parameterValues } from '../tensor/parameters.ts';
import type { HeadKind, ModelDimensions } from './dimensions.ts';
import { initialValues } from './initialize.ts';
import { parameterSpecs } from './parameter-table.ts';

/** Deviation of queries and keys: with 128 units and heads of 32 a token's like gets some 7 more than others before the softmax. */
const QUERY_DEVIATION = 0.1;

/**
 * Initial values as `initialValues`, but W_K = W_Q of the first query head of its group, W_V ~ N(0, 1 / d_model), and
 * W_O = W_Vᵀ in each head: W_Q W_Kᵀ and W_V W_O are near multiples of the identity, as they become in trained models
 * (Trockman & Kolter 2023, arXiv:2305.09828; there with other constants). With a token head that is the embedding, to attend
 * to a token is to copy it. What that changes is measured in docs/log.md.
 * @returns host values of every parameter, in the order of `parameterSpecs`
 */
export function mimeticValues(dimensions: ModelDimensions, head: HeadKind, random: Random): Float32Array {
  const { layers, heads, kvHeads, headDim, dModel } = dimensions;
  const values = initialValues(dimensions, head, random);
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const columns = (heads + 2 * kvHeads) * headDim;
  const group = heads / kvHeads;
  const [keys, valuesAt] = [heads * headDim, (heads + kvHeads) * headDim];
  for (let layer = 0; layer < layers; layer++) {
    const qkv = parameterValues(layout, values, `blocks.${layer}.attention.qkv.weight`);
    const output = parameterValues(layout, values, `blocks.${layer}.attention.output.weight`);
    for (let row = 0; row < dModel; row++) {
      const at = (column: number): number => row * columns + column;
      for (let i = 0; i < keys; i++) qkv[at(i)] = QUERY_DEVIATION * random.normal();
      for (let i = 0; i < kvHeads * headDim; i++) {
        const [kv, unit] = [Math.floor(i / headDim), i % headDim];
        qkv[at(keys + i)] = qkv[at(kv * group * headDim + unit)] as number;
        qkv[at(valuesAt + i)] = random.normal() / Math.sqrt(dModel);
      }
      for (let i = 0; i < keys; i++) {
        const [kv, unit] = [Math.floor(i / headDim / group), i % headDim];
        output[i * dModel + row] = qkv[at(valuesAt + kv * headDim + unit)] as number;
      }
    }
  }
  return values;
}
