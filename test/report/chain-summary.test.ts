/** The summary of a chain from manifests on disk, and the report from it. */
import { mkdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { chainReport } from '../../src/report/chain-report.ts';
import { chainSummary as summarise } from '../../src/report/chain-summary.ts';
import type { Manifest } from '../../src/run/manifest.ts';
import { newManifest, writeManifest } from '../../src/run/manifest.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { float32, utf8 } from '../../src/tables/columns.ts';
import { allStages } from '../../stages/all.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const inFolder = useTemporaryFolder();
const names = ['instruct', 'preferences', 'reward', 'ppo', 'evaluate'];
const declared = allStages.filter(({ name }) => names.includes(name));
const chainSummary = (folder: string, seed: number) => summarise(folder, seed, declared).summary;

const row = (model: string, accuracy: number, gold: number) => ({
  ...{ model, accuracy, accuracy_unseen_templates: accuracy - 0.125, gold, gold_sd: 0.25, reward: 10 * gold },
  ...{ kl: model === 'ppo' ? 3.5 : 0, length: 12, win_rate: model === 'ppo' ? 0.75 : 0.5 },
});
const table = [row('base', 0.25, 0.1), row('instruct', 0.5, 0.375), row('ppo', 0.5, 0.625)];
const stages: Record<string, Partial<Manifest>> = {
  instruct: { seconds: 60.26, peakRssMb: 800, summary: {} },
  preferences: { seconds: 10, peakRssMb: 700, summary: {} },
  reward: { seconds: 20, peakRssMb: 900, summary: { heldOutAccuracy: 0.875, ece: 0.0625 } },
  ppo: { seconds: 100, peakRssMb: 850, summary: {} },
  evaluate: { seconds: 9.5, peakRssMb: 600, summary: { reference: 'instruct', table } },
};

async function chain(changes: Record<string, Partial<Manifest>> = {}): Promise<void> {
  for (const [stage, parts] of Object.entries(stages)) {
    mkdirSync(inFolder(stage));
    const manifest = newManifest({ stage, seed: 1, lane: 'wasm', device: 'cpu', versions: {} });
    await writeManifest(inFolder(stage), { ...manifest, status: 'finished', ...parts, ...changes[stage] });
  }
}
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
      reward: { heldOutAccuracy: 0.875, ece: 0.0625 },
      ppo: {
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
      /its report lacks numbers \(evaluate: accuracy of base, evaluate: accuracy of instruct, evaluate: gold of instruct, evaluate: gold of ppo\)\. Give the evaluation these models, prompts and a reward model, and tasks that were trained\.$/,
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
    expect(() => summarise(inFolder(), 7, declared.slice(0, 4))).toThrow(/no stage that makes evaluation table/);
  });
});

describe('chainReport', () => {
  const columns = {
    model: utf8('Model.'),
    prompt: utf8('Prompt.'),
    response: utf8('Response.'),
    gold: float32('Gold.'),
  };
  const answer = (model: string, prompt: string, response: string, gold: number) => ({ model, prompt, response, gold });

  async function report(rows: ReturnType<typeof answer>[]) {
    await chain();
    await writeTable(inFolder('evaluate', 'answers.arrow'), columns, rows);
    return chainReport(inFolder(), declared, summarise(inFolder(), 7, declared));
  }

  it('shows each stage before and after, and answers of both models to the same prompts', async () => {
    const { terminal } = await report([
      answer('base', 'Who?', 'x', 0),
      answer('instruct', 'Who?\nAnswer:', 'Ada', 0.25),
      answer('instruct', 'Only here', 'y', 0),
      answer('ppo', 'Who?\nAnswer:', 'Ada, friend!', 0.75),
    ]);
    const text = terminal.join('\n');
    expect(text).toMatch(/^instruct\s+accuracy on unseen rows\s+25\.0 %\s+50\.0 %$/m);
    expect(text).toMatch(/^\s+accuracy with unseen templates\s+37\.5 %$/m);
    expect(text).toMatch(/^reward\s+accuracy on held-out pairs\s+50\.0 %\s+87\.5 %$/m);
    expect(text).toMatch(/^ppo\s+gold score \(hidden\)\s+0\.375\s+0\.625$/m);
    expect(text).toMatch(/^\s+its standard deviation over prompts\s+0\.250$/m);
    expect(text).toMatch(/^\s+KL a response, nats\s+0\.00\s+3\.50$/m);
    expect(text).toContain('  Who? / Answer:\n    before  0.25  Ada\n    after   0.75  Ada, friend!');
    expect(text).not.toContain('Only here');
    expect(text).toContain(`${inFolder()}/report.md`);
  });

  it('shows three answers in the terminal and up to twelve in Markdown, whose cells cannot break the table', async () => {
    const prompts = Array.from({ length: 20 }, (_, i) => `p${i} | q\nr`);
    const rows = prompts.flatMap((prompt) => ['instruct', 'ppo'].map((model) => answer(model, prompt, 'a|b', 0.5)));
    const { terminal, markdown } = await report(rows);
    expect(terminal.filter((line) => line.startsWith('    before')).length).toBe(3);
    const cells = markdown.split('\n').filter((line) => /^\| p(rompt|\d)/.test(line));
    expect(cells.length).toBe(1 + 12);
    expect(cells[1]).toBe('| p0 \\| q<br>r | a\\|b | 0.50 | a\\|b | 0.50 |');
    expect(markdown).toContain('Lane wasm, seed 7, 200 s (instruct 60 s, preferences 10 s,');
    expect(markdown).toContain('peak memory 900 MB');
  });
});
