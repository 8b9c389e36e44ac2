/** The report of a finished chain from tables on disk. */
import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { chainReport } from '../../src/report/chain-report.ts';
import { chainSummary } from '../../src/report/chain-summary.ts';
import { writeTable } from '../../src/tables/arrow-file.ts';
import { float32, float64, int32, nullable, utf8 } from '../../src/tables/columns.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { chainStages, writeChain } from './finished-chain.ts';

const inFolder = useTemporaryFolder();
const columns = {
  model: utf8('Model.'),
  prompt: utf8('Prompt.'),
  response: utf8('Response.'),
  gold: float32('Gold.'),
};
const answer = (model: string, prompt: string, response: string, gold: number) => ({ model, prompt, response, gold });
type Answer = ReturnType<typeof answer>;
const metricColumns = {
  step: int32('Step.'),
  'reward/score': nullable(float64('Score.')),
  'reward/gold': nullable(float64('Gold.')),
};
type Metrics = readonly (readonly [number | null, number | null])[];

async function writeMetrics(rows: Metrics): Promise<void> {
  const metrics = rows.map(([score, gold], i) => ({ step: i + 1, 'reward/score': score, 'reward/gold': gold }));
  await writeTable(inFolder('ppo', 'metrics.arrow'), metricColumns, metrics);
}

const reportOf = (paint = (_: string, word: string) => word) =>
  chainReport(inFolder(), chainStages, chainSummary(inFolder(), 7, chainStages), paint);

/** @param answered whether answers are right, as a judge that tells it has it */
async function report(rows: readonly Answer[], answered?: readonly number[], paint?: Parameters<typeof reportOf>[0]) {
  await writeChain(inFolder());
  await writeMetrics([[0, 0.5]]);
  const path = inFolder('evaluate', 'answers.arrow');
  if (answered === undefined) await writeTable(path, columns, rows);
  else {
    const told = rows.map((row, i) => ({ ...row, gold_answered: answered[i]! }));
    await writeTable(path, { ...columns, gold_answered: float32('Answers what was asked.') }, told);
  }
  return reportOf(paint);
}

/** Twenty prompts that two models answer. */
const many = (response: string) =>
  Array.from({ length: 20 }, (_, i) => `p${i} | q\nr`).flatMap((prompt) => {
    return ['instruct', 'ppo'].map((model) => answer(model, prompt, response, 0.5));
  });

