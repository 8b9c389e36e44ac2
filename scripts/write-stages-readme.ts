/** Writes the generated part of stages/README.md from what the stages declare. Run: npm run schemas */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { atomicWrite } from '../src/files/atomic-write.ts';
import type { Kind, Output } from '../src/run/declaration.ts';
import { fits } from '../src/run/declaration.ts';
import { metricGlossary } from '../src/run/metrics.ts';
import { runMain } from '../src/run/program.ts';
import type { Stage, StageConfig } from '../src/run/stage.ts';
import { allStages } from '../stages/all.ts';

const FOLDER = new URL('../stages/', import.meta.url);
const README = fileURLToPath(new URL('README.md', FOLDER));

/** stages/README.md as the stages' declarations have it: who takes what from whom, every file with its readers, every metric. */
export function stagesReadme(): string {
  const sections = [
    ...table(['stage', 'what it does', 'takes', 'makes'], allStages.map(overviewRow)),
    ...allStages.flatMap(stageSection),
  ];
  return readFileSync(README, 'utf8').replace(
    /(<!-- stages -->\n)[\s\S]*(<!-- \/stages -->)/,
    (_, open, close) => `${open}\n${sections.join('\n')}\n\n${close}`,
  );
}

function overviewRow(stage: Stage<StageConfig>): string[] {
  const takes = new Set(Object.values(stage.parents).flatMap((parent) => [parent.takes, parent.with ?? []].flat()));
  const makes = new Set(Object.values(stage.outputs).flatMap(({ kind }) => kind ?? []));
  return [`\`${fileOf(stage)}\``, stage.purpose, [...takes].join(', '), [...makes].join(', ')];
}

function stageSection(stage: Stage<StageConfig>): string[] {
  const { parents, outputs, metrics } = stage;
  const taken = Object.entries(parents).map(([key, parent]) => {
    const more = parent.with === undefined ? '' : `, with its ${parent.with} where it has them`;
    return [`\`${key}\``, `${parent.takes}: ${makersOf(parent.takes)}${more}`];
  });
  const made = Object.values(outputs).map((output) => [
    `\`${output.path}\``,
    output.holds + (output.written === undefined ? '' : `; ${output.written}`),
    readersOf(output),
    [...Object.keys(output.columns ?? {}).map((name) => `\`${name}\``), output.moreColumns ?? ''].join(' ').trim(),
  ]);
  return [
    '',
    `## ${fileOf(stage)}`,
    '',
    ...(taken.length === 0 ? [] : [...table(['key', 'takes'], taken), '']),
    ...table(['file', 'holds', 'read by', 'columns'], made),
    ...(metrics === undefined ? [] : ['', ...metricGlossary(metrics)]),
  ];
}

/** "1-instruct": the stage's file, which is called as the stage, after its place in the order where it has a number. */
function fileOf({ name }: Stage<StageConfig>): string {
  const file = readdirSync(FOLDER).find((candidate) => candidate.replace(/^\d+-/, '') === `${name}.ts`);
  if (file === undefined) throw new Error(`stages/ has no file for the stage ${name}; expected ${name}.ts`);
  return file.slice(0, -'.ts'.length);
}

function makersOf(takes: Kind): string {
  return allStages
    .filter(({ outputs }) => Object.values(outputs).some(({ kind }) => fits(kind, takes)))
    .map(({ name }) => name)
    .join(', ');
}

function readersOf({ kind }: Output): string {
  const readers = allStages.filter(({ parents }) =>
    Object.values(parents).some((parent) => fits(kind, parent.takes) || (kind !== undefined && kind === parent.with)),
  );
  if (kind === undefined) return 'people';
  return readers.length === 0 ? 'the report of a chain' : readers.map(({ name }) => name).join(', ');
}

function table(headers: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(headers), `|${'---|'.repeat(headers.length)}`, ...rows.map(line)];
}

await runMain(import.meta.url, () => atomicWrite(README, stagesReadme()));
