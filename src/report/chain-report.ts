/** What a person reads after the chain: a table before and after each stage, a few answers side by side, and where to look. */
import { join } from 'node:path';
import { readTable } from '../tables/arrow-file.ts';
import { float32, utf8 } from '../tables/columns.ts';
import type { ChainSummary } from './chain-summary.ts';
import { formatTable } from './table.ts';

const answerColumns = {
  model: utf8('Which checkpoint answered.'),
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  gold: float32('Gold score.'),
};

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Each stage's number before and after it. */
function stageRows({ instruct, reward, ppo }: ChainSummary): string[][] {
  return [
    ['1 instruct', 'accuracy on unseen rows', percent(instruct.accuracyBase), percent(instruct.accuracy)],
    ['', 'accuracy with unseen templates', '', percent(instruct.accuracyUnseenTemplates)],
    ['2 reward', 'accuracy on held-out pairs', '50.0 %', percent(reward.heldOutAccuracy)],
    ['', 'calibration error', '', reward.ece.toFixed(3)],
    ['3 ppo', 'gold score (hidden)', ppo.goldBefore.toFixed(3), ppo.goldAfter.toFixed(3)],
    ['', 'its standard deviation over prompts', ppo.goldSdBefore.toFixed(3), ''],
    ['', 'reward-model score', ppo.proxyBefore.toFixed(2), ppo.proxyAfter.toFixed(2)],
    ['', 'KL a response, nats', '0.00', ppo.klPerResponse.toFixed(2)],
    ['', 'win rate by gold', '50.0 %', percent(ppo.winRate)],
  ];
}

const HEADERS = ['stage', 'measure', 'before', 'after'];

/** The first held-out prompts with the answers of the instruct and the PPO model. */
function sideBySide(
  folder: string,
  count: number,
): { prompt: string; before: string; after: string; gold: [number, number] }[] {
  const { rows } = readTable(
    join(folder, 'evaluate', 'answers.arrow'),
    answerColumns,
    'node --import tsx stages/4-evaluate.ts',
  );
  const after = new Map(rows.filter(({ model }) => model === 'ppo').map((row) => [row.prompt, row]));
  return rows
    .filter(({ model, prompt }) => model === 'instruct' && after.has(prompt))
    .slice(0, count)
    .map((row) => {
      const other = after.get(row.prompt) ?? row;
      return { prompt: row.prompt, before: row.response, after: other.response, gold: [row.gold, other.gold] };
    });
}

/** The report for the terminal and, longer, as Markdown. */
export function chainReport(folder: string, summary: ChainSummary): { terminal: string[]; markdown: string } {
  const rows = stageRows(summary);
  const table = formatTable(HEADERS, rows, { align: ['left', 'left', 'right', 'right'] });
  const samples = sideBySide(folder, 12);
  const shown = samples
    .slice(0, 3)
    .flatMap(({ prompt, before, after, gold }) => [
      `  ${prompt.replaceAll('\n', ' / ')}`,
      `    before  ${gold[0].toFixed(2)}  ${before}`,
      `    after   ${gold[1].toFixed(2)}  ${after}`,
    ]);
  const where = [
    `${folder}/report.md                    this report, with more samples`,
    `${folder}/summary.json                 the numbers`,
    `${folder}/evaluate/answers.arrow       every answer with its scores`,
    `${folder}/{instruct,reward,ppo}/metrics.arrow   the curves`,
  ];
  const terminal = [
    '',
    ...table,
    '',
    'Answers to held-out prompts, with gold scores:',
    ...shown,
    '',
    'Where to look:',
    ...where.map((line) => `  ${line}`),
  ];
  return { terminal, markdown: markdownReport(summary, rows, samples) };
}

function markdownReport(
  summary: ChainSummary,
  rows: readonly string[][],
  samples: ReturnType<typeof sideBySide>,
): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', '<br>');
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  const rule = (count: number): string => `|${'---|'.repeat(count)}`;
  const seconds = Object.entries(summary.secondsByStage).map(([stage, value]) => `${stage} ${value.toFixed(0)} s`);
  return [
    '# Report of a chain',
    '',
    `Lane ${summary.lane}, seed ${summary.seed}, ${summary.seconds.toFixed(0)} s (${seconds.join(', ')}), peak memory ${summary.peakRssMb.toFixed(0)} MB.`,
    '',
    line(HEADERS),
    rule(HEADERS.length),
    ...rows.map(line),
    '',
    '## Answers to held-out prompts',
    '',
    line(['prompt', 'instruct', 'gold', 'ppo', 'gold']),
    rule(5),
    ...samples.map(({ prompt, before, after, gold }) =>
      line([prompt, before, gold[0].toFixed(2), after, gold[1].toFixed(2)]),
    ),
    '',
    'The numbers of stages 1 and 3 come from `evaluate/table.arrow`, those of stage 2 from the held-out pairs in ' +
      '`reward/samples.arrow` and `reward/calibration.arrow`; every answer is in `evaluate/answers.arrow`.',
    '',
  ].join('\n');
}
