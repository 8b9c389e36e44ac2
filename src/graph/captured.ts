/** Tensors that a traced step reads without being given them: frozen weights. Each moves into one variable for all graphs. */
import type { AddonBackend } from '../tensor/addon.ts';
import { addonBackend } from '../tensor/addon.ts';
import type { Tensor } from '../tensor/tf.ts';
import type { Engine, HostValues } from './engine.ts';
import { openEngine } from './engine.ts';
import type { Variable } from './graph.ts';
import { assignVariables, createVariable, destroyVariables, readVariables } from './variables.ts';

let watches = false;

/** Each call that differs from those before costs TensorFlow a look at the whole graph: tensors come and go together. */
interface Queue {
  arriving: { readonly variable: Variable; readonly values: HostValues; readonly arrived: () => void }[];
  leaving: Variable[];
}

const queues = new WeakMap<Engine, Queue>();

/** Values wait on the host until they are so many. */
const MOST_WAITING_BYTES = 2 ** 26;

/**
 * The variable of a tensor: made at the first call, destroyed with the tensor. It has its value after the next
 * `settleCaptured`. The tensor's own memory is freed then; eager code that reads it gets its values back from the variable.
 */
export function capture(engine: Engine, tensor: Tensor, dtype: number): Variable {
  const { dataId } = tensor;
  const known = engine.captured.get(dataId);
  if (known !== undefined) return known.variable;
  const backend = addonBackend();
  if (!watches) watchDisposals(backend);
  const variable = createVariable(engine, dtype, tensor.shape);
  let giveBack = (): void => undefined;
  const arrived = (): void => {
    giveBack = moveAway(backend, dataId, () => readVariables(engine, [variable])[0] as HostValues);
  };
  const queue = queueOf(engine);
  queue.arriving.push({ variable, values: backend.readSync(dataId) as HostValues, arrived });
  if (queue.arriving.reduce((sum, { values }) => sum + values.byteLength, 0) > MOST_WAITING_BYTES) arrive(engine);
  const resident = { moveOut: () => giveBack() };
  engine.residents.add(resident);
  engine.captured.set(dataId, { variable, release: () => engine.residents.delete(resident) });
  return variable;
}

/**
 * Values of tensors on the host, as copies or views. Those that graphs have taken over are fetched in one call: each new
 * set of them costs TensorFlow a look at the whole graph.
 */
export function hostCopies(tensors: readonly Tensor[]): HostValues[] {
  const engine = openEngine();
  const variables = tensors.map(({ dataId }) => engine?.captured.get(dataId)?.variable);
  const found =
    engine === null
      ? []
      : readVariables(
          engine,
          variables.flatMap((variable) => variable ?? []),
        );
  let next = 0;
  return tensors.map((tensor, i) => (variables[i] ? (found[next++] as HostValues) : (tensor.dataSync() as HostValues)));
}

/** Gives captured variables their values, and frees those whose tensors are gone. To be called between runs. */
export function settleCaptured(engine: Engine): void {
  arrive(engine);
  const { leaving } = queueOf(engine);
  destroyVariables(engine, leaving.splice(0));
}

function arrive(engine: Engine): void {
  const arriving = queueOf(engine).arriving.splice(0);
  assignVariables(engine, arriving);
  for (const { arrived } of arriving) arrived();
}

function queueOf(engine: Engine): Queue {
  const known = queues.get(engine) ?? { arriving: [], leaving: [] };
  queues.set(engine, known);
  return known;
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
      leave(engine, captured.variable);
    }
    return isGone;
  };
}

/** Frees a variable when those that go with it are known: all tensors of a model are disposed in one turn. */
function leave(engine: Engine, variable: Variable): void {
  const queue = queueOf(engine);
  engine.live.delete(variable);
  queue.arriving = queue.arriving.filter((one) => one.variable !== variable);
  queue.leaving.push(variable);
  if (queue.leaving.length > 1) return;
  queueMicrotask(() => {
    // While a step runs nothing else may; the next one settles what is left.
    if (openEngine() === engine && !engine.isRunning) settleCaptured(engine);
  });
}
