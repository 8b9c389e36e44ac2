/**
 * Writes the figures of README.md and docs/ from the JSON files of docs/results.
 *
 *   Run      npm run docs
 *            npm run docs -- data/runs/tiny --machine "AMD EPYC, 2 cores" --prompt "Which pet lives with Elsa?"
 *            the same with more folders: chains of other seeds, run alike
 *   Reads    docs/results/*.json, scripts/bench/results/growth.json; with run folders, what chains left there
 *   Writes   the text between `<!-- figure name -->` and `<!-- /figure -->`, docs/results/ppo-curve.svg; of the first folder, docs/results/chain.json, and of several, docs/results/seeds.json
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, DataError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { runMain } from '../../src/run/program.ts';
import { type Flags, flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { ppoCurve } from './curve.ts';
import type { RecordedChain, Seeds } from './figures.ts';
import { figures, readResult } from './figures.ts';
import { recordChain, recordSeeds } from './record-chain.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const flags = {
  machine: { kind: 'text', description: 'The machine the chains ran on, in words.' },
  prompt: { kind: 'text', description: 'The held-out prompt whose answers are shown, of the first.' },
} as const satisfies Flags;
const usage = 'Usage: npm run docs [-- <run folder of a chain> … --machine <text> --prompt <text>]';

/** The documents that may show figures. */
function documentsWithFigures(): string[] {
  const inDocs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...inDocs.sort().map((name) => `docs/${name}`)];
}

/**
 * Every document and drawing by its path, with the figures that docs/results has now.
 * @throws DataError naming figures that a document asks for and that were not measured, and those that no document shows
 */
export function writtenDocuments(): Map<string, string> {
  const known = figures(root);
  const used = new Set<string>();
  const problems: string[] = [];
  const written = new Map<string, string>();
  for (const path of documentsWithFigures()) {
    const text = readFileSync(join(root, path), 'utf8');
    const filled = text.replace(/(<!-- figure (\S+) -->\n)[\s\S]*?(<!-- \/figure -->)/g, (all, open, name, close) => {
      const lines = known.get(name);
      if (lines === undefined)
        problems.push(`${path}: there is no figure ${name}; known are ${[...known.keys()].join(', ')}.`);
      used.add(name);
      return lines === undefined ? all : `${open}${lines.join('\n')}\n${close}`;
    });
    written.set(path, filled);
  }
  const unused = [...known.keys()].filter((name) => !used.has(name));
  if (unused.length > 0)
    problems.push(`docs: no document shows ${unused.join(', ')}. Show them, or remove their numbers.`);
  if (problems.length > 0) throw new DataError(problems);
  return written.set('docs/results/ppo-curve.svg', ppoCurve(readResult<RecordedChain>(root, 'chain')));
}

const writeResult = (name: string, result: RecordedChain | Seeds): Promise<void> =>
  atomicWrite(join(root, `docs/results/${name}.json`), `${JSON.stringify(result, null, 2)}\n`);

await runMain(import.meta.url, async (argv) => {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return console.log([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const { machine, prompt } = values;
  const [first] = positionals;
  const given = [first, machine, prompt].filter((value) => value !== undefined).length;
  if (given !== 0 && given !== 3)
    throw new ConfigError(`docs: expected run folders with --machine and --prompt, or nothing. ${usage}`);
  if (first !== undefined && machine !== undefined && prompt !== undefined) {
    const chain = recordChain(first, machine, prompt);
    const seeds = positionals.length > 1 ? recordSeeds(positionals, chain) : null;
    await writeResult('chain', chain);
    if (seeds !== null) await writeResult('seeds', seeds);
  }
  for (const [path, text] of writtenDocuments()) await atomicWrite(join(root, path), text);
});
