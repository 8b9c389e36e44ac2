/** What a checkpoint answers, greedily, to the first of some prompts: for a person to read while a chain runs. */
import { loadModelFolder } from '../checkpoint/model-folder.ts';
import { generate } from '../decoding/generate.ts';
import { decodeResponse } from '../examples/instruction.ts';
import { disposeModel, trainNothing } from '../model/model.ts';
import { seededRandom } from '../random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { JudgedPrompt } from './chat-prompts.ts';
import { judgedRight } from './judge.ts';

/**
 * @param folder model folder of the checkpoint
 * @param promptsOf the prompts, as the checkpoint's tokenizer has them; throws where there are none
 */
export async function firstAnswer(
  folder: string,
  promptsOf: (tokenizer: Tokenizer, limit: number) => readonly JudgedPrompt[],
  maxNewTokens: number,
): Promise<{ prompt: string; response: string; isRight: boolean | null }> {
  const tokenizer = loadTokenizer(folder);
  const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer });
  try {
    const [first] = promptsOf(tokenizer, model.dimensions.context - maxNewTokens) as [JudgedPrompt];
    const greedy = { temperature: 0, topK: 0, topP: 1, maxNewTokens, batchSize: 1 };
    // Nothing is drawn.
    const random = seededRandom(0, 'greedy');
    const [answer] = await generate(model, [first.promptIds], greedy, tokenizer, random);
    const response = decodeResponse(answer?.ids ?? new Int32Array(), tokenizer);
    return { prompt: first.prompt, response, isRight: judgedRight(first.judge.score(response)) };
  } finally {
    disposeModel(model);
  }
}
