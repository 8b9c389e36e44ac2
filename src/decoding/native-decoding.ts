/** Decoding by native code: one call reads a token of every row and draws the next, whatever the sampling. Prompts take several. */
import { takeNativeDecoder } from '../execution/native-decoder.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { rotaryWidth } from '../model/dimensions.ts';
import type { NativeAngles, NativeLines, NativeSampling } from '../tensor/native-decoder.ts';
import type { RotarySize } from '../tensor/rope.ts';
import { rotaryArrays } from '../tensor/rope.ts';
import type { Decoding, DecodingOptions, RowPrompt } from './decoding.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';
import { takeTurn } from './turns.ts';

/** Tokens that a call reads at most: as many as the decoder computes at once (`MOST` of src/native/decoder.h). */
const MOST_LINES = 512;

/** Rows of a model whose weights are read now. */
export function nativeDecoding({ model, rows, longestPrompt, maxNewTokens, drawing }: DecodingOptions): Decoding {
  const { dimensions } = model;
  const decoder = takeNativeDecoder(model, { rows, columns: longestPrompt + maxNewTokens });
  const sampling = nativeSampling(drawing.sampling);
  /** The column of each row that is filled next. */
  const next = new Int32Array(rows);
  /** Reads the tokens of some rows part by part, and draws after the last of each. */
  const draw = async (given: readonly RowPrompt[]): Promise<DrawnToken[]> => {
    const uniforms = given.map(({ row }) => (sampling.temperature === 0 ? 0 : drawing.random(row).uniform()));
    const drawn: DrawnToken[] = [];
    for (const [index, { pieces, asked }] of partsOf(given).entries()) {
      if (index > 0) await takeTurn();
      const lines = linesOf(dimensions, pieces, next);
      for (const { row, ids } of pieces) next[row] = (next[row] as number) + ids.length;
      const own = uniforms.slice(drawn.length, drawn.length + asked.length);
      drawn.push(...decoder.read(lines, sampling, Int32Array.from(asked), Float64Array.from(own)));
    }
    return drawn;
  };
  return {
    refills: true,
    fill: (prompts) => {
      for (const { row } of prompts) next[row] = 0;
      return draw(prompts);
    },
    advance: (tokens) => draw(tokens.map(({ row, id }) => ({ row, ids: Int32Array.of(id) }))),
    dispose: decoder.dispose,
  };
}

function nativeSampling({ temperature, topK, topP, minP = 0, repetitionPenalty = 1 }: Sampling): NativeSampling {
  return { temperature, topK, topP, minP, repetitionPenalty };
}

/** Tokens of rows that are read in one call, and which of them are the last of their rows, each by its place in the call. */
interface Part {
  readonly pieces: RowPrompt[];
  readonly asked: number[];
}

/** All parts but the last have MOST_LINES tokens: so they are computed together as in one call for all. */
function partsOf(given: readonly RowPrompt[]): Part[] {
  let part: Part = { pieces: [], asked: [] };
  const parts = [part];
  let size = 0;
  for (const { row, ids } of given) {
    let from = 0;
    do {
      if (size === MOST_LINES) {
        part = { pieces: [], asked: [] };
        parts.push(part);
        size = 0;
      }
      const piece = ids.subarray(from, from + MOST_LINES - size);
      part.pieces.push({ row, ids: piece });
      size += piece.length;
      from += piece.length;
    } while (from < ids.length);
    part.asked.push(size - 1);
  }
  return parts;
}

/** All tokens of some rows, each row from its next column on; a token's column is its position. */
function linesOf(dimensions: ModelDimensions, given: readonly RowPrompt[], next: Int32Array): NativeLines {
  const count = given.reduce((sum, { ids }) => sum + ids.length, 0);
  const rows = new Int32Array(count);
  const columns = new Int32Array(count);
  const ids = new Int32Array(count);
  let line = 0;
  for (const { row, ids: own } of given) {
    ids.set(own, line);
    rows.fill(row, line, line + own.length);
    for (let i = 0; i < own.length; i++) columns[line + i] = (next[row] as number) + i;
    line += own.length;
  }
  const { ropeTheta: theta, ropeScaling: scaling, windowRope, positions } = dimensions;
  const size = { batch: 1, seq: count, width: rotaryWidth(dimensions) };
  const rotary = positions === 'rotary' ? anglesOf(columns, { ...size, theta, scaling }) : null;
  const windowRotary = windowRope === null ? null : anglesOf(columns, { ...size, ...windowRope });
  return { rows, columns, ids, rotary, windowRotary };
}

function anglesOf(columns: Int32Array, size: RotarySize): NativeAngles {
  const { cos, sin } = rotaryArrays(columns, size);
  return { cos: cos.values as Float32Array, sin: sin.values as Float32Array };
}
