/** Tensors that a traced step reads without being given them: frozen weights. Each moves into one variable for all graphs. */
import type { Tensor } from '../tensor/tf.ts';
import type { AddonBackend } from './addon-binding.ts';
import { addonBackend } from './addon-binding.ts';
import type { Engine, HostValues } from './engine.ts';
import { openEngine } from './engine.ts';
import type { Variable } from './graph.ts';
import { assignVariables, createVariable, destroyVariables, readVariables } from './variables.ts';

let watches = false;

/**
 * The variable of a tensor: made at the first call, destroyed with the tensor. The tensor's own memory is freed; eager
 * code that reads it gets its values back from the variable.
 */
export function capture(engine: Engine, tensor: Tensor, dtype: number): Variable {
  const { dataId } = tensor;
  const known = engine.captured.get(dataId);
  if (known !== undefined) return known.variable;
  const backend = addonBackend();
  if (!watches) watchDisposals(backend);
  const variable = createVariable(engine, dtype, tensor.shape);
  assignVariables(engine, [{ variable, values: backend.readSync(dataId) as HostValues }]);
  const giveBack = moveAway(backend, dataId, () => readVariables(engine, [variable])[0] as HostValues);
  const resident = { moveOut: giveBack };
  engine.residents.add(resident);
  engine.captured.set(dataId, { variable, release: () => engine.residents.delete(resident) });
  return variable;
}

/**
 * Frees a tensor's memory. TensorFlow.js keeps values that are not uploaded yet beside a tensor, and uploads them when
 * they are needed: `read` stands for them.
 * @returns what puts the values back for good
 */
function moveAway(backend: AddonBackend, dataId: object, read: () => HostValues): () => void {
  const info = backend.tensorMap.get(dataId);
  const { id } = info;
  info.id = -1;
  let isAway = true;
  Object.defineProperty(info, 'values', {
    configurable: true,
    get: () => (isAway ? read() : null),
    // TensorFlow.js has uploaded them, and takes them as its own again.
    set: () => {
      isAway = false;
    },
  });
  if (id >= 0) backend.binding.deleteTensor(id);
  return () => {
    const values = isAway ? read() : null;
    Object.defineProperty(info, 'values', { value: values, writable: true, configurable: true });
  };
}

function watchDisposals(backend: AddonBackend): void {
  watches = true;
  const dispose = backend.disposeData;
  backend.disposeData = (dataId, force) => {
    const isGone = dispose.call(backend, dataId, force);
    const engine = openEngine();
    const captured = engine?.captured.get(dataId);
    if (isGone && engine && captured) {
      engine.captured.delete(dataId);
      captured.release();
      destroyVariables(engine, [captured.variable]);
    }
    return isGone;
  };
}
