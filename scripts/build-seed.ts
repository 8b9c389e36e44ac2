/**
 * Writes everything the valley consists of.
 *
 *   npm run seed                           data/corpus (the first part of the corpus) and data/seed
 *   npm run seed -- --documents 120000     data/build/corpus.jsonl, as many documents as the base model reads
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../src/errors.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { runMain } from '../src/run/program.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';
import { buildCorpusFile, buildSeedFiles, worldSeed } from '../src/worlds/valley/texts/seed-files.ts';

const data = fileURLToPath(new URL('../data', import.meta.url));
const usage = 'Usage: npm run seed [-- --documents <number>]';
const flags = {
  documents: {
    kind: 'integer',
    min: 1,
    description: 'Documents to write to data/build/corpus.jsonl, and nothing else.',
  },
} as const satisfies Flags;

await runMain(import.meta.url, async (argv) => {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return console.log([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  if (positionals.length > 0)
    throw new ConfigError(`expected flags alone, received ${positionals.join(' ')}. ${usage}`);
  const files =
    values.documents === undefined
      ? buildSeedFiles(worldSeed, join(data, 'templates'))
      : new Map([['build/corpus.jsonl', buildCorpusFile(worldSeed, values.documents)]]);
  for (const [path, content] of files) {
    await atomicWrite(join(data, path), content);
    console.log(`data/${path}: ${content.split('\n').length - 1} lines, ${Math.ceil(content.length / 1024)} KiB`);
  }
});
