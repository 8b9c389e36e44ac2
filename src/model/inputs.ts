/** Decoder inputs made on the host from ids, segments and positions. */

import type { TokenBatch } from '../batch/token-batch.ts';
import { InvariantError } from '../errors.ts';
import type { ColumnRange } from '../tensor/attention.ts';
import { rangeBias } from '../tensor/attention.ts';
import type { HostArray, HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { pick, uploadArrays, vector } from '../tensor/host-arrays.ts';
import type { RotaryAngles } from '../tensor/rope.ts';
import { rotaryArrays } from '../tensor/rope.ts';
import type { Tensor, Tensor1D, Tensor4D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import type { SelfAttention } from './attention-mask.ts';
import { keyRanges, stepBias } from './attention-mask.ts';
import type { ModelDimensions } from './dimensions.ts';
import { rotaryWidth } from './dimensions.ts';

/** What of a batch a model reads: all but which tokens a loss is taken over. */
type ReadTokens = Omit<TokenBatch, 'learned'>;

/** Tensors the decoder reads. */
export interface DecoderInputs {
  readonly batch: number;
  readonly seq: number;
  /** [batch · seq] int32 */
  readonly ids: Tensor1D;
  /** [batch · seq] int32 */
  readonly positions: Tensor1D;
  /** Attention biases by window (null: no limit), each [batch, 1, seq, keys]. */
  readonly biases: ReadonlyMap<number | null, Tensor4D>;
  readonly rotary: RotaryAngles | null;
  /** Those of layers with a window, where they have their own. */
  readonly windowRotary: RotaryAngles | null;
}

/** The bias of layers with this window. */
export function biasOf(inputs: DecoderInputs, window: number | null): Tensor4D {
  return inputs.biases.get(window) as Tensor4D;
}

/** The same with other tensors for the biases, in their order. */
export function withBiases(inputs: DecoderInputs, biases: readonly Tensor[]): DecoderInputs {
  const windows = [...inputs.biases.keys()];
  return { ...inputs, biases: new Map(windows.map((window, i) => [window, biases[i] as Tensor4D])) };
}

/** The rotation of layers with this window. */
export function rotaryOf({ rotary, windowRotary }: DecoderInputs, window: number | null): RotaryAngles | null {
  return window === null ? rotary : (windowRotary ?? rotary);
}

/** What a full forward pass reads; `attention` is given where it depends on data (a prefix), not on the model alone. */
export function inputArrays(
  dimensions: ModelDimensions,
  tokens: ReadTokens,
  attention: SelfAttention = { kind: dimensions.attention },
): HostArrays {
  const { batch, seq } = tokens;
  const perQuery = (values: Float32Array): HostArray => ({ shape: [batch, 1, seq, 1], values });
  const ranges = windowsOf(dimensions).flatMap((window) => {
    const { shared, ...own } = keyRanges(tokens, attention, window);
    return [own, ...(shared === null ? [] : [shared])].flatMap(({ first, end }, place) => {
      const names = rangeNames(window)[place] as RangeNames;
      return [[names.first, perQuery(first)] as const, [names.end, perQuery(end)] as const];
    });
  });
  const columns = vector(Float32Array.from({ length: seq }, (_, column) => column));
  return { ...arraysOf(dimensions, tokens), columns, ...Object.fromEntries(ranges) };
}

/** One new token a row. */
export interface TokenStep {
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** [batch · keys], 1 where a key may be attended to (0 on left padding, and on columns that are still empty). */
  readonly visible: Uint8Array;
  /** [batch], the new token's column of each row; the last one where left out. */
  readonly columns?: Int32Array;
}

/**
 * What one new token a row reads, beside cached ones.
 * @throws InvariantError where earlier tokens would attend to the new one, so that what is cached of them no longer holds
 */
export function stepArrays(dimensions: ModelDimensions, step: TokenStep): HostArrays {
  if (dimensions.attention !== 'causal') {
    throw new InvariantError(
      `decoding: expected a model of causal attention, received one of ${dimensions.attention} attention, which cannot ` +
        'write token by token. Read it with whole passes.',
    );
  }
  const batch = step.ids.length;
  const tokens = { batch, seq: 1, ids: step.ids, segments: step.ids, positions: step.positions };
  const biases = windowsOf(dimensions).map(
    (window) => [biasName(window), stepBias(step.visible, batch, step.columns, window)] as const,
  );
  return { ...arraysOf(dimensions, tokens), ...Object.fromEntries(biases) };
}

/** All but who attends to whom. */
function arraysOf(dimensions: ModelDimensions, { batch, seq, ids, positions }: ReadTokens): HostArrays {
  const { ropeTheta: theta, ropeScaling: scaling, windowRope } = dimensions;
  const size = { batch, seq, width: rotaryWidth(dimensions) };
  const within = windowRope === null ? null : rotaryArrays(positions, { ...size, ...windowRope });
  return {
    ids: vector(ids),
    positions: vector(positions),
    ...(dimensions.positions === 'rotary' && rotaryArrays(positions, { ...size, theta, scaling })),
    ...(within !== null && { 'cos within windows': within.cos, 'sin within windows': within.sin }),
  };
}

/** The windows that occur, each once. */
function windowsOf({ windows }: ModelDimensions): (number | null)[] {
  return [...new Set(windows.length === 0 ? [null] : windows)];
}

function biasName(window: number | null): string {
  return window === null ? 'bias' : `bias within ${window}`;
}

interface RangeNames {
  readonly first: string;
  readonly end: string;
}

/** Of the arrays of `KeyRanges`: those of a query's own keys, and of shared ones where there are some. */
function rangeNames(window: number | null): readonly RangeNames[] {
  const where = window === null ? '' : ` within ${window}`;
  return ['key', 'shared key'].map((key) => ({ first: `first ${key}${where}`, end: `end of ${key}s${where}` }));
}

/** Arrays of `inputArrays` or `stepArrays`, uploaded, as the decoder reads them. */
export function inputsFrom(dimensions: ModelDimensions, tensors: Tensors): DecoderInputs {
  const biasFor = (window: number | null): Tensor4D => {
    if (tensors.columns === undefined) return pick(tensors, biasName(window));
    const ranges = rangeNames(window).flatMap(({ first, end }): ColumnRange[] =>
      tensors[first] === undefined ? [] : [{ first: pick(tensors, first), end: pick(tensors, end) }],
    );
    return rangeBias(ranges, pick(tensors, 'columns'));
  };
  const biases = new Map(windowsOf(dimensions).map((window) => [window, biasFor(window)]));
  const [batch, , seq] = ([...biases.values()][0] as Tensor4D).shape;
  const angles = (where: string): RotaryAngles => ({
    cos: pick(tensors, `cos${where}`),
    sin: pick(tensors, `sin${where}`),
  });
  return {
    batch,
    seq,
    ids: pick(tensors, 'ids'),
    positions: pick(tensors, 'positions'),
    biases,
    rotary: dimensions.positions === 'rotary' ? angles('') : null,
    windowRotary: dimensions.windowRope === null ? null : angles(' within windows'),
  };
}

/** Uploads a batch for a full forward pass; see `inputArrays`. The caller disposes the tensors. */
export function decoderInputs(
  dimensions: ModelDimensions,
  tokens: ReadTokens,
  attention?: SelfAttention,
): DecoderInputs {
  const tensors = uploadArrays(inputArrays(dimensions, tokens, attention));
  const inputs = inputsFrom(dimensions, tensors);
  // What biases were made of: nothing reads it afterwards.
  const read = tensorsOf(inputs);
  tf.dispose(Object.values(tensors).filter((tensor) => !read.includes(tensor)));
  return inputs;
}

/** Uploads one new token a row; see `stepArrays`. */
export function stepInputs(dimensions: ModelDimensions, step: TokenStep): DecoderInputs {
  return inputsFrom(dimensions, uploadArrays(stepArrays(dimensions, step)));
}

/** Frees the tensors of decoder inputs. */
export function disposeInputs(inputs: DecoderInputs): void {
  tf.dispose(tensorsOf(inputs));
}

function tensorsOf({ ids, positions, biases, rotary, windowRotary }: DecoderInputs): Tensor[] {
  const angles = [rotary, windowRotary].flatMap((each) => (each === null ? [] : [each.cos, each.sin]));
  return [ids, positions, ...biases.values(), ...angles];
}
