/** Reads models in the llama2.c legacy format, so that a published small model can be run as a check. Knows no tokenizer. */
import { CheckpointError } from '../errors.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { llamaStyle, parameterSpecs } from '../model/dimensions.ts';
import { layoutOf, parameterValues } from '../tensor/parameters.ts';

/** What `modelFrom(dimensions, 'tokens', values)` takes. */
export interface Llama2cModel {
  readonly dimensions: ModelDimensions;
  /** Every parameter, in the order of `parameterSpecs`. */
  readonly values: Float32Array;
}

const HEADER_FIELDS = 7;

/**
 * Seven little-endian int32 (dim, hidden, layers, heads, kv heads, vocabulary, context; a negative vocabulary means a
 * head of its own), then float32 tensors, each for all layers together, linear weights as [out, in].
 * @param where the file's name, for errors
 * @throws CheckpointError when the header is implausible or the length does not fit it
 * @see karpathy/llama2.c export.py legacy_export and run.c memory_map_weights
 */
export function readLlama2c(bytes: Uint8Array, where: string): Llama2cModel {
  const dimensions = readHeader(bytes, where);
  const sizes = tensorSizes(dimensions);
  const expected = 4 * (HEADER_FIELDS + Object.values(sizes).reduce((total, size) => total + size, 0));
  if (bytes.byteLength !== expected) {
    throw new CheckpointError(
      `${where}: expected ${expected} bytes from its header, received ${bytes.byteLength}. Download the file again.`,
    );
  }
  return { dimensions, values: arrange(dimensions, splitTensors(bytes, sizes)) };
}

function readHeader(bytes: Uint8Array, where: string): ModelDimensions {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = Array.from({ length: HEADER_FIELDS }, (_, i) =>
    bytes.byteLength >= 4 * HEADER_FIELDS ? view.getInt32(4 * i, true) : 0,
  ) as [number, number, number, number, number, number, number];
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

/** Elements of each tensor, in file order. */
function tensorSizes(dimensions: ModelDimensions) {
  const { vocab, context, layers, heads, kvHeads, headDim, dModel, dFf, tiedHead } = dimensions;
  return {
    embedding: vocab * dModel,
    attentionNorm: layers * dModel,
    query: layers * heads * headDim * dModel,
    key: layers * kvHeads * headDim * dModel,
    value: layers * kvHeads * headDim * dModel,
    output: layers * dModel * heads * headDim,
    mlpNorm: layers * dModel,
    gate: layers * dFf * dModel,
    down: layers * dModel * dFf,
    up: layers * dFf * dModel,
    finalNorm: dModel,
    // Tables of cosines and sines, which we compute ourselves.
    rotary: context * headDim,
    head: tiedHead ? 0 : vocab * dModel,
  };
}

type Sizes = ReturnType<typeof tensorSizes>;
type Tensors = Readonly<Record<keyof Sizes, Float32Array>>;

function splitTensors(bytes: Uint8Array, sizes: Sizes): Tensors {
  // A copy, because a Node Buffer need not start at a multiple of four (and its `slice` would share memory).
  // Little-endian, as every platform that Node runs on.
  const numbers = new Float32Array(new Uint8Array(bytes.subarray(4 * HEADER_FIELDS)).buffer);
  let at = 0;
  const tensors = Object.entries(sizes).map(([name, size]) => {
    at += size;
    return [name, numbers.subarray(at - size, at)];
  });
  return Object.fromEntries(tensors) as Tensors;
}

/** Copies every tensor to its place: [out, in] becomes [in, out]; queries, keys and values lie side by side. */
function arrange(dimensions: ModelDimensions, tensors: Tensors): Float32Array {
  const { heads, kvHeads, headDim, dModel, dFf, layers, vocab } = dimensions;
  const layout = layoutOf(parameterSpecs(dimensions, 'tokens'));
  const values = new Float32Array(layout.total);
  const place = (name: string): Float32Array => parameterValues(layout, values, name);
  const ofLayer = (tensor: Float32Array, layer: number): Float32Array =>
    tensor.subarray((tensor.length / layers) * layer, (tensor.length / layers) * (layer + 1));

  place('embedding.tokens').set(tensors.embedding);
  for (let layer = 0; layer < layers; layer++) {
    const name = `blocks.${layer}`;
    place(`${name}.attention.norm.gain`).set(ofLayer(tensors.attentionNorm, layer));
    const qkv = place(`${name}.attention.qkv.weight`);
    const width = (heads + 2 * kvHeads) * headDim;
    const row = halvesRow(headDim);
    writeColumns(qkv, ofLayer(tensors.query, layer), { input: dModel, width, from: 0, row });
    writeColumns(qkv, ofLayer(tensors.key, layer), { input: dModel, width, from: heads * headDim, row });
    writeColumns(qkv, ofLayer(tensors.value, layer), { input: dModel, width, from: (heads + kvHeads) * headDim });
    writeColumns(place(`${name}.attention.output.weight`), ofLayer(tensors.output, layer), {
      input: heads * headDim,
      width: dModel,
      from: 0,
    });
    place(`${name}.mlp.norm.gain`).set(ofLayer(tensors.mlpNorm, layer));
    const input = place(`${name}.mlp.input.weight`);
    writeColumns(input, ofLayer(tensors.gate, layer), { input: dModel, width: 2 * dFf, from: 0 });
    writeColumns(input, ofLayer(tensors.up, layer), { input: dModel, width: 2 * dFf, from: dFf });
    const output = { input: dFf, width: dModel, from: 0 };
    writeColumns(place(`${name}.mlp.output.weight`), ofLayer(tensors.down, layer), output);
  }
  place('final_norm.gain').set(tensors.finalNorm);
  if (!dimensions.tiedHead) {
    writeColumns(place('head.weight'), tensors.head, { input: dModel, width: vocab, from: 0 });
  }
  return values;
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
  place: { input: number; width: number; from: number; row?: (row: number) => number },
): void {
  const { input, width, from, row = (index: number) => index } = place;
  for (let out = 0; out < source.length / input; out++) {
    const start = row(out) * input;
    for (let i = 0; i < input; i++) target[i * width + from + out] = source[start + i] as number;
  }
}
