/** A model's parameters on the host, one at a time, with adapters merged: for saving. */
import { ShapeError } from '../errors.ts';
import { parameterValues, readParameters, weightsOf } from '../tensor/parameters.ts';
import type { Tensor, Tensor2D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { replaceAt } from '../tensor/token-rows.ts';
import type { Adapted, Patched, Weight } from '../tensor/weights.ts';
import { thaw } from '../tensor/weights.ts';
import type { Model } from './model.ts';

/**
 * Reads parameters by name: W + scale · a · b where there are low-rank changes, and rows of tokens in their places.
 * @returns a function that gives the values of one parameter; it remembers the last, as files ask for its parts in turn
 */
export function hostValues(model: Model): (parameter: string) => Float32Array {
  const { parameters } = model;
  const trained = parameters.layout.total === 0 ? new Float32Array(0) : readParameters(parameters);
  const isTrained = new Set(parameters.layout.specs.map(({ name }) => name));
  let last: { name: string; values: Float32Array } | undefined;
  return (name) => {
    if (isTrained.has(name)) return parameterValues(parameters.layout, trained, name);
    if (last?.name !== name) last = { name, values: merged(model, name) };
    return last.values;
  };
}

function merged(model: Model, name: string): Float32Array {
  // Not returned from the tidy: it would look for tensors among millions of numbers.
  let values = new Float32Array();
  tf.tidy(() => {
    const found = weightsOf(model.parameters)[name];
    if (found === undefined) throw new ShapeError(`model: there is no parameter "${name}".`);
    values = whole(found).dataSync() as Float32Array<ArrayBuffer>;
  });
  return values;
}

/** The matrix a product uses. Call inside `tf.tidy`. */
function whole(weight: Weight): Tensor {
  if (!('kind' in weight)) return weight;
  if (weight.kind === 'token rows') return replaceRows(weight);
  return weight.kind === 'frozen' ? thaw(weight) : mergeChanges(weight);
}

function replaceRows({ base, ids, rows, axis }: Patched): Tensor {
  return replaceAt(thaw(base) as Tensor2D, ids, axis === 0 ? rows : tf.transpose(rows), axis);
}

/** W + scale · a · b in the columns of each change. Hu et al. 2021, arXiv:2106.09685, section 4.1. */
function mergeChanges({ base, changes }: Adapted): Tensor {
  const matrix = whole(base) as Tensor2D;
  const [rows, width] = matrix.shape;
  const parts: Tensor2D[] = [];
  let at = 0;
  for (const { a, b, from, to, scale } of changes) {
    if (from > at) parts.push(tf.zeros([rows, from - at]));
    parts.push(tf.mul(tf.matMul(a, b), scale));
    at = to;
  }
  if (at < width) parts.push(tf.zeros([rows, width - at]));
  return tf.add(matrix, parts.length === 1 ? (parts[0] as Tensor2D) : tf.concat(parts, 1));
}
