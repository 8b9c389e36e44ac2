/** The summary of a chain from manifests on disk. */
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { chainSummary as summarise } from '../../src/report/chain-summary.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { chainStages, chainTable as table, writeChain } from './finished-chain.ts';

const inFolder = useTemporaryFolder();
const chainSummary = (folder: string, seed: number) => summarise(folder, seed, chainStages).summary;
const chain = (changes: Parameters<typeof writeChain>[1] = {}) => writeChain(inFolder(), changes);
const problems = (): Promise<string[]> => problemsOf(() => chainSummary(inFolder(), 7), inFolder());

describe('chainSummary', () => {
  it('gathers time, memory and the numbers of every stage', async () => {
    await chain();
    expect(chainSummary(inFolder(), 7)).toEqual({
      lane: 'wasm',
      seed: 7,
      seconds: 199.8,
      secondsByStage: { instruct: 60.26, preferences: 10, reward: 20, ppo: 100, evaluate: 9.5 },
      peakRssMb: 900,
      instruct: { accuracyBase: 0.25, accuracy: 0.5, accuracyUnseenTemplates: 0.375 },
      reward: { heldOutAccuracy: 0.875, ece: 0.0625, 'accuracy: manner': 0.75 },
      ppo: {
        ...{ rightBefore: 0.5, rightAfter: 1, accuracyAfter: 0.5 },
        ...{ goldBefore: 0.375, goldAfter: 0.625, goldSdBefore: 0.25, proxyBefore: 3.75, proxyAfter: 6.25 },
        ...{ klPerResponse: 3.5, winRate: 0.75 },
      },
      table,
    });
  });

  it('refuses an evaluation without conversations or trained tasks, naming what is missing', async () => {
    const bare = table.map((each) => ({ ...each, accuracy: null, gold: null }));
    await chain({ evaluate: { summary: { table: bare } } });
    expect((await problems())[0]).toMatch(
      /its report lacks numbers \(evaluate: accuracy of base, evaluate: accuracy of instruct, evaluate: gold of instruct, evaluate: gold of ppo, evaluate: accuracy of ppo\)\. Give the evaluation these models, prompts and a reward model, and tasks that were trained\.$/,
    );
  });

  it('names every lane that a stage ran on', async () => {
    const session = { startedAt: '', codeVersion: '', gitCommit: null, device: 'cpu', versions: {}, changed: {} };
    await chain({ ppo: { lane: 'cpu', sessions: ['wasm', 'cpu'].map((lane) => ({ ...session, lane })) } });
    expect(chainSummary(inFolder(), 7).lane).toBe('wasm, cpu');
  });

  it('refuses a chain with a stage that has not finished, or has not begun', async () => {
    await chain({ ppo: { status: 'interrupted' } });
    expect(await problems()).toEqual(['ppo: this stage has not finished. Give the same command again to go on.']);
    expect(() => chainSummary(inFolder('nowhere'), 7)).toThrow(CheckpointError);
  });

  it.each([
    ['a model', { table: table.slice(0, 2) }, 'evaluate: line of ppo'],
    ['everything', {}, 'evaluate: line of base, evaluate: line of instruct, evaluate: line of ppo'],
  ])('refuses an evaluation whose table lacks %s', async (_, summary, lacking) => {
    await chain({ evaluate: { summary } });
    expect((await problems())[0]).toContain(`its report lacks numbers (${lacking}). `);
  });

  it('refuses a chain whose stages do not evaluate', async () => {
    await chain();
    expect(() => summarise(inFolder(), 7, chainStages.slice(0, 4))).toThrow(/no stage that makes evaluation table/);
  });
});
