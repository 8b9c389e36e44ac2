import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configSchemas } from '../scripts/write-config-schemas.ts';
import { loadConfig } from '../src/yaml/load-config.ts';
import { isRecord, schemaFields } from '../src/yaml/schema-fields.ts';
import { useTemporaryFolder } from './helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const root = fileURLToPath(new URL('../', import.meta.url));
const schemas = await configSchemas();
const yamlFiles = readdirSync(join(root, 'configs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.ya?ml$/.test(name))
  .map((name) => join('configs', name))
  .sort();

describe('configuration schemas', () => {
  test('there is one for every stage and for the chain', () => {
    expect(schemas.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['pretrain', 'instruct', 'reward', 'ppo', 'evaluate', 'align', 'preferences']),
    );
  });

  test('a configuration file that does not export its schema is named', async () => {
    for (const folder of ['stages', 'scripts']) mkdirSync(path(folder));
    writeFileSync(path('stages', '1-two-words.config.ts'), 'export const Config = 1;\n');
    await expect(configSchemas(path())).rejects.toThrow(
      'stages/1-two-words.config.ts: expected it to export the zod schema TwoWordsConfig. Add it.',
    );
  });

  test.each(schemas)('$file is fresh (else: npm run schemas)', ({ file, text }) => {
    expect(existsSync(join(root, file)), `${file} is missing`).toBe(true);
    expect(readFileSync(join(root, file), 'utf8')).toBe(text);
  });

  test('no JSON Schema is left of a schema that is gone', () => {
    const folder = join(root, 'configs/schema');
    const expected = schemas.map(({ file }) => basename(file)).sort();
    expect(readdirSync(folder).sort()).toEqual(expected);
  });

  test.each(schemas)('every key of $name has a description', ({ schema }) => {
    const fields = schemaFields(schema);
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => field.description === '').map((field) => field.path)).toEqual([]);
  });

  test.each(schemas)('no section of $name has defaults that a file would lose', ({ schema }) => {
    // zod drops `.prefault({ key: … })` once a file sets another key of the section; `withDefaults` does not.
    const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    const lost = Object.entries(properties).filter(([, section]) => {
      if (typeof section !== 'object' || section.properties === undefined) return false;
      return isRecord(section.default) && Object.keys(section.default).length > 0;
    });
    expect(lost.map(([key]) => key)).toEqual([]);
  });
});

describe('configuration files', () => {
  test('there are some', () => {
    expect(yamlFiles.length).toBeGreaterThan(0);
  });

  test.each(yamlFiles)('%s names its schema, says what it is for, and is valid', (file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const [first = '', second = ''] = text.split('\n');
    const named = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1];
    expect(named, 'the first line names the JSON Schema').toBeDefined();
    const target = relative(root, resolve(root, dirname(file), named!));
    const entry = schemas.find((schema) => schema.file === target);
    expect(entry, `${target} is a schema of this project`).toBeDefined();
    expect(second).toMatch(/^# \S/);
    expect(() => loadConfig(entry!.schema, join(root, file))).not.toThrow();
  });
});
