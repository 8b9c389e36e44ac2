/** Decoding as two graphs, one that reads prompts and one that reads a token a row, with the cache kept in variables. */

import type { Engine } from '../compile/engine.ts';
import type { Compiled } from '../compile/function.ts';
import type { Port, Variable } from '../compile/graph.ts';
import { padLeft, roundedLength } from '../data/batch.ts';
import type { KeyValues } from '../model/decoder.ts';
import { decode, selectPositions } from '../model/decoder.ts';
import { tokenLogits } from '../model/heads.ts';
import { inputArrays, inputsFrom, stepArrays } from '../model/inputs.ts';
import type { Model } from '../model/model.ts';
import { modelGraph } from '../steps/model-graph.ts';
import type { HostArrays } from '../tensor/host-arrays.ts';
import { number, pick, vector } from '../tensor/host-arrays.ts';
import type { Tensor1D } from '../tensor/tf.ts';
import { tf } from '../tensor/tf.ts';
import { drawInGraph, isPlain } from './compiled-draw.ts';
import type { Decoding, DecodingOptions, Drawing, RowPrompt, RowToken } from './decoding.ts';
import { drawOnHost, refillRows } from './decoding.ts';
import type { DecodingCache } from './decoding-cache.ts';
import { putIntoCache, returnCache, takeCache, wholeCache } from './decoding-cache.ts';
import type { DrawnToken, Sampling } from './sample-token.ts';

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
  const cells = (row: number, from: number, count: number): number[] =>
    Array.from({ length: kvHeads * count }, (_, i) => {
      return (row * kvHeads + Math.floor(i / count)) * columns + from + (i % count);
    });
  const draw = (
    graphOf: (like: HostArrays) => Compiled<string>,
    arrays: HostArrays,
    drawn: readonly number[],
    lines: { readonly count: number; readonly of: (index: number) => number },
  ): DrawnToken[] => {
    // Traced before anything is drawn: where that fails, eager decoding starts from the same random state.
    const graph = graphOf({ ...arrays, ...uniformArrays(drawing, [], lines) });
    const { logits, ids, logProbs } = graph.run({ ...arrays, ...uniformArrays(drawing, drawn, lines) }, ['cache']);
    if (logits !== undefined) return drawOnHost(logits as Float32Array, vocab, drawn, lines.of, drawing);
    return drawn.map((_, index) => {
      const line = lines.of(index);
      return { id: (ids as Int32Array)[line] as number, logProb: (logProbs as Float32Array)[line] as number };
    });
  };
  return {
    refills: true,
    fill: (prompts) => {
      const filled = fillUp(prompts, rows);
      const longest = roundedLength(Math.max(...prompts.map(({ ids }) => ids.length)));
      const {
        batch,
        length: seq,
        ...padded
      } = padLeft(
        filled.map(({ ids }) => ids),
        0,
        longest,
      );
      for (const { row, ids } of prompts) places[row] = { first: seq - ids.length, next: seq };
      const tokens = { batch, seq, ids: padded.ids, segments: padded.attentionMask, positions: padded.positionIds };
      const arrays = {
        ...inputArrays(model.dimensions, tokens),
        cells: vector(Int32Array.from(filled.flatMap(({ row }) => cells(row, 0, seq)))),
      };
      const drawn = prompts.map(({ row }) => row);
      const lines = { count: batch, of: (index: number) => index };
      return draw((like) => promptGraph(engine, model, like, cache, drawing.sampling), arrays, drawn, lines);
    },
    advance: (tokens) => {
      const arrays = tokenArrays(model, places, tokens, { columns, cells });
      const drawn = tokens.map(({ row }) => row);
      const lines = { count: rows, of: (index: number) => drawn[index] as number };
      return draw((like) => tokenGraph(engine, model, like, cache, drawing.sampling), arrays, drawn, lines);
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
  { columns, cells }: { columns: number; cells: (row: number, from: number, count: number) => number[] },
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
    cells: vector(Int32Array.from(places.flatMap((_, row) => cells(row, at[row] as number, 1)))),
  };
}

/** One number in [0, 1) for each line of the batch whose row draws, from that row's own numbers. */
function uniformArrays(
  { sampling, random }: Drawing,
  drawn: readonly number[],
  lines: { readonly count: number; readonly of: (index: number) => number },
): HostArrays {
  if (!isPlain(sampling) || sampling.temperature === 0) return {};
  const uniform = new Float32Array(lines.count);
  // Below 1 in float32, too: the sum of all weights is never passed.
  for (const [index, row] of drawn.entries()) {
    uniform[lines.of(index)] = Math.min(random(row).uniform(), 1 - 2 ** -24);
  }
  return { uniform: vector(uniform), temperature: number(sampling.temperature) };
}

function promptGraph(engine: Engine, model: Model, like: HostArrays, cache: DecodingCache, sampling: Sampling) {
  const key = `prompts, ${cache.name} ${samplingKey(sampling)}`;
  return modelGraph(
    engine,
    model,
    key,
    like,
    (weights, arrays, tracer) => {
      const { dimensions } = model;
      const inputs = inputsFrom(dimensions, arrays);
      const { hidden, present } = decode(dimensions, weights, inputs);
      const last = Int32Array.from({ length: inputs.batch }, (_, row) => (row + 1) * inputs.seq - 1);
      const logits = tokenLogits(dimensions, weights, selectPositions(hidden, tf.tensor1d(last, 'int32')));
      const cells = tracer.port(pick<Tensor1D>(arrays, 'cells'));
      const targets = present.flatMap(({ keys, values }, layer) => {
        const kept = cache.layers[layer] as DecodingCache['layers'][number];
        const put = (variable: Variable, fresh: KeyValues['keys']) =>
          putIntoCache(engine, tracer, variable, fresh, cells).operation;
        return [put(kept.keys, keys), put(kept.values, values)];
      });
      return { outputs: drawInGraph(tracer, logits, arrays, sampling), targets: { cache: targets } };
    },
    cache.narrow,
  );
}

function tokenGraph(engine: Engine, model: Model, like: HostArrays, cache: DecodingCache, sampling: Sampling) {
  const key = `token, ${cache.name} ${samplingKey(sampling)}`;
  return modelGraph(
    engine,
    model,
    key,
    like,
    (weights, arrays, tracer) => {
      const { dimensions } = model;
      const inputs = inputsFrom(dimensions, arrays);
      const size = { rows: inputs.batch, kvHeads: dimensions.kvHeads };
      const cells = tracer.port(pick<Tensor1D>(arrays, 'cells'));
      const join = (layer: number, fresh: KeyValues): KeyValues => {
        const kept = cache.layers[layer] as DecodingCache['layers'][number];
        const put = (variable: Variable, one: KeyValues['keys']) =>
          wholeCache(tracer, putIntoCache(engine, tracer, variable, one, cells).outputs[0] as Port, size);
        return { keys: put(kept.keys, fresh.keys), values: put(kept.values, fresh.values) };
      };
      const { hidden } = decode(dimensions, weights, inputs, [], { join });
      const logits = tokenLogits(dimensions, weights, hidden);
      return { outputs: drawInGraph(tracer, logits, arrays, sampling), targets: { cache: [] } };
    },
    cache.narrow,
  );
}

function samplingKey(sampling: Sampling): string {
  if (!isPlain(sampling)) return 'logits';
  return sampling.temperature === 0 ? 'greedy' : 'drawn';
}
