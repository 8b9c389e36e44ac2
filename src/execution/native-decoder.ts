/** A model as a native decoder: its shape, and its weights with what adapters change. */
import { hostCopies } from '../graph/captured.ts';
import { allowsBfloat16 } from '../graph/mode.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { attentionScale, rotaryWidth } from '../model/dimensions.ts';
import type { Model } from '../model/model.ts';
import { parameterSpecs } from '../model/parameter-table.ts';
import { bfloat16Values } from '../tensor/half-precision.ts';
import type { NativeDecoder, NativeShape } from '../tensor/native-decoder.ts';
import { addLowRank, createNativeDecoder, narrowIsFaster } from '../tensor/native-decoder.ts';
import type { ParameterSpec, Parameters } from '../tensor/parameters.ts';
import { parameterValues, readParameters, tokenAxis } from '../tensor/parameters.ts';
import type { Frozen } from '../tensor/weights.ts';

/** A decoder of weights that never change, kept for the next time: laying out the weights of a large model takes a second. */
interface Kept {
  readonly parameters: Parameters;
  readonly narrow: boolean;
  readonly decoder: NativeDecoder;
  isTaken: boolean;
}

/** The last one; another model takes its place. */
let kept: Kept | null = null;

/**
 * A decoder of today's weights, which are copied: later updates do not change it. Its `dispose` gives it back. With bfloat16
 * products the copies are bfloat16 where that is faster and no adapter changes them: rounding would take small changes away.
 */
export function takeNativeDecoder(model: Model, { rows, columns }: { rows: number; columns: number }): NativeDecoder {
  const { parameters } = model;
  const narrow = allowsBfloat16() && parameters.adapters === null && narrowIsFaster(rows);
  const isFixed = parameters.layout.total === 0;
  if (isFixed && kept?.parameters === parameters && kept.narrow === narrow && !kept.isTaken)
    return take(kept, rows, columns);
  const decoder = nativeDecoderOf(model, narrow);
  if (!isFixed || kept?.isTaken) {
    decoder.makeRoom(rows, columns);
    return decoder;
  }
  kept?.decoder.dispose();
  kept = { parameters, narrow, decoder, isTaken: false };
  return take(kept, rows, columns);
}

function take(one: Kept, rows: number, columns: number): NativeDecoder {
  one.decoder.makeRoom(rows, columns);
  one.isTaken = true;
  const giveBack = (): void => {
    one.decoder.makeRoom(0, 0);
    one.isTaken = false;
  };
  return { ...one.decoder, dispose: giveBack };
}

function nativeDecoderOf({ dimensions, parameters }: Model, narrow: boolean): NativeDecoder {
  const windows = Array.from({ length: dimensions.layers }, (_, layer) => dimensions.windows[layer] ?? 0);
  const turnOwn = dimensions.windowRope !== null;
  const trained = parameters.layout.total === 0 ? new Float32Array() : readParameters(parameters);
  const decoder = createNativeDecoder(nativeShape(dimensions, narrow), { windows, turnOwn });
  try {
    let index = 0;
    for (const group of groupsOf(parameterSpecs(dimensions, 'tokens'))) {
      const frozen = group.flatMap(({ name }) => parameters.frozen[name] ?? []);
      const values = new Map(hostCopies(frozen.map(({ data }) => data)).map((copy, i) => [frozen[i], copy]));
      const base = (one: Frozen): Float32Array => widened(one, values.get(one) as Float32Array);
      for (const spec of group) decoder.set(index++, valuesOf(parameters, trained, base, spec));
    }
  } catch (error) {
    decoder.dispose();
    throw error;
  }
  return decoder;
}

/** Values that are on the host at once, at most, where there is more than one parameter. */
const GROUP_VALUES = 2 ** 24;

function groupsOf(specs: readonly ParameterSpec[]): ParameterSpec[][] {
  const groups: ParameterSpec[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const spec of specs) {
    const own = spec.shape.reduce((product, length) => product * length, 1);
    if (size + own > GROUP_VALUES) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(spec);
    size += own;
  }
  return groups;
}

/** As `ReadActivation` of src/native/decoder.h. */
const ACTIVATIONS = { gelu: 0, swiglu: 1, geglu: 2, gelu_exact: 3, relu: 4 } as const;

function nativeShape(dimensions: ModelDimensions, narrow: boolean): NativeShape {
  const { vocab, context, layers, heads, kvHeads, headDim, dModel, dFf, positions, biases } = dimensions;
  return {
    vocab,
    layers,
    heads,
    kvHeads,
    headDim,
    dModel,
    dFf,
    positions: positions === 'learned' ? context : 0,
    rotaryWidth: positions === 'rotary' ? rotaryWidth(dimensions) : 0,
    activation: ACTIVATIONS[dimensions.activation],
    layerNorm: dimensions.norm === 'layer',
    gainFromOne: dimensions.gainFromOne,
    postNorm: dimensions.postNorm,
    headNorm: dimensions.headNorm,
    parallel: dimensions.residual === 'parallel',
    tiedHead: dimensions.tiedHead,
    qkvBias: biases.qkv,
    outputBias: biases.attentionOutput,
    mlpBias: biases.mlp,
    narrow,
    normEpsilon: dimensions.normEpsilon,
    embeddingScale: dimensions.scaledEmbedding ? Math.sqrt(dModel) : 1,
    attentionScale: attentionScale(dimensions),
    attentionCap: dimensions.attentionSoftCap ?? 0,
    logitCap: dimensions.logitSoftCap ?? 0,
  };
}

/** A parameter as products read it; `trained` are all that are trained. */
function valuesOf(
  { layout, frozen, adapters }: Parameters,
  trained: Float32Array,
  baseOf: (frozen: Frozen) => Float32Array,
  spec: ParameterSpec,
): Float32Array {
  const of = (name: string): Float32Array => parameterValues(layout, trained, name);
  const base = frozen[spec.name];
  if (base === undefined) return of(spec.name);
  const changes = adapters?.places.filter(({ matrix }) => matrix.name === spec.name) ?? [];
  const replaced = adapters?.tokenRows.filter(({ matrix }) => matrix.name === spec.name) ?? [];
  const unchanged = baseOf(base);
  if (adapters === null || changes.length + replaced.length === 0) return unchanged;
  const values = unchanged.slice();
  const [rows, width] = spec.shape as readonly [number, number];
  for (const { name, from, to } of changes) {
    const change = { a: of(`${name}.a`), b: of(`${name}.b`), from, to, scale: adapters.scale };
    addLowRank(values, { rows, width }, change);
  }
  for (const { name, ids } of replaced) putRows(values, spec, ids, of(name));
  return values;
}

/** Rows of tokens in the places of the table's, which are columns of a head. rows [ids, d_model] */
function putRows(values: Float32Array, spec: ParameterSpec, ids: readonly number[], rows: Float32Array): void {
  const width = spec.shape[1] as number;
  const size = rows.length / ids.length;
  for (const [i, id] of ids.entries()) {
    const row = rows.subarray(i * size, (i + 1) * size);
    if (tokenAxis(spec) === 0) values.set(row, id * width);
    else for (const [j, value] of row.entries()) values[j * width + id] = value;
  }
}

/** Values of a frozen parameter from what its tensor holds. */
function widened({ precision }: Frozen, values: Float32Array): Float32Array {
  if (precision === 'float32') return values;
  return bfloat16Values(new Uint16Array(values.buffer, values.byteOffset, 2 * values.length));
}
