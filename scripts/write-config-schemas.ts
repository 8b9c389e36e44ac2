/** Writes configs/schema/<name>.schema.json from every stages/*.config.ts and scripts/*.config.ts, for editors. */

import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { ConfigError } from '../src/errors.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { runMain } from '../src/run/program.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** One configuration schema and the JSON Schema file made from it. */
export interface ConfigSchema {
  /** "instruct" for stages/1-instruct.config.ts. */
  readonly name: string;
  readonly schema: z.ZodType;
  /** Path of the JSON Schema, relative to the project. */
  readonly file: string;
  /** Its content. */
  readonly text: string;
}

/**
 * All configuration schemas of the project: `<name>.config.ts` exports `<Name>Config`.
 * @param project the folder that holds stages/ and scripts/
 * @throws ConfigError where a file does not export its schema
 */
export async function configSchemas(project = root): Promise<ConfigSchema[]> {
  const found: ConfigSchema[] = [];
  for (const folder of ['stages', 'scripts']) {
    for (const file of readdirSync(join(project, folder)).sort()) {
      const name = /^(?:\d+-)?(.+)\.config\.ts$/.exec(file)?.[1];
      if (name !== undefined) found.push(await readSchema(name, folder, join(project, folder, file)));
    }
  }
  return found;
}

async function readSchema(name: string, folder: string, path: string): Promise<ConfigSchema> {
  const exported = `${name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Config`;
  const module: Record<string, unknown> = await import(pathToFileURL(path).href);
  const schema = module[exported];
  if (!(schema instanceof z.ZodType))
    throw new ConfigError(`${folder}/${basename(path)}: expected it to export the zod schema ${exported}. Add it.`);
  const json = { title: exported, ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) };
  return { name, schema, file: `configs/schema/${name}.schema.json`, text: `${JSON.stringify(json, null, 2)}\n` };
}

await runMain(import.meta.url, async () => {
  for (const { file, text } of await configSchemas()) {
    await atomicWrite(join(root, file), text);
    console.log(`wrote ${file}`);
  }
});
