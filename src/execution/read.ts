/** Forward passes whose result comes to the host: as a graph where steps are compiled, eagerly elsewhere. */
import { compiledOr } from '../graph/mode.ts';
import type { Model } from '../model/model.ts';
import { modelWeights } from '../model/model.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { uploadArrays } from '../tensor/host-arrays.ts';
import type { Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { Weights } from '../tensor/weights.ts';
import { modelGraph } from './model-graph.ts';

type Reader = (weights: Weights, arrays: Tensors) => Tensor;

/**
 * The values of a function of a model's weights and arrays.
 * @param key differs wherever `reader` would compute something else from the same arrays
 * @param reader pure; gives float32
 */
export function read(model: Model, key: string, arrays: HostArrays, reader: Reader): Float32Array {
  return compiledOr(
    (engine) => {
      const graph = modelGraph(engine, model, key, arrays, (weights, tensors, tracer) => ({
        outputs: { result: tracer.port(reader(weights, tensors)) },
      }));
      return graph.run(arrays).result as Float32Array;
    },
    () => eagerRead(model, arrays, reader),
  );
}

function eagerRead(model: Model, arrays: HostArrays, reader: Reader): Float32Array {
  const uploaded = uploadArrays(arrays);
  // Not returned from the tidy: it would look for tensors among all of the numbers.
  let result = new Float32Array();
  tf.tidy(() => {
    result = reader(modelWeights(model), uploaded).dataSync() as Float32Array<ArrayBuffer>;
  });
  tf.dispose(uploaded);
  return result;
}
