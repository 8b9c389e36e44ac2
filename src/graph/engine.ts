/** The one graph and session of a process. Graphs are added to it; variables live in it between calls. */
import { InvariantError, ShapeError } from '../errors.ts';
import type { CApi, Pointer } from './c-api.ts';
import { openCApi } from './c-api.ts';
import type { Graph, Port, Variable } from './graph.ts';
import { BYTES, createGraph, FLOAT32, INT32, nativeTensor } from './graph.ts';
import { sessionConfig } from './session-config.ts';

/** TensorFlow prepared to run graphs. */
export interface Engine {
  readonly graph: Graph;
  readonly session: Pointer;
  /** True where XLA compiles what this session runs. */
  readonly xla: boolean;
  /** Graphs traced so far: a run that has warmed up makes no more. */
  traces: number;
  /** Variables that hold memory. */
  readonly live: Set<object>;
  /** Values that would have to move out if the engine were closed. */
  readonly residents: Set<{ moveOut(): void }>;
  /** Variables of tensors that graphs read without being given them, by the tensor's data. */
  readonly captured: WeakMap<object, { readonly variable: Variable; release(): void }>;
  /** Nodes that nothing will run any more. */
  garbage: number;
  /** Batches that are being decoded; their caches are not parameters. */
  decoding: number;
  /** True while a graph runs asynchronously: no other may run then. */
  isRunning: boolean;
}

/** Numbers on the host, as they are fed and fetched. */
export type HostValues = Float32Array | Int32Array;

/** A value for a placeholder. */
export interface Feed {
  readonly port: Port;
  readonly shape: readonly number[];
  readonly values: HostValues | Uint16Array;
}

let opened: Engine | null = null;
let wantsXla = false;

/** Chooses for the session: one that is open otherwise is closed. To be called between steps. */
export function useXla(wants: boolean): void {
  wantsXla = wants;
  if (opened !== null && opened.xla !== wants) close(opened);
}

/**
 * Opens the session, at the first call.
 * @throws LaneError where TensorFlow's C API cannot be used
 */
export function engine(): Engine {
  if (opened === null) {
    const api = openCApi();
    const graph = createGraph(api);
    const options = api.NewSessionOptions();
    const config = sessionConfig({ xla: wantsXla });
    api.SetConfig(options, config, config.length, api.status);
    api.check();
    const session = api.NewSession(graph.pointer, options, api.status);
    api.check();
    opened = {
      graph,
      session,
      xla: wantsXla,
      traces: 0,
      garbage: 0,
      decoding: 0,
      isRunning: false,
      live: new Set<object>(),
      residents: new Set<{ moveOut(): void }>(),
      captured: new WeakMap(),
    };
  }
  return opened;
}

/** The engine, where there is one. */
export function openEngine(): Engine | null {
  return opened;
}

/** Nodes of models that are gone, at most, before the engine is closed and begun anew. */
const MOST_GARBAGE = 10_000;
/** Limit on nodes in all: an unbounded number of shapes would fill the memory, at some 9 KB a node. */
const MOST_NODES = 200_000;

/**
 * Begins anew where most of the graph belongs to models that are gone, or there is too much of it: TensorFlow never
 * removes a node, and looks at all of them whenever something new is run. To be called between steps.
 */
export function sweepEngine(): void {
  if (opened === null || opened.decoding > 0 || opened.isRunning) return;
  const { nodes } = opened.graph;
  const isFull = nodes > MOST_NODES || (opened.garbage > MOST_GARBAGE && opened.garbage > nodes / 2);
  if (isFull) close(opened);
}

/** Moves out what would be lost, and frees the session and its graph. */
function close({ residents, graph, session }: Engine): void {
  for (const resident of residents) resident.moveOut();
  const { api } = graph;
  api.CloseSession(session, api.status);
  api.DeleteSession(session, api.status);
  api.DeleteGraph(graph.pointer);
  api.check();
  opened = null;
}

/**
 * Runs what `fetches` and `targets` need. Results come in the order of `fetches`, copied to the host.
 * @throws InvariantError while a run of `runGraphAsync` is not done
 */
export function runGraph(
  engine: Engine,
  feeds: readonly Feed[],
  fetches: readonly Port[],
  targets: readonly Pointer[],
): HostValues[] {
  const call = prepareCall(engine, feeds, fetches, targets);
  try {
    engine.graph.api.SessionRun(...call.given);
    return call.results();
  } finally {
    call.free();
  }
}

/**
 * The same on another thread: timers, signals and readers have their turn meanwhile. Variables change under it, so no
 * other graph may run before it is done: the caller of a step awaits it, and the next run fails where that was forgotten.
 * @throws InvariantError while another run is not done
 */
export async function runGraphAsync(
  engine: Engine,
  feeds: readonly Feed[],
  fetches: readonly Port[],
  targets: readonly Pointer[],
): Promise<HostValues[]> {
  const call = prepareCall(engine, feeds, fetches, targets);
  engine.isRunning = true;
  try {
    await new Promise<void>((resolve, reject) => {
      engine.graph.api.SessionRun.async(...call.given, (error) => (error === null ? resolve() : reject(error)));
    });
    return call.results();
  } finally {
    engine.isRunning = false;
    call.free();
  }
}

/** A call of TF_SessionRun: what it is given, all of it native memory that lives until `free`, and what came out. */
function prepareCall(
  { graph, session, isRunning }: Engine,
  feeds: readonly Feed[],
  fetches: readonly Port[],
  targets: readonly Pointer[],
) {
  if (isRunning) {
    throw new InvariantError(
      'compiled step: a training step is still running; expected the next one after it. Await the promise of every update.',
    );
  }
  const { api } = graph;
  const status = api.NewStatus();
  const values = feeds.map(({ port, shape, values: given }) => nativeTensor(api, port.dtype, shape, given));
  const found: Pointer[] = fetches.map(() => null);
  const inputs = feeds.map(({ port: { oper, index } }) => ({ oper, index }));
  const outputs = fetches.map(({ oper, index }) => ({ oper, index }));
  const given = [
    ...([session, null, inputs, values, inputs.length, outputs, found, outputs.length] as const),
    ...([targets, targets.length, null, status] as const),
  ] as const;
  return {
    given,
    results: (): HostValues[] => {
      api.check(status);
      return found.map((tensor, i) => toHost(api, tensor, (fetches[i] as Port).dtype));
    },
    free: (): void => {
      for (const tensor of [...values, ...found]) if (tensor) api.DeleteTensor(tensor);
      api.DeleteStatus(status);
    },
  };
}

function toHost(api: CApi, tensor: Pointer, dtype: number): HostValues {
  const bytes = api.TensorByteSize(tensor);
  const make = { [FLOAT32]: Float32Array, [INT32]: Int32Array }[dtype];
  if (make === undefined) throw new ShapeError(`compiled step: results of type ${dtype} cannot be read.`);
  const values = new make(bytes / 4);
  if (bytes > 0) api.copy(values, api.TensorData(tensor), bytes);
  return values;
}

/** Elements of a shape. */
function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a tensor. */
export function bytesOf(dtype: number, shape: readonly number[]): number {
  return sizeOf(shape) * (BYTES[dtype] ?? 8);
}
