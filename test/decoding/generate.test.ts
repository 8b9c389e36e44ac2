/** Batched generation with a cache against a full forward pass for every token. */
import { beforeAll, describe, expect, it } from 'vitest';
import { responseLogProbs } from '../../src/alignment/score-responses.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import type { GenerateOptions } from '../../src/decoding/decode-steps.ts';
import type { Response } from '../../src/decoding/generate.ts';
import { generate } from '../../src/decoding/generate.ts';
import { ConfigError } from '../../src/errors.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel, tinyStop, tinyStyles } from '../model/tiny-model.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const prompts = [5, 2, 9, 1, 4].map((length, seed) => tinyIds(length, seed));
const sampled: GenerateOptions = { temperature: 0.8, topK: 0, topP: 1, maxNewTokens: 8, batchSize: 5 };
const greedy = { ...sampled, temperature: 0 };

/** log-probabilities of every next token after some ids, by a full pass. */
function nextLogProbs(model: Model, ids: Int32Array, temperature: number): number[] {
  const { vocab } = model.dimensions;
  const everyToken = Array.from({ length: vocab }, (_, id) => promptAndResponse(ids, Int32Array.of(id)));
  return [...responseLogProbs(model, responseBatch(everyToken, 0), temperature)];
}

async function idsOf(responses: Promise<Response[]>): Promise<number[][]> {
  return (await responses).map(({ ids }) => [...ids]);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(tinyStyles)('%s: greedy text is the likeliest token each time, until EOS or the limit', async (style) => {
    const model = tinyModel(style);
    const responses = await generate(model, prompts.slice(0, 3), greedy, tinyStop, seededRandom(1));
    responses.forEach(({ ids, ended }, row) => {
      let whole = prompts[row]!;
      for (const id of ids) {
        const next = nextLogProbs(model, whole, 1);
        expect(id).toBe(next.indexOf(Math.max(...next)));
        whole = Int32Array.of(...whole, id);
      }
      expect(ended).toBe(ids.at(-1) === tinyStop.eosId);
      expect(ended || ids.length === greedy.maxNewTokens).toBe(true);
    });
    disposeModel(model);
  });

  it.each(tinyStyles)('%s: log-probabilities as drawn are those of a full, right-padded pass', async (style) => {
    const model = tinyModel(style);
    const responses = await generate(model, prompts, { ...sampled, topK: 20, topP: 0.9 }, tinyStop, seededRandom(2));
    const batch = responseBatch(
      responses.map(({ ids }, row) => promptAndResponse(prompts[row]!, ids)),
      tinyStop.padId,
    );
    const full = responseLogProbs(model, batch, sampled.temperature);
    responses.forEach(({ ids, logProbs }, row) => {
      const start = row * batch.grid.response;
      expect(logProbs).toBeAllclose(full.slice(start, start + ids.length), { rtol: 1e-4, atol: 1e-4 });
    });
    disposeModel(model);
  });

  it('stops at EOS, keeps it, and draws nothing after it', async () => {
    const model = tinyModel();
    // Whatever comes third is made the end: each row then stops at its first occurrence.
    const free = await generate(model, prompts, greedy, { padId: 0, eosId: -1 }, seededRandom(1));
    const eosId = free[0]!.ids[2]!;
    const stopped = await generate(model, prompts, greedy, { padId: 0, eosId }, seededRandom(1));
    stopped.forEach(({ ids, ended, logProbs }, row) => {
      const end = free[row]!.ids.indexOf(eosId);
      expect(ended).toBe(end >= 0);
      expect([...ids]).toEqual([...(end >= 0 ? free[row]!.ids.slice(0, end + 1) : free[row]!.ids)]);
      expect(logProbs.length).toBe(ids.length);
    });
    expect(stopped[0]!.ended).toBe(true);
    expect(stopped[0]!.ids.length).toBeLessThanOrEqual(3);
    disposeModel(model);
  });

  it.each([
    ['greedy', greedy],
    ['drawn', sampled],
    ['filtered', { ...sampled, topK: 5, repetitionPenalty: 1.2 }],
  ])('%s answers do not depend on the other rows or the batch size', async (_, sampling) => {
    const model = tinyModel('llama-untied');
    // Twice over, and with ends that come early, late and not at all, so that rows are taken again and again.
    const asked = [...prompts, ...prompts];
    const all = { ...sampling, batchSize: asked.length };
    const free = await generate(model, asked, all, { padId: 0, eosId: -1 }, seededRandom(1));
    const stop = { padId: 0, eosId: free[0]!.ids[0]!, stopIds: [free[1]!.ids[4]!, free[2]!.ids[2]!] };
    const ids = (batchSize: number) => idsOf(generate(model, asked, { ...sampling, batchSize }, stop, seededRandom(1)));
    const together = await ids(asked.length);
    expect(new Set(together.map(({ length }) => length)).size).toBeGreaterThan(1);
    for (const batchSize of [1, 2, 4, 7]) expect(await ids(batchSize)).toEqual(together);
    disposeModel(model);
  });

  it('greedy answers do not depend on the order', async () => {
    const model = tinyModel('gpt2');
    const ids = (asked: readonly Int32Array[]) =>
      idsOf(generate(model, asked, { ...greedy, batchSize: 3 }, tinyStop, seededRandom(1)));
    expect(await ids([...prompts].reverse())).toEqual((await ids(prompts)).reverse());
    disposeModel(model);
  });

  it('repeats itself with the same seed and not with another', async () => {
    const model = tinyModel();
    const ids = (seed: number) => idsOf(generate(model, prompts, sampled, tinyStop, seededRandom(seed)));
    expect(await ids(1)).toEqual(await ids(1));
    expect(await ids(1)).not.toEqual(await ids(2));
    disposeModel(model);
  });

  it('draws first tokens as often as a full pass says', async () => {
    const model = tinyModel();
    const prompt = prompts[0]!;
    const one = { ...sampled, maxNewTokens: 1, batchSize: 500 };
    const many = Array.from({ length: 2000 }, () => prompt);
    const counts = new Array<number>(32).fill(0);
    const drawn = await generate(model, many, one, tinyStop, seededRandom(3));
    for (const { ids } of drawn) counts[ids[0]!] = counts[ids[0]!]! + 1;
    const expected = nextLogProbs(model, prompt, sampled.temperature).map((x) => 2000 * Math.exp(x));
    // Tokens expected fewer than five times are counted together, as χ² wants.
    const rare = expected.map((count) => count < 5);
    const cells = [
      ...expected.flatMap((count, id) => (rare[id] ? [] : [[count, counts[id]!] as const])),
      [0, 1].map((k) => expected.reduce((sum, e, id) => sum + (rare[id] ? [e, counts[id]!][k]! : 0), 0)) as [
        number,
        number,
      ],
    ].filter(([e]) => e > 0);
    const chiSquare = cells.reduce((sum, [e, found]) => sum + (found - e) ** 2 / e, 0);
    const freedom = cells.length - 1;
    // Mean + 4 standard deviations of χ².
    expect(chiSquare).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom));
    disposeModel(model);
  });

  it('fills the context to its last position and refuses what does not fit', async () => {
    const model = tinyModel('gpt2');
    const prompt = [tinyIds(16, 1)];
    const [response] = await generate(model, prompt, greedy, { padId: 0, eosId: -1 }, seededRandom(1));
    expect(response!.ids.length).toBe(8);
    await expect(generate(model, prompt, { ...greedy, maxNewTokens: 9 }, tinyStop, seededRandom(1))).rejects.toThrow(
      new ConfigError(
        "generation: a prompt of 16 tokens and 9 new ones do not fit the model's context of 24. " +
          'Lower sampling.maxNewTokens, or shorten the prompt.',
      ),
    );
    disposeModel(model);
  });

  it('answers no prompts with no responses', async () => {
    const model = tinyModel();
    expect(await generate(model, [], greedy, tinyStop, seededRandom(1))).toEqual([]);
    disposeModel(model);
  });

  it('leaves no tensors behind', async () => {
    const model = tinyModel();
    await expectNeutralAfter(async () => {
      await generate(model, prompts, { ...sampled, batchSize: 2 }, tinyStop, seededRandom(1));
    });
    disposeModel(model);
  });
});
