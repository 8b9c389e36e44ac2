/** An estimate of training memory before a model is loaded: one and two of its layers are measured on the run's shapes. */
import { freemem } from 'node:os';
import { CheckpointError } from '../errors.ts';
import { compiles } from '../graph/mode.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { decoderInputs, disposeInputs } from '../model/inputs.ts';
import type { Model, TrainingPlan } from '../model/model.ts';
import { assembleModel, disposeModel, modelWeights } from '../model/model.ts';
import { parameterCount, parameterSpecs } from '../model/parameter-table.ts';
import { seededRandom } from '../random.ts';
import { usesNativeOps } from '../tensor/native-ops.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { adapterSpecs } from '../tensor/parameters.ts';
import { rowsPerChunk } from '../tensor/projected-cross-entropy.ts';
import type { Scalar, Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { lossAndGradient } from './gradient.ts';

/** The largest batches of a run. */
export interface RunShapes {
  /** Rows and length of a micro-batch, and how many of its positions get logits. */
  readonly train: { readonly rows: number; readonly seq: number; readonly logits: number };
  /** Micro-batch of another loss whose gradient is added to that of the first trained model, where there is one. */
  readonly added?: { readonly rows: number; readonly seq: number; readonly logits: number };
  /** Rows that are read at once without a gradient, where there are such. */
  readonly score?: { readonly rows: number; readonly seq: number; readonly logits: number };
  /** How many steps of different sizes there will be at most, each a graph of its own; 1 where left out. */
  readonly sizes?: number;
  /** Rows that are generated side by side, up to this length. */
  readonly generate?: { readonly rows: number; readonly seq: number };
}

/** A model of a run. */
export interface PlannedModel {
  readonly dimensions: ModelDimensions;
  readonly head: HeadKind;
  readonly plan: TrainingPlan;
  /** True where its frozen part is another model's. */
  readonly sharesTrunk?: boolean;
}

/** Bytes. */
export interface MemoryEstimate {
  /** What the process has now: Node, TensorFlow, data. */
  readonly process: number;
  readonly weights: number;
  /** Two moments for each trained value. */
  readonly moments: number;
  /** What the largest step works with. */
  readonly step: number;
  /** Compiled steps. */
  readonly graphs: number;
  readonly total: number;
}

/** The trial's vocabulary: tables over tokens are counted by hand. */
const TRIAL_VOCAB = 64;

/**
 * What a step keeps of what TensorFlow.js counts when it runs the trial op by op, measured (scripts/bench/memory.ts). It counts
 * a tensor again that shares another one's memory, and keeps more for a gradient than a graph does.
 */
const SHARES = {
  eager: { kept: 0.84, recomputed: 1, updateCopies: 8 },
  compiled: { kept: 0.155, recomputed: 0.65, updateCopies: 3 },
} as const;

/** `updateCopies` is copies of the trained values at the peak of an update, beside parameters and moments. */
function shares(): (typeof SHARES)[keyof typeof SHARES] {
  return compiles() ? SHARES.compiled : SHARES.eager;
}

/** Of a layer in a compiled training step, forward, back and update: some 330 nodes of 9 KB. */
const GRAPH_BYTES_A_LAYER = 3e6;

/** Copies of logits that a loss and its gradient hold. */
const LOGIT_COPIES = 4;

/** Peak bytes of a run that trains `trained` and also holds `others`. Takes a second or two for a large model. */
export async function estimateMemory(
  trained: readonly PlannedModel[],
  others: readonly PlannedModel[],
  shapes: RunShapes,
): Promise<MemoryEstimate> {
  const own = process.memoryUsage.rss();
  const sizes = [...trained, ...others].map((model) => ({ model, ...parameterBytes(model) }));
  const weights = sizes.reduce((sum, size) => sum + size.trained + (size.model.sharesTrunk ? 0 : size.frozen), 0);
  const learned = sizes.slice(0, trained.length).map((size) => size.trained);
  const moments = 2 * learned.reduce((sum, bytes) => sum + bytes, 0);
  let step = shares().updateCopies * Math.max(...learned);
  // Its gradient, and the sum of both.
  const gradient = learned[0] as number;
  if (shapes.added !== undefined) step += 2 * gradient;
  for (const model of trained) step = Math.max(step, await backwardBytes(model, shapes.train));
  const [first] = trained as [PlannedModel];
  if (shapes.added !== undefined) step = Math.max(step, gradient + (await backwardBytes(first, shapes.added)));
  if (shapes.score !== undefined) step = Math.max(step, await forwardBytes(first, shapes.score));
  if (shapes.generate !== undefined) step = Math.max(step, decodingBytes(first.dimensions, shapes.generate));
  const layers = trained.reduce((sum, { dimensions }) => sum + dimensions.layers, 0);
  const graphs = compiles() ? (shapes.sizes ?? 1) * layers * GRAPH_BYTES_A_LAYER : 0;
  return { process: own, weights, moments, step, graphs, total: own + weights + moments + step + graphs };
}

/** Bytes of what is frozen and of what is trained. */
function parameterBytes({ dimensions, head, plan }: PlannedModel): { frozen: number; trained: number } {
  let [frozen, trained] = [0, 0];
  for (const spec of parameterSpecs(dimensions, head)) {
    const size = bytesOf(spec);
    if (plan.trains(spec)) trained += size;
    else frozen += plan.frozenPrecision === 'bfloat16' && spec.shape.length === 2 ? size / 2 : size;
  }
  for (const spec of plan.adapters === null ? [] : adapterSpecs(plan.adapters)) trained += bytesOf(spec);
  return { frozen, trained };
}

function bytesOf({ shape }: ParameterSpec): number {
  return shape.reduce((product, size) => product * size, 4);
}

type Batch = RunShapes['train'];

/** A forward and a backward pass: tried on one and two layers, the others are like the second. */
async function backwardBytes({ dimensions, head, plan }: PlannedModel, batch: Batch): Promise<number> {
  const trial = (model: Model): void => {
    const inputs = decoderInputs(model.dimensions, tokens(batch));
    const read = tf.zeros([batch.logits], 'int32') as Tensor1D;
    const options = { recompute: plan.recompute };
    const { gradient } = lossAndGradient(model.parameters, (weights) => {
      const { hidden } = decode(model.dimensions, weights, inputs, options);
      return { loss: tf.sum(selectPositions(hidden, read)) as Scalar, stats: {} };
    });
    tf.dispose([gradient, read]);
    disposeInputs(inputs);
  };
  const [one, two] = await peaks(dimensions, head, plan, trial);
  const layers =
    (one + (dimensions.layers - 1) * Math.max(0, two - one)) * (plan.recompute ? shares().recomputed : shares().kept);
  const tables = parameterSpecs(dimensions, head).filter(
    (spec) => (spec.role === 'embedding.tokens' || spec.role === 'head.tokens') && plan.trains(spec),
  );
  const tableBytes = tables.reduce((sum, spec) => sum + bytesOf(spec), 0);
  // Views of the tables, and two gradients of each where it is tied.
  return layers + 4 * tableBytes + logitBytes(dimensions, head, batch.logits) + widenedTable(dimensions, head, plan);
}

/** Frozen tables in bfloat16 are widened while they are multiplied with. */
function widenedTable(dimensions: ModelDimensions, head: HeadKind, plan: TrainingPlan): number {
  const table = parameterSpecs(dimensions, head).find(({ role }) => role === 'embedding.tokens') as ParameterSpec;
  return plan.frozenPrecision === 'bfloat16' && !plan.trains(table) ? bytesOf(table) : 0;
}

function logitBytes({ vocab }: ModelDimensions, head: HeadKind, rows: number): number {
  return head === 'tokens' ? 4 * LOGIT_COPIES * vocab * rowsPerChunk(rows, vocab) : 0;
}

/** A forward pass frees each layer's work when it is done. */
async function forwardBytes({ dimensions, head, plan }: PlannedModel, batch: Batch): Promise<number> {
  const trial = (model: Model): void => {
    const inputs = decoderInputs(model.dimensions, tokens(batch));
    // No value is returned from the tidy: it would look for tensors among all of its numbers.
    tf.tidy(() => {
      decode(model.dimensions, modelWeights(model), inputs).hidden.dataSync();
    });
    disposeInputs(inputs);
  };
  const [one, two] = await peaks(dimensions, head, plan, trial);
  const layers = one + (dimensions.layers - 1) * Math.max(0, two - one);
  return layers + logitBytes(dimensions, head, batch.logits) + widenedTable(dimensions, head, plan);
}

/** Keys and values, and the logits of one column. Native decoding lays the weights out anew; graphs keep old and new keys. */
function decodingBytes(dimensions: ModelDimensions, { rows, seq }: { rows: number; seq: number }): number {
  const { layers, kvHeads, headDim, vocab } = dimensions;
  const isNative = usesNativeOps() && compiles();
  const cache = 4 * rows * ((isNative ? 2 : 4) * layers * kvHeads * headDim * seq + 3 * vocab);
  return isNative ? cache + 4 * parameterCount(dimensions, 'tokens') : cache;
}

function tokens({ rows, seq }: Batch) {
  const flat = (value: (column: number) => number): Int32Array =>
    Int32Array.from({ length: rows * seq }, (_, i) => value(i % seq));
  return { batch: rows, seq, ids: flat(() => 0), segments: flat(() => 1), positions: flat((column) => column) };
}

/** Peak bytes of tensors that the trial makes, on one layer and on two. */
async function peaks(
  dimensions: ModelDimensions,
  head: HeadKind,
  plan: TrainingPlan,
  trial: (model: Model) => void,
): Promise<[number, number]> {
  const found: number[] = [];
  for (const layers of [1, 2]) {
    const windows = dimensions.windows.slice(0, layers);
    const small = { ...dimensions, layers, vocab: Math.min(TRIAL_VOCAB, dimensions.vocab), windows };
    const places = plan.adapters?.places.filter(({ matrix }) => (matrix.layer as number) < layers) ?? [];
    // Rows of tokens are few, and the trial's tables have none of them.
    const adapters = plan.adapters && { ...plan.adapters, places, tokenRows: [] };
    const zeros = (spec: ParameterSpec): Float32Array => new Float32Array(bytesOf(spec) / 4);
    const model = assembleModel(small, head, zeros, { ...plan, adapters }, seededRandom(0));
    const before = tf.memory().numBytes;
    const { peakBytes } = await tf.profile(() => {
      trial(model);
      return undefined as never;
    });
    disposeModel(model);
    found.push(Math.max(0, peakBytes - before));
  }
  return found as [number, number];
}

/** One line for people. */
function describeMemory({ process: own, weights, moments, step, graphs, total }: MemoryEstimate): string {
  const parts = [
    `process ${gigabytes(own)}`,
    `weights ${gigabytes(weights)}`,
    `moments ${gigabytes(moments)}`,
    `step ${gigabytes(step)}`,
    ...(graphs === 0 ? [] : [`graphs ${gigabytes(graphs)}`]),
  ];
  return `memory  about ${gigabytes(total)} GB at the peak: ${parts.join(', ')}`;
}

function gigabytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(2);
}

