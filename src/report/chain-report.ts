/** What a person reads after the chain: a table before and after each stage, a few answers, curves, and where to look. */
import { join } from 'node:path';
import type { Figure } from '../run/declaration.ts';
import { readManifest } from '../run/manifest.ts';
import type { Stage, StageConfig } from '../run/stage.ts';
import { answerLines, answerPairs, answerRows } from './chain-answers.ts';
import { chainCurves } from './chain-curves.ts';
import { type ChainSummary, type StageFigures, stageThatMakes } from './chain-summary.ts';
import type { PaintMark } from './show-answer.ts';
import { formatTable } from './table.ts';

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

/** Held-out prompts that the terminal and the Markdown show. */
const [IN_TERMINAL, IN_MARKDOWN] = [6, 12];

/**
 * The report for the terminal and, longer, as Markdown. Answers of the evaluation's reference stand beside those of the last
 * model of its table.
 * @throws DataError where answers or metrics cannot be read
 */
export function chainReport(
  folder: string,
  stages: readonly Stage<StageConfig>[],
  { summary, figures }: { readonly summary: ChainSummary; readonly figures: readonly StageFigures[] },
  paint: PaintMark,
): { terminal: string[]; markdown: string } {
  const rows = stageRows(figures);
  const table = formatTable(HEADERS, rows, { align: ['left', 'left', 'right', 'right'] });
  const { stage, output } = stageThatMakes(stages, 'judged answers');
  const answers = `${folder}/${stage.name}/${output.path}`;
  // Evaluations before the reference was written down had one that was always called so.
  const reference = String(readManifest(join(folder, stage.name))?.summary.reference ?? 'instruct');
  const compared = [reference, summary.table.at(-1)?.model ?? reference] as const;
  const pairs = answerPairs(answers, `the ${stage.name} stage with prompts`, compared);
  const curves = chainCurves(folder, stages);
  const where = [
    `${folder}/report.md                    this report, with more samples`,
    `${folder}/summary.json                 the numbers`,
    ...(pairs.length === 0 ? [] : [`${answers}       every answer with its scores`]),
    ...stages.flatMap(({ name, metrics }) =>
      metrics ? `${folder}/${name}/metrics.arrow   the curves of ${name}` : [],
    ),
  ];
  const parts = [table, answerLines(pairs, compared, IN_TERMINAL, paint), curves];
  const terminal = [
    ...parts.flatMap((part) => (part.length === 0 ? [] : ['', ...part])),
    '',
    'Where to look:',
    ...where.map((line) => `  ${line}`),
  ];
  const samples = answerRows(pairs, IN_MARKDOWN);
  return { terminal, markdown: markdownReport(summary, rows, { compared, samples, answers, curves }) };
}

interface MarkdownParts {
  readonly compared: readonly [string, string];
  /** Prompts with the answers of both models. */
  readonly samples: readonly string[][];
  /** Where all answers are. */
  readonly answers: string;
  readonly curves: readonly string[];
}

function markdownReport(
  summary: ChainSummary,
  rows: readonly string[][],
  { compared: [first, second], samples, answers, curves }: MarkdownParts,
): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', '<br>');
  const table = (headers: readonly string[], body: readonly string[][]): string[] => {
    const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
    return [line(headers), `|${'---|'.repeat(headers.length)}`, ...body.map(line), ''];
  };
  const seconds = Object.entries(summary.secondsByStage).map(([stage, value]) => `${stage} ${value.toFixed(0)} s`);
  const answered = table(['prompt', first, 'gold', second, 'gold'], samples);
  const every = samples.length === 0 ? '' : `; every answer is in \`${answers}\``;
  return [
    '# Report of a chain',
    '',
    `Lane ${summary.lane}, seed ${summary.seed}, ${summary.seconds.toFixed(0)} s (${seconds.join(', ')}), peak memory ${summary.peakRssMb.toFixed(0)} MB.`,
    '',
    ...table(HEADERS, rows),
    ...(samples.length === 0 ? [] : ['## Answers to held-out prompts', '', ...answered]),
    ...(curves.length === 0 ? [] : ['## Curves', '', '```text', ...curves, '```', '']),
    `Numbers of models come from the evaluation’s table, those of a stage alone from its manifest${every}.`,
    '',
  ].join('\n');
}
