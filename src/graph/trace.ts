/** Runs a function of tensors without computing anything: each op it would execute becomes a node of the graph. */
import { CompileError } from '../errors.ts';
import type { AddonBackend, AddonBinding, Handle } from '../tensor/addon.ts';
import { addonBackend } from '../tensor/addon.ts';
import { withNativeProducts } from '../tensor/native-ops.ts';
import { orderBy } from '../tensor/order.ts';
import type { Tensor } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { attributesOf, grouped } from './attributes.ts';
import type { Pointer } from './c-api.ts';
import { callerOf } from './caller.ts';
import { capture, settleCaptured } from './captured.ts';
import type { Engine, HostValues } from './engine.ts';
import { bytesOf } from './engine.ts';
import type { Attribute, NodeSpec, Port, Variable } from './graph.ts';
import { addConstant, addNode, BFLOAT16, FLOAT32, flag, INT32, type } from './graph.ts';
import type { Narrowing } from './narrowing.ts';
import { narrowingOf } from './narrowing.ts';
import { readVariable } from './variables.ts';

/** How the nodes of a trace are made. */
export interface TraceOptions {
  /** `bf16` multiplies matrices in bfloat16; everything else, and what is added up, stays float32. */
  readonly precision: 'f32' | 'bf16';
}

/** What the traced function may ask for. */
export interface Tracer {
  /** A tensor that stands for a port. */
  tensor(port: Port): Tensor;
  /** The port behind a tensor. */
  port(tensor: Tensor): Port;
  /** The value in bfloat16, as bfloat16 products read it. */
  narrow(tensor: Tensor): Port;
  /** A bfloat16 port as a tensor; bfloat16 products read the port itself. */
  widen(port: Port): Tensor;
  /** Lets bfloat16 products read a port in place of a tensor, whose value in bfloat16 it has. */
  twin(tensor: Tensor, port: Port): void;
  /** A node that TensorFlow.js has no op for. */
  node(spec: NodeSpec): { operation: Pointer; outputs: Port[] };
}

/** Ids of tensors that exist only in the graph; the addon's own count from 0. */
const FIRST_STAGED = 2 ** 40;
/** What is not computed from a feed is read or made when it is needed, where it is larger. */
const LARGE_BYTES = 2 ** 18;
/** Larger host values in the middle of a step are inputs that somebody forgot. */
const CONSTANT_BYTES = 2 ** 14;
const MATRIX_PRODUCTS = new Set(['MatMul', 'BatchMatMul', 'BatchMatMulV2']);

interface Staging {
  readonly engine: Engine;
  readonly options: TraceOptions;
  readonly backend: AddonBackend;
  readonly real: AddonBinding;
  /** Ports by staged id. */
  readonly ports: Map<number, Port>;
  /** Values of tensors that were made on the host during the trace. */
  readonly made: Map<number, { dtype: number; shape: readonly number[]; values: HostValues }>;
  /** Tensors that were there before, by their id in the addon. */
  readonly existing: Map<number, Tensor>;
  readonly constants: Map<string, Port>;
  /** Ids of captured tensors, by their data. */
  readonly reads: Map<object, number>;
  /** Ports that depend on no feed. */
  readonly fixed: Set<Pointer>;
  readonly narrowing: Narrowing;
  /** The last node that depends on a feed. */
  last: Pointer | null;
  next: number;
}

/**
 * Traces `build` into the engine's graph.
 * @throws CompileError naming op and line where a value would be read in the middle, or a shape depends on data
 */
