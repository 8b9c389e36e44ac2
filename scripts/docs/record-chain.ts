/** What the documents show of a finished chain, taken from its run folder. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../src/errors.ts';
import { evaluationTables } from '../../src/evaluation/evaluation-tables.ts';
import { formatTable } from '../../src/report/table.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { readTable } from '../../src/tables/arrow-file.ts';
import { float32, int32, nullable } from '../../src/tables/columns.ts';
import type { RecordedChain, SeedRun, Seeds } from './figures.ts';

/** What is read of `ppo/metrics.arrow`. */
export const curveColumns = {
  step: int32('Rollouts.'),
  'held_out/gold': nullable(float32('Gold on held-out prompts.')),
  'held_out/reward': nullable(float32('Reward-model score on them.')),
  'held_out/kl': nullable(float32('KL a response on them.')),
};
/** What is read of `evaluate/answers.arrow`. */
const { model, prompt, response, gold } = evaluationTables.answers.columns;
export const answerColumns = { model, prompt, response, gold };

/**
 * @param folder run folder of `npm run align`
 * @param machine the machine it ran on, in words
 * @param prompt the held-out prompt whose answers are shown
 * @throws DataError where the chain has no summary or report, or no model answered the prompt
 */
export function recordChain(folder: string, machine: string, prompt: string): RecordedChain {
  const summary = readSummary(folder);
  const manifest = readManifest(join(folder, 'ppo'));
  if (manifest?.gitCommit === undefined || manifest.gitCommit === null)
    throw new DataError(`${folder}/ppo: its manifest names no commit; expected a run of a git checkout. Run it there.`);
  const made = 'npm run align';
  const metrics = readTable(join(folder, 'ppo', 'metrics.arrow'), curveColumns, made).rows;
  const curve = metrics.flatMap((row) => {
    const [gold, reward, kl] = [row['held_out/gold'], row['held_out/reward'], row['held_out/kl']];
    return gold === null || reward === null || kl === null ? [] : [{ step: row.step, gold, reward, kl }];
  });
  const { rows } = readTable(join(folder, 'evaluate', 'answers.arrow'), answerColumns, made);
  const answers = rows
    .filter((row) => row.prompt === prompt)
    .map(({ model, response, gold }) => ({ model, response, gold }));
  if (answers.length === 0) {
    const known = [...new Set(rows.map((row) => row.prompt))].slice(0, 3).join(' | ');
    throw new DataError(`--prompt: nobody answered "${prompt}"; expected a prompt of answers.arrow, as ${known}.`);
  }
  const printed = firstTable(readFileSync(join(folder, 'report.md'), 'utf8'));
  const date = manifest.startedAt.slice(0, 10);
  const measured = {
    commit: manifest.gitCommit,
    date,
    machine,
    lane: summary.lane,
    note: `seed ${summary.seed}`,
  };
  return { measured, seconds: summary.seconds, printed, curve, prompt, answers };
}

/**
 * The numbers of chains of several seeds.
 * @param chain the first of them, as it is recorded
 * @throws DataError where they are of different commits
 */
export function recordSeeds(folders: readonly string[], { measured }: RecordedChain): Seeds {
  const others = folders.flatMap((folder) => {
    const commit = readManifest(join(folder, 'ppo'))?.gitCommit;
    return commit === measured.commit
      ? []
      : [`${folder}/ppo: is of commit ${commit}; expected ${measured.commit}, as ${folders[0]} is. Run it again.`];
  });
  if (others.length > 0) throw new DataError(others);
  const runs = folders.map((folder) => {
    const { seed, lane, seconds, instruct, reward, ppo } = readSummary(folder);
    return { seed, lane, seconds, instruct, reward, ppo };
  });
  const { note: _ofTheFirst, ...shared } = measured;
  return { measured: shared, runs };
}

const readSummary = (folder: string): SeedRun =>
  JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as SeedRun;

/** The first table of report.md, as the chain printed it. */
function firstTable(report: string): string[] {
  const lines = report.split('\n');
  const first = lines.findIndex((line) => line.startsWith('| '));
  const end = lines.findIndex((line, index) => index > first && !line.startsWith('|'));
  const [headers = [], , ...rows] = lines.slice(first, end).map((line) => line.slice(2, -2).split(' | '));
  return formatTable(headers, rows, { align: ['left', 'left', 'right', 'right'] });
}
