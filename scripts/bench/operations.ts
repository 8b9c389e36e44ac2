/** Useful arithmetic of training steps, and the speed of one large matrix product that it is compared with. */
import type { HeadKind, ModelDimensions } from '../../src/model/dimensions.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { layoutOf } from '../../src/tensor/parameters.ts';
import { tf } from '../../src/tensor/tf.ts';
import type { Case } from './cases.ts';
import { adapterParameters } from './our-cases.ts';

/** Edge of the product that stands for the machine's peak. */
const PEAK_EDGE = 2048;

/** Weights of matrix products over all positions. */
function productWeights(dimensions: ModelDimensions, head: HeadKind): number {
  const specs = parameterSpecs(dimensions, head).filter(({ fanIn, role }) => fanIn !== null && role !== 'head.score');
  const { tiedHead, vocab, dModel } = dimensions;
  return layoutOf(specs).total + (head === 'tokens' && tiedHead ? vocab * dModel : 0);
}

/**
 * Operations of one training step on a token: 6 for each weight of a matrix product, and attention's two products over
 * all positions. What is computed again, or for nothing, does not count.
 * @see Chowdhery et al. 2022, arXiv:2204.02311, appendix B
 */
export function operationsPerToken(dimensions: ModelDimensions, length: number, head: HeadKind = 'tokens'): number {
  return 6 * productWeights(dimensions, head) + attentionOperations(dimensions, length);
}

function attentionOperations({ layers, heads, headDim }: ModelDimensions, length: number): number {
  return 12 * layers * heads * headDim * length;
}

/** Operations of a training step; frozen weights have 4 each, as no gradient of them is computed. Null for other tasks. */
export function stepOperations(given: Case): number | null {
  const { dimensions, tokens } = given;
  switch (given.task) {
    case 'train':
      return tokens * operationsPerToken(dimensions, given.rows[0]?.length ?? 0);
    case 'reward':
      return tokens * operationsPerToken(dimensions, given.chosen[0]?.length ?? 0, 'score');
    case 'lora': {
      const weights = 4 * productWeights(dimensions, 'tokens') + 6 * adapterParameters(given);
      return tokens * (weights + attentionOperations(dimensions, given.rows[0]?.length ?? 0));
    }
    default:
      return null;
  }
}

/** 10⁹ operations a second of one product of two large matrices. */
export function productSpeed(): number {
  const [a, b] = [tf.randomNormal([PEAK_EDGE, PEAK_EDGE]), tf.randomNormal([PEAK_EDGE, PEAK_EDGE])];
  const began = performance.now();
  // Reading a number back waits for the product.
  tf.tidy(() => tf.slice(tf.matMul(a, b), [0, 0], [1, 1]).dataSync());
  const seconds = (performance.now() - began) / 1000;
  tf.dispose([a, b]);
  return (2 * PEAK_EDGE ** 3) / seconds / 1e9;
}