export function trace<T>(engine: Engine, options: TraceOptions, build: (tracer: Tracer) => T): T {
  const backend = addonBackend();
  const real = backend.binding;
  const staging: Staging = {
    engine,
    options,
    backend,
    real,
    ports: new Map(),
    made: new Map(),
    existing: new Map(),
    constants: new Map(),
    reads: new Map(),
    fixed: new Set(),
    narrowing: narrowingOf((spec) => add(staging, spec)),
    last: null,
    next: FIRST_STAGED,
  };
  const inputIds = backend.getInputTensorIds;
  const write = backend.write;
  const written = new WeakSet<object>();
  backend.write = (...values) => {
    const dataId = write.apply(backend, values);
    written.add(dataId);
    return dataId;
  };
  backend.binding = stagingBinding(staging);
  backend.getInputTensorIds = (tensors) =>
    tensors.map((tensor) => {
      const captured = engine.captured.get(tensor.dataId);
      if (captured !== undefined) return fixedRead(staging, tensor.dataId, captured.variable);
      const [id] = inputIds.call(backend, [tensor]) as [number];
      if (id >= FIRST_STAGED || written.has(tensor.dataId)) return id;
      // Perhaps uploaded only now, but it was there before: not something the step has made.
      staging.made.delete(id);
      staging.existing.set(id, tensor);
      return id;
    });
  try {
    engine.traces += 1;
    let result: T | undefined;
    tf.tidy(() => {
      const tracer = tracerOf(staging);
      orderBy((signal, tensors) => {
        const waiting = tracer.node({ op: 'IdentityN', inputs: [[...tensors, signal].map(tracer.port)] });
        return tensors.map((_, i) => tracer.tensor(waiting.outputs[i] as Port));
      });
      // Products in bfloat16 are TensorFlow's.
      result = withNativeProducts(options.precision === 'f32', () => build(tracer));
    });
    return result as T;
  } finally {
    orderBy(null);
    backend.binding = real;
    backend.getInputTensorIds = inputIds;
    backend.write = write;
    settleCaptured(engine);
  }
}

function tracerOf(staging: Staging): Tracer {
  const { backend, narrowing } = staging;
  const tracer: Tracer = {
    tensor: (port) => backend.createOutputTensor(stage(staging, port)) as Tensor,
    port: (tensor) => resolve(staging, backend.getInputTensorIds([tensor])[0] as number),
    narrow: (tensor) => narrowing.narrow(tracer.port(tensor)),
    widen: (port) => tracer.tensor(narrowing.widen(port)),
    twin: (tensor, port) => narrowing.twin(tracer.port(tensor), port),
    node: (spec) => add(staging, spec),
  };
  return tracer;
}

/** The addon's binding, with ops that make nodes. */
function stagingBinding(staging: Staging): AddonBinding {
  const { real, made } = staging;
  const constants = Object.fromEntries(
    Object.getOwnPropertyNames(real).map((name) => [name, (real as unknown as Record<string, unknown>)[name]]),
  ) as unknown as AddonBinding;
  return {
    ...constants,
    executeOp: (name, attributes, ids) => {
      const inputs = ids.map((id) => resolve(staging, id));
      return execute(staging, name, attributesOf(real, attributes), inputs).map((port) => stage(staging, port, name));
    },
    createTensor: (shape, dtype, values) => {
      const id = real.createTensor(shape, dtype, values);
      if (ArrayBuffer.isView(values)) made.set(id, { dtype, shape: [...shape], values: values as HostValues });
      return id;
    },
    deleteTensor: (id) => {
      if (id >= FIRST_STAGED) return;
      made.delete(id);
      real.deleteTensor(id);
    },
    tensorDataSync: (id) => {
      if (id < FIRST_STAGED) return real.tensorDataSync(id);
      throw new CompileError(
        `compiled step: a value is read in the middle of the step, at ${callerOf(new Error())}; expected it to be read ` +
          'after the step. Return the tensor instead, or use runtime.compile: off.',
      );
    },
  };
}

function stage(staging: Staging, port: Port, op = 'the result'): Handle {
  if (port.shape === null || port.shape.some((size) => size < 0)) {
    throw new CompileError(
      `compiled step: the shape of ${op} depends on data, at ${callerOf(new Error())}; expected shapes that are known ` +
        'before the step runs. Compute it on the host and pass it in, or use runtime.compile: off.',
    );
  }
  const id = staging.next++;
  staging.ports.set(id, port);
  return { id, dtype: port.dtype, shape: [...port.shape] };
}

/** The node behind an id. */
function resolve(staging: Staging, id: number): Port {
  const staged = staging.ports.get(id);
  if (staged !== undefined) return staged;
  const values = staging.made.get(id);
  if (values !== undefined) return constant(staging, values.dtype, values.shape, values.values);
  const tensor = staging.existing.get(id) as Tensor;
  const dtype = { float32: FLOAT32, int32: INT32 }[tensor.dtype as string];
  if (dtype === undefined)
    throw new CompileError(`compiled step: a tensor of type ${tensor.dtype} cannot be taken in.`);
  if (bytesOf(dtype, tensor.shape) <= CONSTANT_BYTES) {
    return constant(staging, dtype, tensor.shape, staging.real.tensorDataSync(id) as HostValues);
  }
  // Frozen weights: kept once for all graphs.
  const variable = capture(staging.engine, tensor, dtype);
  return staging.ports.get(fixedRead(staging, tensor.dataId, variable)) as Port;
}

