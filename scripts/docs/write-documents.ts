/**
 * Writes the figures of README.md and docs/ from the JSON files of docs/results.
 *
 *   Run      npm run docs
 *            npm run docs -- data/runs/tiny --machine "AMD EPYC, 2 cores" --prompt "Which pet lives with Elsa?"
 *   Reads    docs/results/*.json, scripts/bench/results/growth.json; with a run folder, what a chain left there
 *   Writes   the text between `<!-- figure name -->` and `<!-- /figure -->`, docs/results/ppo-curve.svg; with a run folder, docs/results/chain.json
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, DataError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { runMain } from '../../src/run/program.ts';
import { type Flags, flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { ppoCurve } from './curve.ts';
import type { RecordedChain } from './figures.ts';
import { figures, readResult } from './figures.ts';
import { recordChain } from './record-chain.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const flags = {
  machine: { kind: 'text', description: 'The machine the chain ran on, in words.' },
  prompt: { kind: 'text', description: 'The held-out prompt whose answers are shown.' },
} as const satisfies Flags;
const usage = 'Usage: npm run docs [-- <run folder of a chain> --machine <text> --prompt <text>]';

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

await runMain(import.meta.url, async (argv) => {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return console.log([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const [folder, ...more] = positionals;
  const { machine, prompt } = values;
  const given = [folder, machine, prompt].filter((value) => value !== undefined).length;
  if (more.length > 0 || (given !== 0 && given !== 3))
    throw new ConfigError(`docs: expected a run folder with --machine and --prompt, or nothing. ${usage}`);
  if (folder !== undefined && machine !== undefined && prompt !== undefined) {
    const chain = recordChain(folder, machine, prompt);
    await atomicWrite(join(root, 'docs/results/chain.json'), `${JSON.stringify(chain, null, 2)}\n`);
  }
  for (const [path, text] of writtenDocuments()) await atomicWrite(join(root, path), text);
});
