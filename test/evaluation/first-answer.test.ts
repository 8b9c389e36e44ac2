/** The greedy answer to the first prompt against a full pass over every next token. */
import { beforeAll, describe, expect, it } from 'vitest';
import { responseLogProbs } from '../../src/alignment/score-responses.ts';
import { promptAndResponse, responseBatch } from '../../src/batch/response-batch.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { firstAnswer } from '../../src/evaluation/first-answer.ts';
import { decodeResponse, encodePrompt } from '../../src/examples/instruction.ts';
import { userSays } from '../../src/message.ts';
import { disposeModel, trainNothing } from '../../src/model/model.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { makeTinyWorld } from '../helpers/tiny-world.ts';
import { useLane } from '../helpers/use-lane.ts';
import { expectNeutralAfter } from '../tensor/neutral.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path());
  await useLane();
});

/** Two prompts; the judge of the first tells `answered`, where it tells it. */
function promptsOf(tokenizer: Tokenizer, parts: Record<string, number>) {
  return ['Who lives in Moss?', 'Where?'].map((prompt, i) => ({
    ...{ id: `p${i}`, prompt, promptIds: encodePrompt(userSays(prompt), tokenizer) },
    judge: { parts: {}, score: () => ({ total: 0.5, parts: i === 0 ? parts : {} }) },
  }));
}

describe('firstAnswer', () => {
  it('is the likeliest token each time, to the first prompt, in what the context leaves', async () => {
    const tokenizer = loadTokenizer(world.base);
    const prompts = promptsOf(tokenizer, { answered: 1 });
    const { model } = loadModelFolder(world.base, { plan: trainNothing(), tokenizer });
    const ids: number[] = [];
    while (ids.length < 3 && ids.at(-1) !== tokenizer.eosId) {
      const whole = Int32Array.of(...prompts[0]!.promptIds, ...ids);
      const each = Array.from({ length: model.dimensions.vocab }, (_, id) => {
        return promptAndResponse(whole, Int32Array.of(id));
      });
      const next = [...responseLogProbs(model, responseBatch(each, tokenizer.padId), 1)];
      ids.push(next.indexOf(Math.max(...next)));
    }
    const limits: number[] = [];
    const ask = (own: Tokenizer, limit: number) => {
      limits.push(limit);
      return promptsOf(own, { answered: 1 });
    };
    expect(await firstAnswer(world.base, ask, 3)).toEqual({
      ...{ prompt: 'Who lives in Moss?', response: decodeResponse(ids, tokenizer), isRight: true },
    });
    expect(limits).toEqual([model.dimensions.context - 3]);
    disposeModel(model);
  });

  it.each([
    ['right only where all of it is', { answered: 0.5 }, false],
    ['neither right nor wrong where its judge does not tell', { friendly: 1 }, null],
  ])('is %s', async (_, parts, isRight) => {
    const answer = await firstAnswer(world.base, (own) => promptsOf(own, parts as Record<string, number>), 2);
    expect(answer.isRight).toBe(isRight);
  });

  it('frees the model, also where there are no prompts', async () => {
    const refuse = () => {
      throw new Error('no prompts');
    };
    await expectNeutralAfter(async () => {
      await firstAnswer(world.base, (own) => promptsOf(own, {}), 2);
      await expect(firstAnswer(world.base, refuse, 2)).rejects.toThrow('no prompts');
    });
  });
});
