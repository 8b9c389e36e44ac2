/** What of a run's settings a later start may change: what changes no result, and its length where the rates allow it. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { CheckpointError } from '../errors.ts';
import { underNewKeys } from '../yaml/renamed-keys.ts';
import { flatten, schemaFields } from '../yaml/schema-fields.ts';
import { readYaml } from '../yaml/yaml-source.ts';
import type { Manifest } from './manifest.ts';

/** Keys of a configuration by what a resumed run may do with them; from the schema's metadata. */
export interface ResumeRules {
  /** Files and folders: what is in them is compared by hash. */
  readonly paths: readonly string[];
  /** Keys that change no result, or no more than a lane does. */
  readonly free: readonly string[];
  /** Keys that say into how many micro-batches an update is split: free, where nothing is drawn for each. */
  readonly splits: readonly string[];
  /** Keys that only some variants of their section have; the key that chooses the variant is compared in any case. */
  readonly variants: readonly string[];
  /** Keys that say how long the run is. */
  readonly lengths: readonly string[];
}

/** How the settings of this start differ from those before. */
export interface ResumeChanges {
  /** Every setting that is not as config.yaml has it, paths too: for the manifest. */
  readonly changed: Readonly<Record<string, unknown>>;
  /** "updates.microBatch 4 (64 before)": differences from the last start, paths aside, for people. */
  readonly lines: readonly string[];
  /** True where the run is to become longer than it was. */
  readonly isLonger: boolean;
}

/** The rules that a schema's keys carry as `.meta({ resume: 'free' | 'split' | 'length' })`. */
export function resumeRules(schema: z.ZodType): ResumeRules {
  const fields = schemaFields(schema);
  const where = (matches: (field: (typeof fields)[number]) => boolean): string[] =>
    fields.filter(matches).map(({ path }) => path);
  return {
    paths: where(({ isPath }) => isPath),
    free: where(({ resume }) => resume === 'free'),
    splits: where(({ resume }) => resume === 'split'),
    variants: where(({ isOfVariant }) => isOfVariant),
    lengths: where(({ resume }) => resume === 'length'),
  };
}

/**
 * Compares the settings of a run folder with those of a later start.
 * @throws CheckpointError naming every setting that must not change, and why the run cannot be longer
 */
export function compareSettings(path: string, config: unknown, rules: ResumeRules, manifest: Manifest): ResumeChanges {
  const source = readYaml(join(path, 'config.yaml'));
  const now = flatten(config);
  const stored = flatten(source.data);
  const changedLast = Object.entries(manifest.sessions.at(-1)?.changed ?? {});
  const begun = underNewKeys(stored, [...now.keys()]);
  const last = underNewKeys(new Map([...stored, ...changedLast]), [...now.keys()]);
  const at = (key: string): string => `${source.locate(key.split('.'))} ${key}`;
  const problems: string[] = [];
  const changed: Record<string, unknown> = {};
  const lines: string[] = [];
  let isLonger = false;
  for (const key of new Set([...begun.keys(), ...now.keys()])) {
    const [first, before, current] = [begun, last, now].map((settings) => JSON.stringify(settings.get(key)));
    // Configurations of older runs name the keys of all variants.
    if (rules.variants.includes(key) && !(begun.has(key) && now.has(key))) continue;
    const isPath = rules.paths.some((path) => key === path || key.startsWith(`${path}.`));
    const isLength = rules.lengths.includes(key);
    if (current !== first) {
      if (drawsNoise(key, now, rules)) {
        problems.push(
          `${at(key)}: the run to resume has ${first ?? 'no such key'}, received ${current}. With tuning.lora.dropout every micro-batch draws its own noise.`,
        );
        continue;
      }
      // Where there was no file there is no hash to compare another with.
      const isMoved = isPath && isGiven(begun.get(key)) === isGiven(now.get(key));
      if (!isMoved && !isLength && !isFree(key, rules)) {
        problems.push(`${at(key)}: the run to resume has ${first ?? 'no such key'}, received ${current ?? 'none'}.`);
        continue;
      }
      changed[key] = now.get(key) ?? null;
    }
    if (current === before || isPath) continue;
    if (isLength) {
      const grown = lengthProblems(path, { key, before: Number(before), now: Number(current) }, now, manifest);
      problems.push(...grown.map((problem) => `${at(key)}: ${problem}`));
      isLonger = true;
    }
    lines.push(`${key} ${show(now.get(key))} (${show(last.get(key))} before)`);
  }
  if (problems.length === 0) return { changed, lines, isLonger };
  problems.push('Resume with the settings of the run, or start a new one with another run.folder.');
  throw new CheckpointError(problems);
}

/** An empty map or list gives nothing. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && !(typeof value === 'object' && Object.keys(value).length === 0);
}

function isFree(key: string, { free, splits }: ResumeRules): boolean {
  return free.includes(key) || splits.includes(key);
}

/** Micro-batches change a result only where dropout is drawn for each. */
function drawsNoise(key: string, settings: ReadonlyMap<string, unknown>, { splits }: ResumeRules): boolean {
  const dropout = settings.get('tuning.method') === 'lora' ? settings.get('tuning.lora.dropout') : 0;
  return splits.includes(key) && dropout !== 0;
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
}

/** Why a run cannot go on to another length. Steps that were made must have had the rates that they would have now. */
function lengthProblems(
  path: string,
  length: { readonly key: string; readonly before: number; readonly now: number },
  settings: ReadonlyMap<string, unknown>,
  { steps, status }: Manifest,
): string[] {
  const { key, before, now } = length;
  if (now < before) {
    return [
      `the run goes to ${before}, received ${now}. A run can be made longer, not shorter: give ${key}=${before}.`,
    ];
  }
  const wish = `the run goes to ${before}, received ${now}`;
  if (status === 'finished' && !hasCheckpoint(path)) {
    return [`${wish}, but its checkpoints are gone. A longer run goes on from the last one.`];
  }
  const sections = [...settings.keys()].flatMap((name) =>
    name.endsWith('.schedule') && settings.has(name.replace(/schedule$/, 'warmupSteps')) ? name.slice(0, -9) : [],
  );
  return sections.flatMap((section) => {
    const schedule = settings.get(`${section}.schedule`);
    if (schedule !== 'constant') {
      return [
        `${wish}. ${section}.schedule ${schedule} falls over the length of the run, so the steps that were made would have had other rates. ` +
          `A run that may grow needs ${section}.schedule=constant from its beginning; this one's model can start a new run.`,
      ];
    }
    const warmup = Number(settings.get(`${section}.warmupSteps`));
    if (steps === null || warmup < steps) return [];
    return [
      `${wish}. ${section}.warmupSteps ${warmup} was shortened to fit ${steps} steps, so the steps that were made would have had other rates. ` +
        'Start a new run of that length.',
    ];
  });
}

function hasCheckpoint(path: string): boolean {
  const folder = join(path, 'checkpoints');
  return existsSync(folder) && readdirSync(folder).some((name) => /^step-\d+$/.test(name));
}
