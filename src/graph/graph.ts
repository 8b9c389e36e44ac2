/** Nodes of a TensorFlow graph, made one at a time; TensorFlow infers the shape of each as it is added. */
import { CompileError } from '../errors.ts';
import { DATA_TYPES } from '../tensor/addon.ts';
import type { CApi, Pointer, RawOutput } from './c-api.ts';

/** One output of a node. */
export interface Port extends RawOutput {
  readonly dtype: number;
  /** −1 where TensorFlow does not know the size before it runs; null where it does not know the rank. */
  readonly shape: readonly number[] | null;
}

/** A resource variable. */
export interface Variable {
  readonly shape: readonly number[];
  readonly dtype: number;
  /** The resource. */
  readonly handle: Port;
  /** Its value when nothing else runs: for reading it back. */
  readonly value: Port;
  readonly placeholder: Port;
  readonly assign: Pointer;
  readonly destroy: Pointer;
}

/** TensorFlow's types, by number. */
export const { float32: FLOAT32, int32: INT32, bfloat16: BFLOAT16, resource: RESOURCE } = DATA_TYPES;

/** Bytes of an element. */
export const BYTES: Readonly<Record<number, number>> = {
  [FLOAT32]: 4,
  [INT32]: 4,
  [BFLOAT16]: 2,
  [DATA_TYPES.bool]: 1,
  [DATA_TYPES.int64]: 8,
};

/** An attribute of a node; `flags` are booleans, so that 1 is never taken for true. */
export type Attribute =
  | { readonly kind: 'type' | 'int' | 'float'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'types' | 'ints' | 'shape'; readonly value: readonly number[] };

/** A boolean attribute. */
export function flag(value: boolean): Attribute {
  return { kind: 'bool', value };
}

/** A type attribute. */
export function type(value: number): Attribute {
  return { kind: 'type', value };
}

/** A node to be added. A list within `inputs` is one argument that takes a list. */
export interface NodeSpec {
  readonly op: string;
  readonly inputs: readonly (RawOutput | readonly RawOutput[])[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Nodes that must have run before. */
  readonly after?: readonly Pointer[];
}

/** A graph under construction. */
export interface Graph {
  readonly api: CApi;
  readonly pointer: Pointer;
  /** Nodes made so far; names are numbered. */
  nodes: number;
}

/** An empty graph. It lives as long as the process: sessions hold on to it. */
export function createGraph(api: CApi): Graph {
  return { api, pointer: api.NewGraph(), nodes: 0 };
}

/**
 * Adds a node.
 * @returns its outputs; none for ops that only act
 * @throws CompileError with TensorFlow's own words where the inputs do not fit
 */
export function addNode(graph: Graph, spec: NodeSpec): { operation: Pointer; outputs: Port[] } {
  const { api } = graph;
  const description = api.NewOperation(graph.pointer, spec.op, `${spec.op}_${graph.nodes++}`);
  for (const input of spec.inputs) {
    if (isList(input)) api.AddInputList(description, input.map(raw), input.length);
    else api.AddInput(description, raw(input));
  }
  for (const operation of spec.after ?? []) api.AddControlInput(description, operation);
  for (const [name, attribute] of Object.entries(spec.attributes ?? {}))
    setAttribute(api, description, name, attribute);
  const operation = api.FinishOperation(description, api.status);
  try {
    api.check();
  } catch (error) {
    throw new CompileError(`${spec.op}: ${(error as Error).message}`);
  }
  const count = api.OperationNumOutputs(operation);
  setShapes(graph, operation, spec.attributes?.output_shapes);
  return { operation, outputs: Array.from({ length: count }, (_, index) => portOf(graph, { oper: operation, index })) };
}

/** Our own ops say the shapes of their outputs in an attribute: rank and sizes of each, one after the other. */
function setShapes({ api, pointer }: Graph, oper: Pointer, shapes: Attribute | undefined): void {
  if (shapes?.kind !== 'ints') return;
  for (let index = 0, at = 0; at < shapes.value.length; index++) {
    const rank = shapes.value[at] as number;
    api.GraphSetTensorShape(pointer, { oper, index }, shapes.value.slice(at + 1, at + 1 + rank), rank, api.status);
    api.check();
    at += 1 + rank;
  }
}

/** Adds a node with one output. */
export function addOutput(graph: Graph, spec: NodeSpec): Port {
  return addNode(graph, spec).outputs[0] as Port;
}

/** A node that always gives these values. */
export function addConstant(
  graph: Graph,
  dtype: number,
  shape: readonly number[],
  values: Float32Array | Int32Array | Uint8Array | Uint16Array,
): Port {
  const { api } = graph;
  const tensor = nativeTensor(api, dtype, shape, values);
  const description = api.NewOperation(graph.pointer, 'Const', `Const_${graph.nodes++}`);
  api.SetAttrType(description, 'dtype', dtype);
  api.SetAttrTensor(description, 'value', tensor, api.status);
  api.check();
  const operation = api.FinishOperation(description, api.status);
  api.DeleteTensor(tensor);
  api.check();
  return portOf(graph, { oper: operation, index: 0 });
}

/** A copy of host values in TensorFlow's own memory; the caller deletes it. */
export function nativeTensor(
  api: CApi,
  dtype: number,
  shape: readonly number[],
  values: Float32Array | Int32Array | Uint8Array | Uint16Array,
): Pointer {
  const tensor = api.AllocateTensor(dtype, [...shape], shape.length, values.byteLength);
  if (values.byteLength > 0) {
    api.copy(api.TensorData(tensor), values, values.byteLength);
  }
  return tensor;
}

function portOf(graph: Graph, output: RawOutput): Port {
  const { api } = graph;
  const rank = api.GraphGetTensorNumDims(graph.pointer, output, api.status);
  api.check();
  const dtype = api.OperationOutputType(output);
  if (rank < 0) return { ...output, dtype, shape: null };
  const sizes = new BigInt64Array(rank);
  if (rank > 0) {
    api.GraphGetTensorShape(graph.pointer, output, sizes, rank, api.status);
    api.check();
  }
  return { ...output, dtype, shape: Array.from(sizes, Number) };
}

function raw({ oper, index }: RawOutput): RawOutput {
  return { oper, index };
}

function isList(input: RawOutput | readonly RawOutput[]): input is readonly RawOutput[] {
  return Array.isArray(input);
}

function setAttribute(api: CApi, description: Pointer, name: string, { kind, value }: Attribute): void {
  if (kind === 'type') api.SetAttrType(description, name, value);
  else if (kind === 'types') api.SetAttrTypeList(description, name, value, value.length);
  else if (kind === 'int') api.SetAttrInt(description, name, value);
  else if (kind === 'ints') api.SetAttrIntList(description, name, value, value.length);
  else if (kind === 'float') api.SetAttrFloat(description, name, value);
  else if (kind === 'bool') api.SetAttrBool(description, name, value ? 1 : 0);
  else if (kind === 'shape') api.SetAttrShape(description, name, value, value.length);
  else {
    const bytes = Buffer.from(value as string);
    api.SetAttrString(description, name, bytes, bytes.length);
  }
}
