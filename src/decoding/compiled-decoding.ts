/** Decoding as two graphs, one that reads prompts and one that reads a token a row, with the cache kept in variables. */

import { padLeft, roundedLength } from '../batch/padding.ts';
import { returnCache, takeCache } from '../execution/decoding-cache.ts';
import type { DecodingKind } from '../execution/decoding-graph.ts';
import { decodingPass } from '../execution/decoding-graph.ts';
import type { Engine } from '../graph/engine.ts';
import { inputArrays, stepArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import type { Random } from '../random.ts';
import type { HostArrays, Tensors } from '../tensor/host-arrays.ts';
import { number, vector } from '../tensor/host-arrays.ts';
import type { Tensor2D } from '../tensor/tf.ts';
import type { Decoding, DecodingOptions, RowLine, RowPrompt, RowToken } from './decoding.ts';
import { drawOnHost, refillRows } from './decoding.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';
import { drawInGraph, isPlain } from './sample-token.ts';

/** Where a row stands: its visible columns are first, first + 1, …, next − 1. */
interface Place {
  first: number;
  next: number;
}

/** Decodes inside TensorFlow; tokens are drawn there too where sampling is plain. */
export function compiledDecoding(engine: Engine, options: DecodingOptions): Decoding {
  const { model, rows, drawing } = options;
  const { kvHeads, vocab } = model.dimensions;
  const columns = roundedLength(roundedLength(options.longestPrompt) + options.maxNewTokens);
  const cache = takeCache(engine, model, rows, columns);
  const places: Place[] = Array.from({ length: rows }, () => ({ first: 0, next: 1 }));
  /** The lines of the cache that belong to columns of a row. */
  const slots = (row: number, from: number, count: number): number[] =>
    Array.from({ length: kvHeads * count }, (_, i) => {
      return (row * kvHeads + Math.floor(i / count)) * columns + from + (i % count);
    });
  const { sampling } = drawing;
  const isDrawn = isPlain(sampling) && sampling.temperature !== 0;
  const reader = {
    key: samplingKey(sampling),
    read: (logits: Tensor2D, arrays: Tensors) => drawInGraph(logits, arrays, sampling),
  };
  /** Runs a graph of so many lines, and draws for these rows. */
  const draw = (kind: DecodingKind, given: HostArrays, drawn: readonly RowLine[], lines: number): DrawnToken[] => {
    const uniform = new Float32Array(isDrawn ? lines : 0);
    const arrays = isDrawn ? { ...given, uniform: vector(uniform), temperature: number(sampling.temperature) } : given;
    // Traced before anything is drawn: where that fails, eager decoding starts from the same random state.
    const pass = decodingPass(engine, model, arrays, { kind, cache, reader });
    if (isDrawn) for (const { row, line } of drawn) uniform[line] = belowOne(drawing.random(row));
    const { logits, ids, logProbs } = pass(arrays);
    if (logits !== undefined) return drawOnHost(logits as Float32Array, vocab, drawn, drawing);
    return drawn.map(({ line }) => {
      return { id: (ids as Int32Array)[line] as number, logProb: (logProbs as Float32Array)[line] as number };
    });
  };
  return {
    refills: true,
    fill: async (prompts) => {
      const filled = fillUp(prompts, rows);
      const longest = roundedLength(Math.max(...prompts.map(({ ids }) => ids.length)));
      const padded = padLeft(
        filled.map(({ ids }) => ids),
        0,
        longest,
      );
      const { batch, seq } = padded;
      for (const { row, ids } of prompts) places[row] = { first: seq - ids.length, next: seq };
      const arrays = {
        ...inputArrays(model.dimensions, padded),
        slots: vector(Int32Array.from(filled.flatMap(({ row }) => slots(row, 0, seq)))),
      };
      const drawn = prompts.map(({ row }, line) => ({ row, line }));
      return draw('prompts', arrays, drawn, batch);
    },
    advance: async (tokens) => {
      const arrays = tokenArrays(model, places, tokens, { columns, slots });
      const drawn = tokens.map(({ row }) => ({ row, line: row }));
      return draw('token', arrays, drawn, rows);
    },
    dispose: () => returnCache(engine, cache),
  };
}

/** As many prompts as there are graphs for: copies of the last one write once more what it writes. */
function fillUp(prompts: readonly RowPrompt[], rows: number): RowPrompt[] {
  const count = prompts.length <= refillRows(rows) ? refillRows(rows) : rows;
  return Array.from({ length: count }, (_, i) => prompts[Math.min(i, prompts.length - 1)] as RowPrompt);
}

/** What one token a row reads. A row that rests sees and writes one column, which is written anew before it is needed. */
function tokenArrays(
  model: Model,
  places: Place[],
  tokens: readonly RowToken[],
  { columns, slots }: { columns: number; slots: (row: number, from: number, count: number) => number[] },
): HostArrays {
  const rows = places.length;
  const ids = new Int32Array(rows);
  const positions = new Int32Array(rows);
  const at = new Int32Array(rows);
  const visible = new Uint8Array(rows * columns);
  for (const { row, id } of tokens) {
    const place = places[row] as Place;
    ids[row] = id;
    at[row] = place.next;
    positions[row] = place.next - place.first;
    visible.fill(1, row * columns + place.first, row * columns + place.next);
    place.next += 1;
  }
  for (let row = 0; row < rows; row++) visible[row * columns + (at[row] as number)] = 1;
  return {
    ...stepArrays(model.dimensions, { ids, positions, visible, columns: at }),
    slots: vector(Int32Array.from(places.flatMap((_, row) => slots(row, at[row] as number, 1)))),
  };
}

/** Below 1 in float32, too: the sum of all weights is never passed. */
function belowOne(random: Random): number {
  return Math.min(random.uniform(), 1 - 2 ** -24);
}

function samplingKey(sampling: Sampling): string {
  if (!isPlain(sampling)) return 'logits';
  return sampling.temperature === 0 ? 'greedy' : 'drawn';
}
