/** The door to the decoder of src/native/decoder.h: it reads tokens beside a cache of its own, and draws. */
import { InvariantError } from '../errors.ts';
import { defineStruct, loadKoffi } from './native-library.ts';
import { nativeLibrary } from './native-ops.ts';

/** As `DecoderShape` of src/native/decoder.h. */
const SHAPE = {
  vocab: 'int64_t',
  positions: 'int64_t',
  layers: 'int64_t',
  heads: 'int64_t',
  kvHeads: 'int64_t',
  headDim: 'int64_t',
  dModel: 'int64_t',
  dFf: 'int64_t',
  rotaryWidth: 'int64_t',
  activation: 'int64_t',
  layerNorm: 'bool',
  gainFromOne: 'bool',
  postNorm: 'bool',
  headNorm: 'bool',
  parallel: 'bool',
  tiedHead: 'bool',
  qkvBias: 'bool',
  outputBias: 'bool',
  mlpBias: 'bool',
  narrow: 'bool',
  normEpsilon: 'float',
  embeddingScale: 'float',
  attentionScale: 'float',
  attentionCap: 'float',
  logitCap: 'float',
} as const;

/** As `Sampling` of src/native/sampling.h. */
const SAMPLING = {
  temperature: 'double',
  topP: 'double',
  minP: 'double',
  repetitionPenalty: 'double',
  topK: 'int64_t',
} as const;

export type NativeShape = {
  readonly [Key in keyof typeof SHAPE]: (typeof SHAPE)[Key] extends 'bool' ? boolean : number;
};
export type NativeSampling = Readonly<Record<keyof typeof SAMPLING, number>>;

/** Tokens to be read: each with its row and column of the cache. */
export interface NativeLines {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
  readonly ids: Int32Array;
  /** Rotation of the layers, and of those with a window where they have their own; null where nothing turns. */
  readonly rotary: NativeAngles | null;
  readonly windowRotary: NativeAngles | null;
}

/** Cosines and sines, each [lines · rotaryWidth]. */
export interface NativeAngles {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** A decoder; its creator disposes it. */
export interface NativeDecoder {
  /** Makes an empty cache of so many rows, or with 0 none. */
  makeRoom(rows: number, columns: number): void;
  /** Gives parameter `index` (in the order of `parameterSpecs`) its values; they are copied. */
  set(index: number, values: Float32Array): void;
  /**
   * Reads lines into the cache, and draws one token after each of those asked for.
   * @param uniforms a number in [0, 1) for each of them
   */
  read(
    lines: NativeLines,
    sampling: NativeSampling,
    asked: Int32Array,
    uniforms: Float64Array,
  ): { id: number; logProb: number }[];
  dispose(): void;
}

/** The functions, as they are called; they report what is wrong, or null. */
interface Functions {
  make(shape: NativeShape, windows: readonly number[], turnOwn: boolean, made: unknown[]): string | null;
  makeRoom(decoder: unknown, rows: number, columns: number): string | null;
  set(decoder: unknown, index: number, values: Float32Array, size: number): string | null;
  read(...given: unknown[]): string | null;
  free(decoder: unknown): void;
  narrowRows(): number;
  addLowRank(...given: unknown[]): void;
}

let bound: Functions | null = null;

function functions(): Functions {
  if (bound !== null) return bound;
  const library = nativeLibrary();
  if (library === null) throw new InvariantError('native decoder: expected the library of native ops to be in use.');
  const koffi = loadKoffi();
  defineStruct(koffi, 'PlumblineDecoderShape', SHAPE);
  defineStruct(koffi, 'PlumblineSampling', SAMPLING);
  const call = (signature: string): unknown => library.func(signature);
  bound = {
    make: call(
      'const char* plumbline_decoder_make(const PlumblineDecoderShape*, const int64_t* windows, bool, _Out_ void** made)',
    ),
    makeRoom: call('const char* plumbline_decoder_make_room(void*, int64_t rows, int64_t columns)'),
    narrowRows: call('int64_t plumbline_narrow_rows()'),
    set: call('const char* plumbline_decoder_set(void*, int64_t index, const float* values, int64_t size)'),
    read: call(
      'const char* plumbline_decoder_read(void*, int64_t lines, const int32_t* rows, const int32_t* columns, const int32_t* ids, ' +
        'const float* cos, const float* sin, const float* windowCos, const float* windowSin, ' +
        'const PlumblineSampling*, int64_t count, const int32_t* asked, const double* uniforms, void* drawn)',
    ),
    free: call('void plumbline_decoder_free(void*)'),
    addLowRank: call(
      'void plumbline_add_low_rank(float* values, int64_t rows, int64_t width, const float* a, const float* b, int64_t rank, int64_t from, int64_t to, float scale)',
    ),
  } as Functions;
  return bound;
}

function check(problem: string | null): void {
  if (problem !== null) throw new InvariantError(problem);
}

/**
 * A decoder whose parameters have no values yet, without room for rows.
 * @param windows keys that tokens of each layer look back to, themselves included; 0 for all
 * @param turnOwn whether layers with a window have a rotation of their own
 */
export function createNativeDecoder(
  shape: NativeShape,
  { windows, turnOwn }: { windows: readonly number[]; turnOwn: boolean },
): NativeDecoder {
  const { make, makeRoom, set, read, free } = functions();
  const made: unknown[] = [null];
  check(make(shape, windows, turnOwn, made));
  const [decoder] = made;
  return {
    makeRoom: (rows, columns) => check(makeRoom(decoder, rows, columns)),
    set: (index, values) => check(set(decoder, index, values, values.length)),
    read: (lines, sampling, asked, uniforms) => {
      const { rows, columns, ids, rotary, windowRotary } = lines;
      const angles = [rotary, windowRotary].flatMap((one) => [one?.cos ?? null, one?.sin ?? null]);
      // Pairs of an id and a float32.
      const drawn = new Int32Array(2 * asked.length);
      check(read(decoder, ids.length, rows, columns, ids, ...angles, sampling, asked.length, asked, uniforms, drawn));
      const logProbs = new Float32Array(drawn.buffer);
      return Array.from(asked, (_, i) => ({ id: drawn[2 * i] as number, logProb: logProbs[2 * i + 1] as number }));
    },
    dispose: () => free(decoder),
  };
}

/** Whether so many rows are decoded faster with weights in bfloat16. */
export function narrowIsFaster(rows: number): boolean {
  return rows <= functions().narrowRows();
}

/**
 * Adds scale · a · b to columns [from, to) of a matrix, in place. Hu et al. 2021, arXiv:2106.09685, eq. 3.
 * @param values [rows · width]
 * @param a [rows · rank]
 * @param b [rank · (to − from)]
 */
export function addLowRank(
  values: Float32Array,
  { rows, width }: { rows: number; width: number },
  change: { a: Float32Array; b: Float32Array; from: number; to: number; scale: number },
): void {
  const { a, b, from, to, scale } = change;
  functions().addLowRank(values, rows, width, a, b, a.length / rows, from, to, scale);
}
