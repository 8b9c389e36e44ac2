import { beforeAll, describe, expect, it } from 'vitest';
import { responseLogProbs, responseScores } from '../../src/alignment/score-responses.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { generate } from '../../src/decoding/generate.ts';
import { answerPrompts, judged, meanAnswer } from '../../src/evaluation/answer-prompts.ts';
import type { ChatPrompt } from '../../src/evaluation/chat-prompts.ts';
import type { Judge } from '../../src/evaluation/judge.ts';
import { decodeResponse, encodePrompt } from '../../src/examples/instruction.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { talk } from '../helpers/messages.ts';
import '../helpers/allclose.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';
import { byteModel } from './byte-model.ts';

const tokenizer = byteTokenizer();
/** A judge that tells both the prompt and the answer it was given apart. */
const judgeOf = (i: number): Judge => ({
  parts: { place: 'Place of the prompt.', size: 'Characters of the answer.' },
  score: (answer) => ({
    total: ((7 * answer.length + i) % 10) / 10,
    parts: { place: i / 10, size: answer.length / 99 },
  }),
});
const prompts: ChatPrompt[] = ['What?', 'How much is a hat?', 'Hm', 'Who asks?', 'And now?'].map((prompt, i) => ({
  ...{ id: `p${i}`, prompt, promptIds: encodePrompt(talk(prompt), tokenizer) },
  judge: i === 4 ? null : judgeOf(i),
}));
const options = { temperature: 0.7, topK: 0, topP: 1, maxNewTokens: 6, batchSize: 2 };

describe.each(lanesToTest())('answerPrompts on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('gives each prompt the answer drawn for it, with judgement, normalised reward and KL of its own', async () => {
    const [policy, reference, reward] = [byteModel('tokens', 1), byteModel('tokens', 2), byteModel('score', 3)];
    const models = { reference, reward, normalisation: { mean: 0.5, deviation: 4 } };
    const answers = await answerPrompts(policy, models, prompts, options, tokenizer, seededRandom(1));
    const promptIds = prompts.map((prompt) => prompt.promptIds);
    const drawn = await generate(policy, promptIds, options, tokenizer, seededRandom(1));
    answers.forEach((answer, i) => {
      const { ids, ended } = drawn[i]!;
      const response = decodeResponse(ids, tokenizer);
      expect(answer).toMatchObject({ prompt: prompts[i], response, ended, length: ids.length });
      expect(answer.judgement).toEqual(i === 4 ? null : judgeOf(i).score(response));
      const alone = responseBatch([promptAndResponse(promptIds[i]!, ids)], tokenizer.padId);
      const sum = (values: Float32Array): number => values.reduce((total, x) => total + x, 0);
      const [p, q] = [policy, reference].map((model) => sum(responseLogProbs(model, alone, options.temperature)));
      expect([answer.kl, answer.reward]).toBeAllclose([p! - q!, (responseScores(reward, alone)[0]! - 0.5) / 4], {
        rtol: 1e-3,
        atol: 1e-3,
      });
    });
    expect(judged(answers)).toEqual(answers.slice(0, 4));
    const totals = answers.slice(0, 4).map(({ response }, i) => judgeOf(i).score(response).total);
    expect([meanAnswer(answers).gold]).toBeAllclose([totals.reduce((sum, total) => sum + total, 0) / 4]);
    expect(meanAnswer(answers.slice(4)).gold).toBeNull();
    for (const model of [policy, reference, reward]) disposeModel(model);
  });

  it('has KL 0 where the policy is its own reference', async () => {
    const [policy, reward] = [byteModel(), byteModel('score')];
    const models = { reference: policy, reward, normalisation: { mean: 0, deviation: 1 } };
    const answers = await answerPrompts(policy, models, prompts, options, tokenizer, seededRandom(1));
    expect(answers.map(({ kl }) => kl)).toEqual([0, 0, 0, 0, 0]);
    disposeModel(policy);
    disposeModel(reward);
  });

  it('leaves no tensors behind', async () => {
    const [policy, reward] = [byteModel(), byteModel('score')];
    const models = { reference: policy, reward, normalisation: { mean: 0, deviation: 1 } };
    await expectNeutralAfter(async () => {
      await answerPrompts(policy, models, prompts, options, tokenizer, seededRandom(1));
    });
    disposeModel(policy);
    disposeModel(reward);
  });
});
