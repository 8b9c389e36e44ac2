/** The parts of any judge as columns of answers.arrow. */

import { expect, it } from 'vitest';
import type { JudgedAnswer } from '../../src/evaluation/answer-prompts.ts';
import type { ChatPrompt } from '../../src/evaluation/chat-prompts.ts';
import { answerRow } from '../../src/evaluation/evaluation-rows.ts';
import { answerColumns, partColumns } from '../../src/evaluation/evaluation-tables.ts';
import { readTable, writeTable } from '../../src/tables/arrow-file.ts';
import { float32 } from '../../src/tables/columns.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();

const judgement = { total: 0.75, parts: { right: 1, brief: 0.5 } };
const parts = { right: 'Names the sum.', brief: 'In few words.' };
const prompt = (judge: ChatPrompt['judge']): ChatPrompt => ({
  id: 'a',
  prompt: '1 + 1',
  promptIds: new Int32Array(),
  judge,
});

it('a row has a column for each part of its judge', async () => {
  const judged = prompt({ parts, score: () => judgement });
  const columns = { ...answerColumns, ...partColumns([prompt(null), judged]) };
  expect(columns).toMatchObject({ gold_right: float32('Names the sum.'), gold_brief: float32('In few words.') });
  const answer: JudgedAnswer = {
    prompt: judged,
    response: '2',
    ended: true,
    length: 2,
    judgement,
    reward: -1,
    kl: 0.25,
  };
  await writeTable(inFolder('answers.arrow'), columns, [answerRow('ppo', answer)]);
  expect(readTable(inFolder('answers.arrow'), columns, 'stage 4').rows).toEqual([
    {
      ...{ model: 'ppo', prompt: '1 + 1', response: '2', gold: 0.75, gold_right: 1, gold_brief: 0.5 },
      ...{ reward: -1, kl: 0.25, length: 2, ended: true },
    },
  ]);
  expect(partColumns([prompt(null)])).toEqual({});
});