describe('chainReport', () => {
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
    expect(text).toMatch(/^\s+accuracy: manner\s+75\.0 %$/m);
    expect(text).toMatch(/^ppo\s+right answers\s+50\.0 %\s+100\.0 %$/m);
    expect(text).toMatch(/^\s+gold score \(hidden\)\s+0\.375\s+0\.625$/m);
    expect(text).toMatch(/^\s+its standard deviation over prompts\s+0\.250$/m);
    expect(text).toMatch(/^\s+KL a response, nats\s+0\.00\s+3\.50$/m);
    expect(text).toContain('  Who? / Answer:\n    before  0.25  Ada\n    after   0.75  Ada, friend!');
    expect(text).not.toContain('Only here');
    expect(text).toContain(`${inFolder()}/report.md`);
  });

  it('shows six answers in the terminal and up to twelve in Markdown, whose cells cannot break the table', async () => {
    const { terminal, markdown } = await report(many('a|b'));
    expect(terminal).toContain(
      'Answers to the first 6 of 20 held-out prompts, in their order and not chosen, with gold scores:',
    );
    const asked = terminal.filter((line) => /^ {2}p\d/.test(line));
    expect(asked).toEqual([0, 1, 2, 3, 4, 5].map((i) => `  p${i} | q / r`));
    expect(terminal.filter((line) => line.startsWith('    before')).length).toBe(6);
    const cells = markdown.split('\n').filter((line) => /^\| p(rompt|\d)/.test(line));
    expect(cells.length).toBe(1 + 12);
    expect(cells[1]).toBe('| p0 \\| q<br>r | a\\|b | 0.50 | a\\|b | 0.50 |');
    expect(markdown).toContain('Lane wasm, seed 7, 200 s (instruct 60 s, preferences 10 s,');
    expect(markdown).toContain('peak memory 900 MB');
  });

  it('marks answers where the judge tells whether they are right: all of it, not a part', async () => {
    const rows = [
      ...['Who?', 'Where?', 'When?'].map((prompt) => answer('instruct', prompt, 'so', 0.25)),
      ...['Who?', 'Where?', 'When?'].map((prompt) => answer('ppo', prompt, 'and so', 0.75)),
    ];
    const paint = (color: string, word: string): string => (color === 'green' ? `+${word}` : `-${word}`);
    const { terminal, markdown } = await report(rows, [0, 0.5, 1, 1, 1, 0], paint);
    const from = terminal.indexOf('right of all 3: 1 before (instruct), 2 after (ppo)');
    expect(terminal.slice(from + 1, from + 10)).toEqual([
      ...['  Who?', '    before  -wrong  0.25  so', '    after   +right  0.75  and so'],
      ...['  Where?', '    before  -wrong  0.25  so', '    after   +right  0.75  and so'],
      ...['  When?', '    before  +right  0.25  so', '    after   -wrong  0.75  and so'],
    ]);
    expect(markdown).toContain('| Who? | so | 0.25 wrong | and so | 0.75 right |');
  });

  it('has no mark and counts nothing where no judge tells', async () => {
    const { terminal, markdown } = await report(many('so'));
    expect(`${terminal.join('\n')}${markdown}`).not.toMatch(/right of all|wrong/);
  });

  it('is whole without answers, where the evaluation had no prompts', async () => {
    await report(many('so'));
    rmSync(inFolder('evaluate', 'answers.arrow'));
    const { terminal, markdown } = reportOf();
    expect(`${terminal.join('\n')}${markdown}`).not.toMatch(/Answers to|answers\.arrow/);
    expect(terminal).toContain('Where to look:');
    expect(markdown).toMatch(/those of a stage alone from its manifest\.\n$/);
  });

  it('draws reward-model score and gold of PPO, the same in Markdown', async () => {
    await report(many('so'));
    // Rises to the end; falls in its second half from 0.75 to 0.25.
    await writeMetrics([
      [-1, 0.5],
      [0, 0.75],
      [1, 0.25],
    ]);
    const { terminal, markdown } = reportOf();
    const from = terminal.indexOf('Step by step of ppo:');
    const plot = terminal.slice(from, from + 11);
    expect(plot[1]).toMatch(/^reward-model score, mean of a rollout {3}gold score \(hidden\), mean of a rollout$/);
    // 33 and 30 characters wide. The last point of one curve is at the top, of the other at the bottom.
    expect(plot[2]).toMatch(/^ 1 ┤ +[⠀-⣿]+ +0\.750 ┤ +[⠀-⣿]+$/);
    expect(plot[2]!.indexOf('0.750')).toBe(40);
    expect(plot[9]).toMatch(/^-1 ┤[⠀-⣿]+ +0\.250 ┤ +[⠀-⣿]+$/);
    expect(plot[10]).toMatch(/^ {4}1 {31}3 {10}1 {28}3$/);
    expect(markdown).toContain(['## Curves', '', '```text', ...plot, '```', ''].join('\n'));
  });

  it('draws the score alone where no judge is, and nothing where nothing was measured', async () => {
    await report(many('so'));
    await writeMetrics([
      [0, null],
      [1, null],
    ]);
    const lines = reportOf().terminal;
    expect(lines[lines.indexOf('Step by step of ppo:') + 1]).toBe('reward-model score, mean of a rollout');
    await writeMetrics([[null, null]]);
    const { terminal, markdown } = reportOf();
    expect(`${terminal.join('\n')}${markdown}`).not.toMatch(/Step by step|## Curves/);
  });

  it('refuses metrics that are gone or lack a curve, naming the stage that writes them', async () => {
    await report(many('so'));
    rmSync(inFolder('ppo', 'metrics.arrow'));
    expect(() => reportOf()).toThrow(DataError);
    expect(await problemsOf(() => reportOf(), inFolder())).toEqual([
      'ppo/metrics.arrow: the file is missing; expected an Arrow file. Run the ppo stage.',
    ]);
    const { step, 'reward/gold': gold } = metricColumns;
    await writeTable(inFolder('ppo', 'metrics.arrow'), { step, 'reward/gold': gold }, []);
    expect(await problemsOf(() => reportOf(), inFolder())).toEqual([
      expect.stringMatching(/^ppo\/metrics\.arrow: column "reward\/score" is missing; .* Run the ppo stage\.$/),
    ]);
  });
});
