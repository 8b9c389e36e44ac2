/**
 * Kills a stage at random moments and resumes it, again and again, until it ends: the model must have the bytes of an
 * uninterrupted run, and nothing may be left over.
 *
 *   Run     node --import tsx scripts/proof/kill-resume.ts [--kills 100] [--stages instruct,reward,ppo] [--lane wasm] [--seed 1]
 *
 * Kills are counted over all stages, which take turns.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../../src/errors.ts';
import { seededRandom } from '../../src/random.ts';
import { runMain } from '../../src/run/program.ts';
import { isHousekeeping } from '../../src/run/run-lock.ts';
import type { ProofStage } from './world.ts';
import { makeProofWorld, proofStages, root, stagesNamed } from './world.ts';

/** How a start of a stage ended; `killed` where that was our doing. */
interface Ended {
  readonly code: number | null;
  readonly killed: boolean;
  readonly text: string;
}

/** Kills of one trial before the run is let to its end. */
const KILLS_A_TRIAL = 5;

/** Starts a stage, and kills it after a time. */
function start(stage: ProofStage, given: readonly string[], killAfterMs?: number): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', proofStages[stage][0], ...given], { cwd: root });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      text += data;
    });
  }
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, killed: signal === 'SIGKILL', text });
    });
  });
}

/** Hashes of what a run made that must not depend on where it stopped. */
function digest(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return names
    .filter((name) => /\.safetensors$|tokenizer\.json$/.test(name))
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    )
    .join('\n');
}

/** Names of locks and temporary files below a folder. */
function leftovers(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.split('/').some(isHousekeeping));
}

/** What came of one trial or of many. */
export interface KillResult {
  kills: number;
  bad: number;
  left: number;
}

/** A stage with its uninterrupted run. */
export interface Subject {
  readonly stage: ProofStage;
  readonly given: readonly string[];
  readonly folder: string;
  readonly milliseconds: number;
  readonly want: string;
}

/** Runs a stage whole, for its bytes and its time. */
export async function uninterrupted(
  { folder: above, given }: { folder: string; given: Readonly<Record<string, readonly string[]>> },
  stage: ProofStage,
): Promise<Subject> {
  const folder = join(above, `kill-${stage}`);
  const began = performance.now();
  const settings = given[stage] ?? [];
  const { code, text } = await start(stage, [...settings, `run.folder=${folder}`]);
  if (code !== 0) throw new UserError(`kill-resume: ${stage} ended with ${code}:\n${text}`);
  const milliseconds = performance.now() - began;
  return { stage, given: settings, folder, milliseconds, want: digest(folder) };
}

/** One run that is killed `most` times, at moments that `share` draws from its whole time, and resumed to its end. */
export async function killAndResume(
  { stage, given, folder, milliseconds, want }: Subject,
  trial: number,
  share: () => number,
  say: (line: string) => void,
  most = KILLS_A_TRIAL,
): Promise<KillResult> {
  const own = `${folder}-${trial}`;
  rmSync(own, { recursive: true, force: true });
  const result = { kills: 0, bad: 0, left: 0 };
  for (;;) {
    const resume = existsSync(join(own, 'manifest.json')) ? ['--resume'] : [];
    const killAfterMs = result.kills < most ? milliseconds * share() : undefined;
    const ended = await start(stage, [...given, `run.folder=${own}`, ...resume], killAfterMs);
    if (ended.killed) {
      result.kills += 1;
      continue;
    }
    if (ended.code === 0) break;
    say(`${stage} trial ${trial}: exit status ${ended.code} after ${result.kills} kills\n${ended.text.slice(-1500)}`);
    result.bad = 1;
    return result;
  }
  const left = leftovers(own);
  if (left.length > 0) say(`${stage} trial ${trial}: left over: ${left.join(', ')}`);
  result.left = left.length;
  if (digest(own) !== want) {
    say(`${stage} trial ${trial}: other bytes:\n${digest(own)}\nexpected:\n${want}`);
    result.bad = 1;
  }
  rmSync(own, { recursive: true, force: true });
  return result;
}

await runMain(import.meta.url, async (argv) => {
  const options = {
    kills: { type: 'string', default: '100' },
    stages: { type: 'string', default: 'instruct,reward,ppo' },
    lane: { type: 'string', default: 'wasm' },
    seed: { type: 'string', default: '1' },
  } as const;
  const { values } = parseArgs({ args: [...argv], options });
  const random = seededRandom(Number(values.seed), 'kills');
  const world = makeProofWorld(join(tmpdir(), `plumbline-kill-${values.lane}`), values.lane);
  const subjects: Subject[] = [];
  for (const stage of stagesNamed(values.stages)) subjects.push(await uninterrupted(world, stage));
  for (const { stage, milliseconds } of subjects) console.log(`${stage}: uninterrupted ${Math.round(milliseconds)} ms`);
  const sum: KillResult = { kills: 0, bad: 0, left: 0 };
  // Nothing happens in the first tenth but imports.
  const share = (): number => 0.1 + 0.9 * random.uniform();
  let trials = 0;
  for (; sum.kills < Number(values.kills); trials++) {
    const subject = subjects[trials % subjects.length];
    if (subject === undefined) break;
    const { kills, bad, left } = await killAndResume(subject, trials, share, console.log);
    sum.kills += kills;
    sum.bad += bad;
    sum.left += left;
    if (trials % 5 === 4)
      console.log(`${trials + 1} trials, ${sum.kills} kills, ${sum.bad} bad, ${sum.left} left over`);
  }
  console.log(`${values.stages}: ${trials} trials, ${sum.kills} kills, ${sum.bad} bad, ${sum.left} files left over`);
  if (sum.bad > 0 || sum.left > 0) throw new UserError('kill-resume: a run did not come back as it was.');
});
