import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { ConfigError } from '../../src/errors.ts';
import { Optimizer, Run, Runtime } from '../../src/run/sections.ts';
import { checkConfig, loadConfig } from '../../src/yaml/load-config.ts';

const Ppo = z.strictObject({
  clipRange: z.number().positive().lt(1).default(0.2).describe('Policy ratio clip.'),
  epochs: z.int().positive().default(4),
  targets: z.array(z.number()).min(1).default([1]),
  stop: z.union([z.literal('auto'), z.int()]).default('auto'),
});
const Config = z
  .strictObject({
    run: Run,
    runtime: Runtime.prefault({}),
    optimizer: Optimizer.prefault({ learningRate: 1e-5 }),
    ppo: Ppo.prefault({}),
  })
  .superRefine((config, context) => {
    if (config.ppo.epochs > 8) {
      context.addIssue({ code: 'custom', path: ['ppo', 'epochs'], message: `${config.ppo.epochs} is above 8. Use 4` });
    }
  });

let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-config-'));
  file = join(folder, 'tiny.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

function load(yaml: string, ...overrides: string[]): z.infer<typeof Config> {
  writeFileSync(file, yaml);
  return loadConfig(Config, file, overrides);
}

/** The message with the temporary folder's name taken out. */
function problems(yaml: string, ...overrides: string[]): string[] {
  try {
    load(yaml, ...overrides);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems.map((line) => line.replaceAll(`${folder}/`, ''));
  }
  return [];
}

describe('loadConfig', () => {
  test('fills nested sections from the schema, then the file, then arguments', () => {
    const config = load('run: {folder: out}\noptimizer:\n  beta2: 0.95\n', 'optimizer.learningRate=1e-3', 'run.seed=7');
    expect(config.optimizer).toMatchObject({ learningRate: 1e-3, beta1: 0.9, beta2: 0.95 });
    expect(config.run).toEqual({ folder: 'out', seed: 7 });
    expect(load('run: {folder: out}').optimizer.learningRate).toBe(1e-5);
    expectTypeOf(config.ppo.clipRange).toEqualTypeOf<number>();
  });

  test('takes the last of two arguments for one key', () => {
    expect(load('run: {folder: out}', 'run.seed=2', 'run.seed=3').run.seed).toBe(3);
  });

  test('sets an item of a list by its position', () => {
    expect(load('run: {folder: out}\nppo: {targets: [1, 2]}', 'ppo.targets.1=5').ppo.targets).toEqual([1, 5]);
  });

  test('reads an empty file as an empty configuration', () => {
    expect(problems('')).toEqual([
      'tiny.yaml:1:1 run.folder: is missing; expected a path. Folder this stage writes: config.yaml, metrics.arrow, samples.arrow, checkpoints, manifest.json.',
    ]);
    expect(problems('# only a comment\n')).toHaveLength(1);
  });

  test('reports every mistake at once with its line and column', () => {
    const yaml = [
      'run:',
      '  folder: out',
      '  sed: 3',
      'optimizer:',
      '  learningRate: -1',
      '  schedule: liner',
      '  warmupSteps: 1.5',
      '  beta1: high',
      'ppo:',
      '  clipRange: 2',
      '  targets: []',
      '  stop: never',
      'learningRate: 1',
      'zebra: 1',
    ].join('\n');
    expect(problems(yaml)).toEqual([
      'tiny.yaml:3:3 run.sed: unknown key. Did you mean run.seed?',
      'tiny.yaml:5:17 optimizer.learningRate: expected a number above 0, received -1.',
      'tiny.yaml:6:13 optimizer.schedule: expected one of "constant", "linear", "cosine", received "liner". Did you mean linear?',
      'tiny.yaml:7:16 optimizer.warmupSteps: expected a whole number, received 1.5.',
      'tiny.yaml:8:10 optimizer.beta1: expected a number, received "high".',
      'tiny.yaml:10:14 ppo.clipRange: expected a number below 1, received 2.',
      'tiny.yaml:11:12 ppo.targets: expected a list of at least 1 item, received [].',
      'tiny.yaml:12:9 ppo.stop: expected "auto" or a number, received "never".',
      'tiny.yaml:13:1 learningRate: unknown key. Did you mean optimizer.learningRate?',
      'tiny.yaml:14:1 zebra: unknown key. Known keys here: run, runtime, optimizer, ppo.',
    ]);
  });

  test('points at the section of a missing key', () => {
    expect(problems('optimizer: {beta1: 0.8}\nrun:\n  seed: 2\n')).toEqual([
      'tiny.yaml:2:1 run.folder: is missing; expected a path. Folder this stage writes: config.yaml, metrics.arrow, samples.arrow, checkpoints, manifest.json.',
    ]);
  });

  test('says what stands where a section or a text should be', () => {
    expect(problems('run: out\nppo: [1]\n')).toEqual([
      'tiny.yaml:1:6 run: expected a section with keys, received "out".',
      'tiny.yaml:2:6 ppo: expected a section with keys, received [1].',
    ]);
    expect(problems('run: {folder: ""}')).toEqual([
      'tiny.yaml:1:15 run.folder: expected text that is not empty, received "".',
    ]);
  });

  test('passes on the sentences of cross-field checks', () => {
    expect(problems('run: {folder: out}\nppo:\n  epochs: 9\n')).toEqual([
      'tiny.yaml:3:11 ppo.epochs: 9 is above 8. Use 4.',
    ]);
  });

  test('names the argument that caused a mistake', () => {
    expect(problems('run: {folder: out}', 'ppo.clipRange=2', 'optimiser.beta1=0', 'ppo.clip=1')).toEqual([
      'argument "ppo.clipRange=2": ppo.clipRange: expected a number below 1, received 2.',
      'argument "ppo.clip=1": ppo.clip: unknown key. Known keys here: clipRange, epochs, targets, stop.',
      'argument "optimiser.beta1=0": optimiser: unknown key. Did you mean optimizer?',
    ]);
  });

  test('refuses arguments that are not key.path=value, all at once', () => {
    expect(problems('run: {folder: out}', 'fast', '=3', 'a..b=1', 'run.seed="x')).toEqual([
      'argument "fast": expected key.path=value, e.g. optimizer.learningRate=1e-3.',
      'argument "=3": expected key.path=value, e.g. optimizer.learningRate=1e-3.',
      'argument "a..b=1": expected key.path=value, e.g. optimizer.learningRate=1e-3.',
      'argument "run.seed="x": the value is not valid YAML. Quote it, e.g. \'run.seed="text"\'.',
    ]);
  });

  test('refuses to set a key inside a value or past the end of a list', () => {
    expect(problems('run: {folder: out}', 'run.folder.x=1')).toEqual([
      'argument "run.folder.x=1": run.folder is the value "out", not a section. Set run.folder itself.',
    ]);
    expect(problems('run: {folder: out}\nppo: {targets: [1]}', 'ppo.targets.3=1')).toEqual([
      'argument "ppo.targets.3=1": "3" is no position in a list of 1. Count from 0 (1 adds one at the end), or give the whole list: key=[a, b].',
    ]);
  });

  test('cannot be made to change the prototype of objects', () => {
    expect(problems('run: {folder: out}', '__proto__.polluted=1')).toEqual([
      'argument "__proto__.polluted=1": __proto__: unknown key. Known keys here: run, runtime, optimizer, ppo.',
    ]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('says which file is missing or unreadable', () => {
    expect(() => loadConfig(Config, 'configs/none.yaml')).toThrow(
      'configs/none.yaml: there is no such file. Name an existing configuration, e.g. one under configs/.',
    );
    expect(() => loadConfig(Config, folder)).toThrow(/cannot be read \(EISDIR.*\)\. Name a readable YAML file\./);
  });

  test('points at YAML mistakes', () => {
    expect(problems('run:\n  seed: 1\n  seed: 2\n')).toEqual([
      'tiny.yaml:3:3 this key stands twice in its section. Keep one of them.',
    ]);
    expect(problems('run:\n\tseed: 1\n')[0]).toBe('tiny.yaml:2:1 a tab is used for indentation. Use spaces.');
    expect(problems('run: [1, 2\n')[0]).toMatch(/^tiny\.yaml:2:1 is not valid YAML: Flow sequence .*\.$/);
    expect(problems('- 1\n- 2\n')).toEqual([
      'tiny.yaml:1:1 expected keys and values at the top level ("run:", "optimizer:", …).',
    ]);
  });
});

describe('checkConfig', () => {
  test('checks data made by a program and names its origin', () => {
    expect(checkConfig(Config, { run: { folder: 'out' } }, 'align').run.seed).toBe(1);
    expect(() => checkConfig(Config, { run: { folder: 'out', seed: 0.5 } }, 'align')).toThrow(
      'align run.seed: expected a whole number, received 0.5.',
    );
  });
});
