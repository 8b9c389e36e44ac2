/** Decoding by native code: one call reads a token of every row and draws the next, whatever the sampling. */
import { takeNativeDecoder } from '../execution/native-decoder.ts';
import type { ModelDimensions } from '../model/dimensions.ts';
import { rotaryWidth } from '../model/dimensions.ts';
import type { NativeAngles, NativeLines, NativeSampling } from '../tensor/native-decoder.ts';
import type { RotarySize } from '../tensor/rope.ts';
import { rotaryArrays } from '../tensor/rope.ts';
import type { Decoding, DecodingOptions, RowPrompt, RowToken } from './decoding.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';

/** Rows of a model whose weights are read now. */
export function nativeDecoding({ model, rows, longestPrompt, maxNewTokens, drawing }: DecodingOptions): Decoding {
  const { dimensions } = model;
  const decoder = takeNativeDecoder(model, { rows, columns: longestPrompt + maxNewTokens });
  const sampling = nativeSampling(drawing.sampling);
  /** The column of each row that is filled next. */
  const next = new Int32Array(rows);
  const draw = (given: readonly RowPrompt[], askedRows: readonly number[]): DrawnToken[] => {
    const lines = linesOf(dimensions, given, next);
    let last = -1;
    const asked = Int32Array.from(given, ({ ids }) => (last += ids.length));
    const uniforms = Float64Array.from(askedRows, (row) =>
      sampling.temperature === 0 ? 0 : drawing.random(row).uniform(),
    );
    for (const { row, ids } of given) next[row] = (next[row] as number) + ids.length;
    return decoder.read(lines, sampling, asked, uniforms);
  };
  const rowOf = ({ row }: RowPrompt | RowToken): number => row;
  return {
    refills: true,
    fill: (prompts) => {
      for (const { row } of prompts) next[row] = 0;
      return draw(prompts, prompts.map(rowOf));
    },
    advance: (tokens) =>
      draw(
        tokens.map(({ row, id }) => ({ row, ids: Int32Array.of(id) })),
        tokens.map(rowOf),
      ),
    dispose: decoder.dispose,
  };
}

function nativeSampling({ temperature, topK, topP, minP = 0, repetitionPenalty = 1 }: Sampling): NativeSampling {
  return { temperature, topK, topP, minP, repetitionPenalty };
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
