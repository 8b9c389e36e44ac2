/** Tensors that a traced step reads without being given them: frozen weights. Each becomes one variable for all graphs. */
import type { Tensor } from '../tensor/tf.ts';
import { addonBackend } from './addon-binding.ts';
import type { Engine, HostValues } from './engine.ts';
import { openEngine } from './engine.ts';
import type { Variable } from './graph.ts';
import { assignVariables, createVariable, destroyVariables } from './variables.ts';

let watches = false;

/** The variable of a tensor: made at the first call, destroyed with the tensor. */
export function capture(engine: Engine, tensor: Tensor, dtype: number, values: () => HostValues): Variable {
  const { dataId } = tensor;
  const known = engine.captured.get(dataId);
  if (known !== undefined) return known;
  if (!watches) watchDisposals();
  const variable = createVariable(engine, dtype, tensor.shape);
  assignVariables(engine, [{ variable, values: values() }]);
  engine.captured.set(dataId, variable);
  return variable;
}

function watchDisposals(): void {
  watches = true;
  const backend = addonBackend();
  const dispose = backend.disposeData;
  backend.disposeData = (dataId, force) => {
    const isGone = dispose.call(backend, dataId, force);
    const engine = openEngine();
    const variable = engine?.captured.get(dataId);
    if (isGone && engine && variable) {
      engine.captured.delete(dataId);
      destroyVariables(engine, [variable]);
    }
    return isGone;
  };
}
