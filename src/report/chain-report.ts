/** What a person reads after the chain: a table before and after each stage, a few answers side by side, and where to look. */
import { join } from 'node:path';
import { evaluationTables } from '../evaluation/evaluation-tables.ts';
import type { Figure } from '../run/declaration.ts';
import { readManifest } from '../run/manifest.ts';
import type { Stage, StageConfig } from '../run/stage.ts';
import { readTable } from '../tables/arrow-file.ts';
import { type ChainSummary, type StageFigures, stageThatMakes } from './chain-summary.ts';
import { formatTable } from './table.ts';

/** What is read of the judged answers. */
const { model, prompt, response, gold } = evaluationTables.answers.columns;
const answerColumns = { model, prompt, response, gold };

/** Each stage's numbers before and after it. */
function stageRows(stages: readonly StageFigures[]): string[][] {
  return stages.flatMap(({ stage, figures }) =>
    figures.map(({ measure, shown, before, after }, i) => [
      i === 0 ? stage : '',
      measure,
      showSide(before, shown),
      showSide(after, shown),
    ]),
  );
}

function showSide(side: Figure['before'], shown: Figure['shown']): string {
  const [value] = typeof side === 'object' ? Object.values(side) : [side];
  if (value === undefined) return '';
  return shown === 'percent' ? `${(100 * value).toFixed(1)} %` : value.toFixed(shown);
}

const HEADERS = ['stage', 'measure', 'before', 'after'];

interface Sample {
  readonly prompt: string;
  readonly before: string;
  readonly after: string;
  readonly gold: readonly [number, number];
}

/** The first held-out prompts with the answers of two models. */
function sideBySide(
  path: string,
  writtenBy: string,
  [first, second]: readonly [string, string],
  count: number,
): Sample[] {
  const { rows } = readTable(path, answerColumns, writtenBy);
  const after = new Map(rows.filter(({ model }) => model === second).map((row) => [row.prompt, row]));
  return rows
    .filter(({ model, prompt }) => model === first && after.has(prompt))
    .slice(0, count)
    .map((row) => {
      const other = after.get(row.prompt) ?? row;
      return { prompt: row.prompt, before: row.response, after: other.response, gold: [row.gold, other.gold] };
    });
}

/**
 * The report for the terminal and, longer, as Markdown. Answers of the evaluation's reference stand beside those of the last
 * model of its table.
 */
export function chainReport(
  folder: string,
  stages: readonly Stage<StageConfig>[],
  { summary, figures }: { readonly summary: ChainSummary; readonly figures: readonly StageFigures[] },
): { terminal: string[]; markdown: string } {
  const rows = stageRows(figures);
  const table = formatTable(HEADERS, rows, { align: ['left', 'left', 'right', 'right'] });
  const { stage, output } = stageThatMakes(stages, 'judged answers');
  const answers = `${folder}/${stage.name}/${output.path}`;
  // Evaluations before the reference was written down had one that was always called so.
  const reference = String(readManifest(join(folder, stage.name))?.summary.reference ?? 'instruct');
  const compared = [reference, summary.table.at(-1)?.model ?? reference] as const;
  const samples = sideBySide(answers, `the ${stage.name} stage with prompts`, compared, 12);
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
    `${answers}       every answer with its scores`,
    ...stages.flatMap(({ name, metrics }) =>
      metrics ? `${folder}/${name}/metrics.arrow   the curves of ${name}` : [],
    ),
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
  return { terminal, markdown: markdownReport(summary, rows, { compared, samples, answers }) };
}

function markdownReport(
  summary: ChainSummary,
  rows: readonly string[][],
  { compared, samples, answers }: { compared: readonly [string, string]; samples: readonly Sample[]; answers: string },
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
    line(['prompt', compared[0], 'gold', compared[1], 'gold']),
    rule(5),
    ...samples.map(({ prompt, before, after, gold }) =>
      line([prompt, before, gold[0].toFixed(2), after, gold[1].toFixed(2)]),
    ),
    '',
    `Numbers of models come from the evaluation’s table, those of a stage alone from its manifest; every answer is in \`${answers}\`.`,
    '',
  ].join('\n');
}
