/** Running stages in tests: quietly, up to an interrupt, and reading what they left behind. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll } from 'vitest';
import { hashPath, readManifest } from '../../src/run/manifest.ts';
import type { MetricDescriptions } from '../../src/run/metrics.ts';
import type { Stage, StageConfig } from '../../src/run/stage.ts';
import { readTable } from '../../src/tables/arrow-file.ts';
import type { Column, Columns } from '../../src/tables/columns.ts';
import { float64, int32, nullable } from '../../src/tables/columns.ts';
import type { Phase, Progress } from '../../src/terminal/progress.ts';

/** One folder for all tests of a file, removed after them. The returned function gives a path inside. */
export function useSharedFolder(): (...parts: string[]) => string {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'plumbline-stages-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (...parts) => join(folder, ...parts);
}

/** Progress that calls back instead of printing: every line said, and every step done. */
export function watchProgress(watch: {
  say?: (line: string) => void;
  step?: (phase: string, done: number) => void;
}): Progress {
  const phase = (label: string): Phase => ({
    update: (done) => watch.step?.(label, done),
    finish: () => undefined,
  });
  return { phase, say: (line) => watch.say?.(line), close: () => undefined };
}

/** The same stage, with Ctrl-C pressed during its n-th step. */
export function interruptedAt<Config extends StageConfig>(stage: Stage<Config>, step: number): Stage<Config> {
  let asked = 0;
  return {
    ...stage,
    run: (config, context) =>
      stage.run(config, {
        ...context,
        interrupted: () => {
          asked += 1;
          return asked === step;
        },
      }),
  };
}

/** Contents of all files below a folder as text that tells any two apart, by path. */
export function filesBelow(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path).toString('base64')]));
}

/** Names of what a run folder holds, in order. */
export function namesIn(folder: string): string[] {
  return readdirSync(folder).sort();
}

/** The rows of metrics.arrow with the columns that the stage declares. */
export function readMetrics(folder: string, descriptions: MetricDescriptions): Record<string, number | null>[] {
  const columns: Record<string, Column<number | null>> = { step: int32('') };
  for (const [name, text] of Object.entries(descriptions)) columns[name] = nullable(float64(text));
  return readTable(join(folder, 'metrics.arrow'), columns satisfies Columns, 'the stage').rows;
}

/** Metrics without those that measure time. */
export function timeless(rows: readonly Record<string, number | null>[]): Record<string, number | null>[] {
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('speed/'))));
}

/** The values of one metric, where it was measured. */
export function seriesOf(rows: readonly Record<string, number | null>[], name: string): number[] {
  return rows.flatMap((row) => (typeof row[name] === 'number' ? [row[name]] : []));
}

/** A finished run's manifest with every hash compared to what is on disk; roles and paths are returned for comparison. */
export async function checkedManifest(folder: string) {
  const manifest = readManifest(folder);
  if (manifest === undefined) throw new Error(`no manifest in ${folder}`);
  const wrong: string[] = [];
  for (const { role, path, hash } of manifest.outputs) {
    if ((await hashPath(role, join(folder, path))) !== hash) wrong.push(`output ${role}`);
  }
  for (const { role, path, hash } of manifest.inputs) {
    if ((await hashPath(role, path)) !== hash) wrong.push(`input ${role}`);
  }
  return { manifest, wrong };
}

/**
 * What an Arrow file says of itself: "name: type" for each column. Read with apache-arrow itself, as a notebook would.
 * @throws where the file is a stream, a column has no description or the Hugging Face features are missing
 */
export function arrowColumns(path: string): string[] {
  const bytes = readFileSync(path);
  if (bytes.toString('latin1', 0, 6) !== 'ARROW1') throw new Error(`${path} is not in Arrow's file format`);
  const { schema } = tableFromIPC(bytes);
  if (!schema.metadata.has('huggingface')) throw new Error(`${path} has no huggingface features`);
  return schema.fields.map((field) => {
    if ((field.metadata.get('description') ?? '') === '') throw new Error(`${path}: ${field.name} has no description`);
    return `${field.name}: ${field.type}`;
  });
}

/** All rows of an Arrow file as plain objects; lists as arrays. */
export function arrowRows(path: string): Record<string, unknown>[] {
  const plain = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && Symbol.iterator in value
      ? Array.from(value as Iterable<unknown>)
      : value;
  return tableFromIPC(readFileSync(path))
    .toArray()
    .map((row) =>
      Object.fromEntries(Object.entries(row.toJSON() as object).map(([name, value]) => [name, plain(value)])),
    );
}