/** Models below this are loaded without a word: 8 million values. */
const SMALL_BYTES = 32e6;

/**
 * Says what a run will take, before anything is loaded, and refuses one that would not fit. Small models are let through.
 * @throws CheckpointError as `checkMemory`
 */
export async function announceMemory(
  say: (line: string) => void,
  limitGb: number | null,
  models: { readonly trained: readonly PlannedModel[]; readonly others: readonly PlannedModel[] },
  shapes: RunShapes,
): Promise<void> {
  const sizes = [...models.trained, ...models.others].map(parameterBytes);
  if (sizes.every(({ frozen, trained }) => frozen + trained < SMALL_BYTES)) return;
  const estimate = await estimateMemory(models.trained, models.others, shapes);
  checkMemory(estimate, limitGb, freemem());
  say(describeMemory(estimate));
}

/**
 * Refuses a run that would not fit.
 * @param limitGb of the configuration; the memory that is free where null
 * @throws CheckpointError saying what it takes, what there is, and which settings lower it
 */
export function checkMemory(estimate: MemoryEstimate, limitGb: number | null, free: number): void {
  if (isWithin(estimate, limitGb, free)) return;
  const limit = limitOf(estimate, limitGb, free);
  throw new CheckpointError([
    `${describeMemory(estimate)}; there are ${gigabytes(limit)} GB.`,
    'memory.recompute: true, memory.frozen: bfloat16, tuning.method: lora, and fewer or shorter rows in a micro-batch take less; ' +
      'memory.limitGb sets another limit.',
  ]);
}

/** Whether an estimate is within the limit, as `checkMemory` has it. */
export function isWithin(estimate: MemoryEstimate, limitGb: number | null, free: number): boolean {
  return estimate.total <= limitOf(estimate, limitGb, free);
}

function limitOf({ process: own }: MemoryEstimate, limitGb: number | null, free: number): number {
  return limitGb === null ? free + own : limitGb * 2 ** 30;
}
