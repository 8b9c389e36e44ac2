import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Optimizer, Run, Runtime } from '../../src/run/sections.ts';
import { configHelp, describeChanges, stringifyConfig } from '../../src/run/show-config.ts';
import { schemaFields } from '../../src/yaml/schema-fields.ts';
import { closest, editDistance } from '../../src/yaml/suggest.ts';
import { parseYaml } from '../../src/yaml/yaml-source.ts';

const Config = z.strictObject({
  run: Run,
  runtime: Runtime.prefault({}),
  optimizer: Optimizer.prefault({ learningRate: 1e-5 }),
  rates: z.record(z.string(), z.number()).default({ chat: 1 }).describe('Mixing rates'),
  names: z.array(z.string()).optional(),
  limits: z.strictObject({ low: z.number(), high: z.number().max(9).default(2) }).optional(),
});

describe('describeChanges', () => {
  test('lists what differs from the defaults, in columns', () => {
    const config = Config.parse({
      run: { folder: 'out' },
      optimizer: { beta2: 0.95, clipNorm: null },
      rates: { chat: 2 },
    });
    expect(describeChanges(Config, config)).toEqual([
      'run.folder              out',
      'optimizer.learningRate  0.0003  (default 0.00001)',
      'optimizer.beta2         0.95    (default 0.999)',
      'optimizer.clipNorm      null    (default 1)',
      'rates.chat              2       (default 1)',
    ]);
  });

  test('takes what a section is prefaulted with as its default', () => {
    expect(describeChanges(Config, Config.parse({ run: { folder: 'out' } }))).toEqual(['run.folder  out']);
  });
});

describe('schemaFields', () => {
  test('knows what is required, optional, a path, and what a value may be', () => {
    const fields = Object.fromEntries(schemaFields(Config).map((field) => [field.path, field]));
    expect(fields['run.folder']).toMatchObject({ required: true, isPath: true, expects: 'path' });
    expect(fields['run.seed']).toMatchObject({ required: false, isPath: false, default: 1, expects: 'whole number' });
    expect(fields['optimizer.learningRate']).toMatchObject({ default: 1e-5, expects: 'number above 0' });
    expect(fields['optimizer.beta1']!.expects).toBe('number at least 0 and below 1');
    expect(fields['optimizer.schedule']!.expects).toBe('one of constant, linear, cosine');
    expect(fields['optimizer.clipNorm']!.expects).toBe('number above 0 or null');
    expect(fields.names).toMatchObject({ required: false, expects: 'list of string' });
    expect(fields['limits.low']!.required).toBe(false);
    expect(fields['limits.high']!.expects).toBe('number at most 9');
    expect(fields.rates!.expects).toBe('map');
  });
});

test('help shows every key with its default', () => {
  const help = configHelp(Config);
  expect(help).toContain('  run.folder  (path; required)');
  expect(help).toContain('  rates  (map; default {"chat":1})');
  expect(help).toContain('      Mixing rates');
  expect(help).toContain('  names  (list of string; optional)');
});

test('a configuration that is written as YAML reads back the same', () => {
  const value = fc.oneof(
    fc.string(),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string()),
  );
  const record = fc.dictionary(
    fc.string({ minLength: 1 }),
    fc.oneof(value, fc.dictionary(fc.string({ minLength: 1 }), value)),
  );
  fc.assert(
    fc.property(record, (config) => {
      const back = parseYaml(stringifyConfig(config), 'config.yaml').data;
      expect(JSON.stringify(back)).toBe(JSON.stringify(config));
    }),
  );
});

describe('closest', () => {
  test('finds slips of the hand', () => {
    const keys = ['learningRate', 'warmupSteps', 'seed', 'folder'];
    expect(closest('learnigRate', keys)).toBe('learningRate');
    expect(closest('learning_rate', keys)).toBe('learningRate');
    expect(closest('sede', keys)).toBe('seed');
    expect(closest('warmup', keys)).toBeUndefined();
    expect(closest('x', keys)).toBeUndefined();
  });

  test.each([
    // Damerau 1964; the first is the textbook Levenshtein example.
    ['kitten', 'sitting', 3],
    ['ca', 'ac', 1],
    ['', 'abc', 3],
    ['same', 'same', 0],
  ])('the distance of %s and %s is %d', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});
