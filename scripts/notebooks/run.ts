/**
 * Executes the notebooks against a run, and opens every Arrow file of that run with the Python libraries that read Arrow.
 *
 *   Run      npm run notebooks                     makes a tiny run of the whole chain first (about a minute)
 *            npm run notebooks -- data/runs/tiny   uses a finished run
 *   Writes   data/build/notebooks/: the tiny run, an exported dataset, the executed notebooks
 *
 * Python's packages go to the per-user cache. Where they cannot be had it says so and stops: with exit status 1 where
 * CI=true, else with 0.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../src/errors.ts';
import { atomicWrite } from '../../src/files/atomic-write.ts';
import { hashText } from '../../src/files/hash.ts';
import { cacheFolder } from '../../src/lanes/cache.ts';
import { runProgram, tellingLine } from '../../src/lanes/programs.ts';
import { runMain } from '../../src/run/program.ts';
import { loadConfig } from '../../src/yaml/load-config.ts';
import { AlignConfig } from '../align.config.ts';
import { align } from '../align.ts';
import { exportDataset } from '../export-dataset.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const built = resolve('data/build/notebooks');
const notebooks = ['outputs-in-python.ipynb', 'outputs-in-typescript.ipynb'];
const installSeconds = 900;
const notebookSeconds = 600;

/** Rows that each split of each dataset keeps. Every stage does less with fewer, in the same way. */
const rowsPerSplit = 240;

/** The first rows of each split of every dataset, in a folder of their own. */
async function writeSmallTables(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const text = readFileSync(join(from, name), 'utf8');
    await atomicWrite(join(to, name), name.endsWith('.jsonl') ? firstLines(text) : text);
  }
}

function firstLines(text: string): string {
  const taken = new Map<string, number>();
  const lines = text.split('\n').filter((line) => {
    if (line === '') return false;
    const { split = '' } = JSON.parse(line) as { split?: string };
    const before = taken.get(split) ?? 0;
    taken.set(split, before + 1);
    return before < rowsPerSplit;
  });
  return `${lines.join('\n')}\n`;
}

/** Runs the default chain with small counts; returns its folder. */
async function makeTinyRun(): Promise<string> {
  const folder = join(built, 'run');
  const tables = join(built, 'seed');
  rmSync(folder, { recursive: true, force: true });
  await writeSmallTables('data/seed', tables);
  const overrides = {
    instruct: [
      `data.tables=${tables}`,
      'mixture.examples=3200',
      'evaluation.everySteps=30',
      'evaluation.rowsPerTask=3',
    ],
    preferences: [`prompts.tables=${tables}`],
    reward: ['evaluation.everySteps=10'],
    ppo: [
      `prompts.tables=${tables}`,
      `heldOut.tables=${tables}`,
      'rollout.iterations=5',
      'rollout.batch=32',
      'evaluation.everySteps=2',
      'evaluation.prompts=24',
    ],
    evaluate: [
      `data.tables=${tables}`,
      `prompts.tables=${tables}`,
      'rowsPerTask=4',
      'promptCount=24',
      'bootstrap.samples=200',
    ],
  };
  const settings = Object.entries(overrides).map(([stage, list]) => `overrides.${stage}=${JSON.stringify(list)}`);
  await align(loadConfig(AlignConfig, 'configs/align/tiny.yaml', [`run.folder=${folder}`, ...settings]));
  return folder;
}

/**
 * Python with the packages of requirements.txt, made once for each version of that file.
 * @returns the path of its interpreter, or why there is none
 */
async function pythonEnvironment(): Promise<{ python: string } | { missing: string }> {
  const requirements = join(here, 'requirements.txt');
  const key = hashText(readFileSync(requirements, 'utf8')).slice('sha256:'.length, 'sha256:'.length + 12);
  const folder = join(cacheFolder(), `notebooks-${key}`);
  const programs = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin');
  const python = join(programs, 'python');
  const complete = join(folder, 'complete');
  // The interpreter is a link to one that may have been removed since.
  if (existsSync(complete) && existsSync(python)) return { python };
  await rm(folder, { recursive: true, force: true });
  console.log(`making a Python environment in ${folder} (about a gigabyte, once)`);
  const limits = { limitSeconds: installSeconds };
  const made = await runProgram('python3', ['-m', 'venv', folder], limits);
  if (!made.ok) return { missing: whyNot('python3 -m venv', made) };
  const arguments_ = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
  const installed = await runProgram(python, arguments_, limits);
  if (!installed.ok) return { missing: whyNot('pip install', installed) };
  await atomicWrite(complete, '');
  return { python };
}

const whyNot = (command: string, { failure, output }: { failure: string; output: string }): string =>
  [`${command}: ${failure}`, tellingLine(output)].filter((part) => part !== '').join('; ');

/** Runs one of the Python programs beside this file. @throws UserError with what it printed where it fails */
async function runPython(python: string, script: string, args: readonly string[], run: string): Promise<void> {
  const environment = { ...process.env, PLUMBLINE_RUN: run, PYTHONUTF8: '1', NO_COLOR: '1' };
  const options = { environment, limitSeconds: notebookSeconds };
  const { ok, standardOutput, output, failure } = await runProgram(python, [join(here, script), ...args], options);
  if (!ok) throw new UserError(`${output}\n${script}: ${failure}. The lines above say where.`);
  console.log(standardOutput);
}

await runMain(import.meta.url, async ([given]) => {
  const found = await pythonEnvironment();
  if ('missing' in found) {
    const reason = `there is no Python with the packages of scripts/notebooks/requirements.txt (${found.missing})`;
    if (process.env.CI === 'true') throw new UserError(`notebooks: ${reason}`);
    console.log(`notebooks: skipped, because ${reason}`);
    return;
  }
  const run = given === undefined ? await makeTinyRun() : resolve(given);
  const exported = join(built, 'exported');
  const pairs = ['train', 'held-out'].map((name) => join(run, 'preferences', `${name}.arrow`));
  await exportDataset(pairs, exported);
  await runPython(found.python, 'check_openers.py', [run, exported], run);
  await runPython(found.python, 'execute.py', [built, ...notebooks.map((name) => join(here, name))], run);
  console.log(`notebooks: all cells ran; see ${built}`);
});
