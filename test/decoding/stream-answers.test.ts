/** Streamed answers against `generate`, which draws the same tokens. */

import { beforeAll, describe, expect, it } from 'vitest';
import { decodeSteps } from '../../src/decoding/decode-steps.ts';
import { generate } from '../../src/decoding/generate.ts';
import type { StreamedAnswer, StreamOptions } from '../../src/decoding/stream-answers.ts';
import { streamAnswers } from '../../src/decoding/stream-answers.ts';
import { decodeResponse, encodePrompt } from '../../src/examples/instruction.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { byteModel, trainedByteModel } from '../evaluation/byte-model.ts';
import { talk } from '../helpers/messages.ts';
import { useLane } from '../helpers/use-lane.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const tokenizer = byteTokenizer();
const prompts = ['hello', 'what is it?', 'x'].map((text) => encodePrompt(talk(text), tokenizer));
const options: StreamOptions = { temperature: 1, topK: 0, topP: 1, maxNewTokens: 12, stops: [] };
const rows = [
  { prompt: 'sky', target: 'blue, not green' },
  { prompt: 'sea', target: 'deep\nand wide' },
];
let random: Model;
let trained: Model;
beforeAll(async () => {
  await useLane();
  random = byteModel();
  trained = await trainedByteModel(tokenizer, rows);
  return () => [random, trained].forEach(disposeModel);
});

/** All pieces of each row, and the answers. */
async function collect(model: Model, asked: readonly Int32Array[], how: StreamOptions, seed = 1) {
  const pieces: string[][] = asked.map(() => []);
  const stream = streamAnswers(model, tokenizer, asked, how, seededRandom(seed));
  let next = await stream.next();
  while (!next.done) {
    pieces[next.value.row]?.push(next.value.text);
    next = await stream.next();
  }
  return { pieces, answers: next.value };
}
const ask = async (prompt: string, how: Partial<StreamOptions> = {}): Promise<StreamedAnswer> => {
  const settings = { ...options, temperature: 0, maxNewTokens: 24, ...how };
  return (await collect(trained, [encodePrompt(talk(prompt), tokenizer)], settings)).answers[0]!;
};

describe('streamAnswers', () => {
  it('draws what generate draws, and its pieces make up the answer', async () => {
    const whole = await generate(random, prompts, { ...options, batchSize: 3 }, tokenizer, seededRandom(1));
    const { pieces, answers } = await collect(random, prompts, options);
    answers.forEach((answer, row) => {
      expect(answer.ids).toEqual([...whole[row]!.ids]);
      expect(Float32Array.from(answer.logProbs)).toEqual(whole[row]!.logProbs);
      expect(answer.text).toBe(decodeResponse(answer.ids, tokenizer));
      expect(pieces[row]!.join('')).toBe(answer.text);
      expect(answer.reason).toBe(whole[row]!.ended ? 'end' : 'length');
    });
  });

  it('says why an answer ended', async () => {
    expect(await ask('sky')).toMatchObject({ text: 'blue, not green', reason: 'end', stop: undefined });
    expect(await ask('sky', { maxNewTokens: 5 })).toMatchObject({ text: 'blue', reason: 'length' });
    expect(await ask('sea', { stops: ['\n'] })).toMatchObject({ text: 'deep', reason: 'stop', stop: '\n' });
    expect(await ask('sky', { stops: [', not', 'green'] })).toMatchObject({
      text: 'blue',
      reason: 'stop',
      stop: ', not',
    });
  });

  it('stops at other ids than EOS where it is told to', async () => {
    const comma = tokenizer.encode(',')[0]!;
    const answer = await ask('sky', { stopIds: [comma] });
    expect(answer).toMatchObject({ reason: 'end', stop: undefined });
    expect(answer.ids.at(-1)).toBe(comma);
    const stop = { padId: tokenizer.padId, eosId: tokenizer.eosId, stopIds: [comma] };
    const settings = { ...options, temperature: 0, batchSize: 1 };
    const [response] = await generate(trained, [encodePrompt(talk('sky'), tokenizer)], settings, stop, seededRandom(1));
    expect(response).toMatchObject({ ended: true, ids: Int32Array.from(answer.ids) });
  });

  it('keeps the first space where the text is raw', async () => {
    expect((await ask('sky', { raw: true })).text).toBe(' blue, not green');
  });

  it('goes on with the other rows when one is stopped by a text', async () => {
    const asked = rows.map(({ prompt }) => encodePrompt(talk(prompt), tokenizer));
    const { answers } = await collect(trained, asked, { ...options, temperature: 0, maxNewTokens: 24, stops: ['ee'] });
    expect(answers.map(({ text }) => text)).toEqual(['blue, not gr', 'd']);
    const other = await collect(trained, asked, { ...options, temperature: 0, maxNewTokens: 24, stops: ['not'] });
    expect(other.answers.map(({ text, reason }) => [text, reason])).toEqual([
      ['blue, ', 'stop'],
      ['deep\nand wide', 'end'],
    ]);
  });

  it('a repetition penalty keeps a greedy model from going round in circles', async () => {
    const one = { ...options, temperature: 0, maxNewTokens: 24 };
    const ids = async (penalty: number): Promise<readonly number[]> =>
      (await collect(random, [prompts[0]!], { ...one, repetitionPenalty: penalty })).answers[0]!.ids;
    // So large a penalty leaves no token that was seen: every id is a new one.
    const penalized = await ids(1e9);
    const seen = new Set([...prompts[0]!, ...penalized]);
    expect(seen.size).toBe(new Set(prompts[0]!).size + penalized.length);
    expect(await ids(1)).not.toEqual(penalized);
  });

  it('frees its tensors, also when the reader stops early', async () => {
    await expectNeutralAfter(async () => {
      await collect(random, prompts, options);
      for await (const piece of streamAnswers(random, tokenizer, prompts, options, seededRandom(1))) {
        expect(piece.row).toBe(0);
        break;
      }
      for await (const step of decodeSteps(random, prompts, { ...options, batchSize: 3 }, tokenizer, seededRandom(1))) {
        step.end(0);
        expect(step.drawn).toHaveLength(3);
        break;
      }
    });
  });
});
