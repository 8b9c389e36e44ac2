/** Reads models in the llama2.c legacy format, so that a published small model can be run as a check. Knows no tokenizer. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { CheckpointError, ShapeError } from '../errors.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { llamaStyle } from '../model/dimensions.ts';
import { readBytes } from './file-bytes.ts';

type Seven = [number, number, number, number, number, number, number];

/** An open file; `close` it. */
export interface Llama2cFile {
  readonly dimensions: ModelDimensions;
  /**
   * The values of one of our parameters, in a fresh array. Reads only what it is made of: linear weights turn from
   * [out, in] to [in, out]; queries, keys and values lie side by side, gate and up projection likewise.
   */
  read(parameter: string): Float32Array;
  close(): void;
}

const HEADER_FIELDS = 7;

/**
 * Opens a file: seven little-endian int32 (dim, hidden, layers, heads, kv heads, vocabulary, context; a negative
 * vocabulary means a head of its own), then float32 tensors, each for all layers together, linear weights as [out, in].
 * @throws CheckpointError when the header is implausible or the length does not fit it
 * @see karpathy/llama2.c export.py legacy_export and run.c memory_map_weights
 */
export function openLlama2c(path: string): Llama2cFile {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const header =
      size < 4 * HEADER_FIELDS ? Buffer.alloc(4 * HEADER_FIELDS) : readBytes(file, 0, 4 * HEADER_FIELDS, path);
    const dimensions = readHeader(header, path);
    const places = tensorPlaces(dimensions);
    const expected = 4 * (HEADER_FIELDS + places.end);
    if (size !== expected) {
      throw new CheckpointError(
        `${path}: expected ${expected} bytes from its header, received ${size}. Download the file again.`,
      );
    }
    const source: Source = (tensor, layer) => {
      const { at, each } = places.of[tensor];
      const bytes = readBytes(file, 4 * (HEADER_FIELDS + at + each * layer), 4 * each, path);
      return new Float32Array(bytes.buffer, bytes.byteOffset, each);
    };
    const read = (parameter: string): Float32Array => readParameter(dimensions, parameter, source);
    return { dimensions, read, close: () => closeSync(file) };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function readHeader(bytes: Buffer, where: string): ModelDimensions {
  const fields = Array.from({ length: HEADER_FIELDS }, (_, i) => bytes.readInt32LE(4 * i)) as Seven;
  const [dModel, dFf, layers, heads, kvHeads, vocab, context] = fields;
  const whole = dModel % heads === 0 && heads % kvHeads === 0 && (dModel / heads) % 2 === 0;
  if (!whole || [dModel, dFf, layers, heads, kvHeads, Math.abs(vocab), context].some((x) => x < 1 || x > 1_000_000)) {
    throw new CheckpointError(
      `${where}: expected a llama2.c header of 7 sizes (dim, hidden, layers, heads, kv heads, vocabulary, context), ` +
        `received ${fields.join(', ')}. Is this a llama2.c .bin file of version 0?`,
    );
  }
  return llamaStyle({ vocab: Math.abs(vocab), context, layers, heads, kvHeads, dModel, dFf, tiedHead: vocab > 0 });
}

/** Where each tensor begins and how many numbers a layer has of it, in file order and counted in numbers after the header. */
function tensorPlaces({ vocab, context, layers, heads, kvHeads, headDim, dModel, dFf, tiedHead }: ModelDimensions) {
  const counts = {
    embedding: { each: vocab * dModel, times: 1 },
    attentionNorm: { each: dModel, times: layers },
    query: { each: heads * headDim * dModel, times: layers },
    key: { each: kvHeads * headDim * dModel, times: layers },
    value: { each: kvHeads * headDim * dModel, times: layers },
    output: { each: dModel * heads * headDim, times: layers },
    mlpNorm: { each: dModel, times: layers },
    gate: { each: dFf * dModel, times: layers },
    down: { each: dModel * dFf, times: layers },
    up: { each: dFf * dModel, times: layers },
    finalNorm: { each: dModel, times: 1 },
    // Tables of cosines and sines, which we compute ourselves.
    rotary: { each: context * headDim, times: 1 },
    head: { each: vocab * dModel, times: tiedHead ? 0 : 1 },
  };
  let end = 0;
  const places = Object.entries(counts).map(([name, { each, times }]) => {
    const at = end;
    end += each * times;
    return [name, { at, each }] as const;
  });
  return { of: Object.fromEntries(places) as Record<keyof typeof counts, { at: number; each: number }>, end };
}

type TensorName = keyof ReturnType<typeof tensorPlaces>['of'];
/** The numbers of a tensor in a layer, as they lie in the file. */
type Source = (tensor: TensorName, layer: number) => Float32Array;

const NORMS: Readonly<Record<string, TensorName>> = {
  'attention.norm.gain': 'attentionNorm',
  'mlp.norm.gain': 'mlpNorm',
};

/** One parameter from the tensors it is made of. */
function readParameter(dimensions: ModelDimensions, parameter: string, source: Source): Float32Array {
  const [, number = '0', part = parameter] = /^blocks\.(\d+)\.(.+)$/.exec(parameter) ?? [];
  const layer = Number(number);
  if (part === 'embedding.tokens') return source('embedding', 0);
  if (part === 'final_norm.gain') return source('finalNorm', 0);
  const norm = NORMS[part];
  if (norm !== undefined) return source(norm, layer);
  const { input, width, columns } = linearPieces(dimensions, part);
  const values = new Float32Array(input * width);
  for (const { tensor, from, row } of columns) writeColumns(values, source(tensor, layer), { input, width, from, row });
  return values;
}

interface Linear {
  /** Ours is [input, width]. */
  readonly input: number;
  readonly width: number;
  /** The tensors it is made of, each from its column on; `row` says where an output row of ours lies in the file. */
  readonly columns: readonly { tensor: TensorName; from: number; row?: (row: number) => number }[];
}

function linearPieces({ heads, kvHeads, headDim, dModel, dFf, vocab }: ModelDimensions, part: string): Linear {
  const [query, key] = [heads * headDim, kvHeads * headDim];
  const row = halvesRow(headDim);
  const linears: Readonly<Record<string, Linear>> = {
    'attention.qkv.weight': {
      input: dModel,
      width: query + 2 * key,
      columns: [
        { tensor: 'query', from: 0, row },
        { tensor: 'key', from: query, row },
        { tensor: 'value', from: query + key },
      ],
    },
    'attention.output.weight': { input: query, width: dModel, columns: [{ tensor: 'output', from: 0 }] },
    'mlp.input.weight': {
      input: dModel,
      width: 2 * dFf,
      columns: [
        { tensor: 'gate', from: 0 },
        { tensor: 'up', from: dFf },
      ],
    },
    'mlp.output.weight': { input: dFf, width: dModel, columns: [{ tensor: 'down', from: 0 }] },
    'head.weight': { input: dModel, width: vocab, columns: [{ tensor: 'head', from: 0 }] },
  };
  const found = linears[part];
  if (found === undefined) throw new ShapeError(`llama2.c: a model has no parameter "${part}".`);
  return found;
}

/**
 * llama2.c rotates neighbours (2i, 2i + 1) and we rotate halves (i, i + head_dim/2): where output row `row` of ours lies
 * in the file. Scores do not change, because queries and keys move together.
 */
function halvesRow(headDim: number): (row: number) => number {
  const half = headDim / 2;
  return (row) => {
    const within = row % headDim;
    return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  };
}

/** Writes `source` [out, input], transposed, into columns `from` … of `target` [input, width]. */
function writeColumns(
  target: Float32Array,
  source: Float32Array,
  place: { input: number; width: number; from: number; row: ((row: number) => number) | undefined },
): void {
  const { input, width, from, row = (index: number) => index } = place;
  for (let out = 0; out < source.length / input; out++) {
    const start = row(out) * input;
    for (let i = 0; i < input; i++) target[i * width + from + out] = source[start + i] as number;
  }
}
