import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { Checkpoints, filePath, Optimizer, Runtime, withDefaults } from '../../src/run/sections.ts';
import { schemaFields } from '../../src/yaml/schema-fields.ts';
import { PretrainConfig } from '../../stages/0-pretrain.config.ts';
import { RewardConfig } from '../../stages/2-reward.config.ts';

describe('withDefaults', () => {
  const Config = z.strictObject({
    optimizer: withDefaults(Optimizer, { learningRate: 1e-5, clipNorm: null }).prefault({}),
  });

  test('keeps the new defaults where a file sets other keys of the section', () => {
    expect(Config.parse({}).optimizer).toMatchObject({ learningRate: 1e-5, clipNorm: null, beta1: 0.9 });
    expect(Config.parse({ optimizer: { beta1: 0.8 } }).optimizer).toMatchObject({ learningRate: 1e-5, beta1: 0.8 });
    expectTypeOf<z.infer<typeof Config>['optimizer']>().toEqualTypeOf<Optimizer>();
  });

  test('keeps limits, descriptions and strictness, and the original section', () => {
    expect(Config.safeParse({ optimizer: { learningRate: -1 } }).success).toBe(false);
    expect(Config.safeParse({ optimizer: { learnRate: 1 } }).success).toBe(false);
    expect(schemaFields(Config).find((field) => field.path === 'optimizer.learningRate')).toMatchObject({
      default: 1e-5,
      description: 'Peak learning rate.',
    });
    expect(Optimizer.parse({}).learningRate).toBe(3e-4);
  });
});

test('every key of the shared sections has a default and a description', () => {
  for (const section of [Optimizer, Runtime, Checkpoints]) {
    for (const field of schemaFields(section))
      expect(field, field.path).toMatchObject({ required: false, description: expect.stringMatching(/\.$/) });
  }
});

test('a file that may be left out takes ~/ as every other path does', () => {
  for (const heldOut of [PretrainConfig.shape.heldOut, RewardConfig.shape.heldOut]) {
    expect(heldOut.parse('~/rows')).toBe(join(homedir(), 'rows'));
    expect(heldOut.parse('./~rows')).toBe('./~rows');
    expect(heldOut.safeParse('~bob/rows').success).toBe(false);
    expect(heldOut.parse(null)).toBeNull();
    expect(heldOut.parse(undefined)).toBeNull();
  }
});

test('a path is text that is not empty', () => {
  expect(filePath('A file.').safeParse('').success).toBe(false);
  expect(filePath('A file.').parse('a.arrow')).toBe('a.arrow');
});