/** The id of a captured tensor's value in this graph. */
function fixedRead(staging: Staging, dataId: object, variable: Variable): number {
  const known = staging.reads.get(dataId);
  if (known !== undefined) return known;
  const port = readVariable(staging.engine, variable);
  staging.fixed.add(port.oper);
  const { id } = stage(staging, port);
  staging.reads.set(dataId, id);
  return id;
}

/** Host values as a node: equal numbers are filled in, the rest is a constant. */
function constant(staging: Staging, dtype: number, shape: readonly number[], values: HostValues): Port {
  const { graph } = staging.engine;
  const key = values.length <= 64 ? `${dtype}:${shape}:${[...values]}` : null;
  const known = key === null ? undefined : staging.constants.get(key);
  if (known !== undefined) return known;
  const size = bytesOf(dtype, shape);
  const first = values[0];
  const isUniform = size > 1024 && values.every((value) => value === first);
  if (!isUniform && size > CONSTANT_BYTES) {
    throw new CompileError(
      `compiled step: ${values.length} numbers are made on the host in the middle of the step, at ${callerOf(new Error())}; ` +
        'expected them among its inputs. Pass them in, or use runtime.compile: off.',
    );
  }
  const port = isUniform
    ? (add(staging, {
        op: 'Fill',
        inputs: [
          addConstant(graph, INT32, [shape.length], Int32Array.from(shape)),
          addConstant(graph, dtype, [], values.slice(0, 1)),
        ],
      }).outputs[0] as Port)
    : addConstant(graph, dtype, shape, values);
  if (!isUniform) staging.fixed.add(port.oper);
  if (key !== null) staging.constants.set(key, port);
  return port;
}

function execute(
  staging: Staging,
  op: string,
  attributes: Readonly<Record<string, Attribute>>,
  inputs: readonly Port[],
): Port[] {
  if (op === 'BatchMatMulV2' && inputs.every(({ shape }) => shape?.length === 2)) {
    const { adj_x = flag(false), adj_y = flag(false), ...rest } = attributes;
    return execute(staging, 'MatMul', { ...rest, transpose_a: adj_x, transpose_b: adj_y }, inputs);
  }
  const isProduct = staging.options.precision === 'bf16' && MATRIX_PRODUCTS.has(op);
  if (isProduct && inputs.every(({ dtype }) => dtype === FLOAT32)) {
    const { narrow, widen } = staging.narrowing;
    const [product] = add(staging, {
      op,
      inputs: inputs.map(narrow),
      attributes: { ...attributes, T: type(BFLOAT16) },
    }).outputs;
    return [widen(product as Port)];
  }
  try {
    return add(staging, { op, inputs: grouped(op, inputs), attributes }).outputs;
  } catch (error) {
    const shapes = inputs.map(({ shape }) => `[${shape}]`).join(', ');
    throw new CompileError(
      `compiled step: ${(error as Error).message} (${op} of ${shapes}, at ${callerOf(new Error())})`,
    );
  }
}

/** Adds a node with what all nodes of this trace have. */
function add(staging: Staging, spec: NodeSpec): { operation: Pointer; outputs: Port[] } {
  const { fixed, engine } = staging;
  const flat = spec.inputs.flatMap((input) => input as Port | Port[]);
  const isFixed = flat.every(({ oper }) => fixed.has(oper)) && spec.after === undefined;
  const after = isFixed && staging.last !== null && isLarge(flat) ? [staging.last] : spec.after;
  const node = addNode(engine.graph, { ...spec, ...(after && { after }) });
  if (isFixed && after === undefined) fixed.add(node.operation);
  else staging.last = node.operation;
  return node;
}

/**
 * Nodes that wait for nothing run at once, all of them. Those that read much are made to wait for the node before them in
 * the program, so that weights are widened one after the other and not all before the first layer.
 */
function isLarge(inputs: readonly Port[]): boolean {
  return inputs.some(({ dtype, shape }) => bytesOf(dtype, shape ?? []) >= LARGE_BYTES);
}
