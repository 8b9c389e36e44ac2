/**
 * Presses Ctrl-C at random moments of runs on a terminal, however they are started, and looks whether each one saved.
 *
 *   Run     node --import tsx scripts/proof/press.ts [--trials 20] [--lanes tensorflow,wasm] [--starts npm,node,npx]
 *           [--stages pretrain,instruct,reward,ppo] [--seed 1]
 *   Needs   Python and bash: Node has no pseudo-terminals
 *
 * Trials are counted for each lane and start; stages take turns. Every fifth run goes on with the command it printed,
 * and is pressed again.
 */
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../../src/errors.ts';
import { seededRandom } from '../../src/random.ts';
import { runMain } from '../../src/run/program.ts';
import type { Seen } from './terminal.ts';
import { inTerminal, noTerminals } from './terminal.ts';
import type { ProofStage, ProofWorld } from './world.ts';
import { makeProofWorld, proofStages, stagesNamed } from './world.ts';

const starts = ['npm', 'node', 'npx'] as const;
type Start = (typeof starts)[number];

/** The command that starts a stage. */
export function startCommand(start: Start, stage: ProofStage, given: readonly string[]): string {
  const [file] = proofStages[stage];
  const begin = { npm: `npm run ${stage} --`, node: `node --import tsx ${file}`, npx: `npx tsx ${file}` }[start];
  return [begin, ...given.map((argument) => (/^[\w=./,-]+$/.test(argument) ? argument : `'${argument}'`))].join(' ');
}

/** So many steps that no run ends by itself. */
const endless: Readonly<Record<ProofStage, readonly string[]>> = {
  pretrain: ['training.steps=100000'],
  instruct: ['training.epochs=10000'],
  reward: ['training.epochs=10000'],
  ppo: ['rollout.iterations=10000'],
};

/**
 * What is wrong with a run that was pressed once; empty where it saved and said how to go on.
 * @returns problems, the step it saved, and the command it printed
 */
export function judge(seen: Seen, folder: string): { problems: string[]; step: number; command: string } {
  const problems: string[] = [];
  const step = Number(/saved at step (\d+); continue with:/.exec(seen.output)?.[1] ?? 0);
  const command = /\n {2}(node --import tsx .* --resume)\n/.exec(seen.output)?.[1] ?? '';
  const name = `step-${String(step).padStart(6, '0')}`;
  const require = (holds: boolean | undefined, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  require(seen.ready, 'the run did not begin');
  require(seen.promptBack, 'the prompt did not come back');
  require(step > 0 && command !== '', 'it did not say that it saved and how to go on');
  require(existsSync(join(folder, 'checkpoints', name)), `checkpoints/${name} is not there`);
  require(seen.watched?.includes('"status": "interrupted"'), 'the prompt was back before the run had ended');
  require(seen.status === 130, `exit status ${seen.status}`);
  require(seen.cursorShown, 'the cursor stayed hidden');
  const left = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  const hidden = left.filter((path) => /(^|\/)(\.|run\.lock)/.test(path));
  require(hidden.length === 0, `left over: ${hidden.join(', ')}`);
  return { problems, step, command };
}

interface Trial {
  readonly world: ProofWorld;
  readonly stage: ProofStage;
  readonly start: Start;
  readonly folder: string;
  readonly delaySeconds: number;
  readonly goOn: boolean;
}

/** One run pressed once, and where `goOn` is asked for pressed again after it went on. */
async function press({ world, stage, start, folder, delaySeconds, goOn }: Trial): Promise<string[]> {
  const given = [...world.given[stage], ...endless[stage], `run.folder=${folder}`];
  const watch = join(folder, 'manifest.json');
  // The bar stands behind what moves the cursor; lines before it begin at the margin.
  const ready = `${stage}  `;
  const first = await inTerminal({ command: startCommand(start, stage, given), ready, delaySeconds, watch });
  const { problems, step, command } = judge(first, folder);
  if (problems.length > 0) return [...problems, first.output.slice(-600)];
  if (!goOn) return [];
  const second = await inTerminal({ command, ready, delaySeconds, watch });
  const again = judge(second, folder);
  if (again.problems.length > 0) return ['gone on:', ...again.problems, second.output.slice(-600)];
  return again.step > step ? [] : [`went on from step ${step} and saved at step ${again.step}`];
}

await runMain(import.meta.url, async (argv) => {
  const options = {
    trials: { type: 'string', default: '20' },
    lanes: { type: 'string', default: 'tensorflow,wasm' },
    starts: { type: 'string', default: starts.join(',') },
    stages: { type: 'string', default: Object.keys(proofStages).join(',') },
    seed: { type: 'string', default: '1' },
  } as const;
  const { values } = parseArgs({ args: [...argv], options });
  const reason = noTerminals();
  if (reason !== undefined) throw new UserError(`press: ${reason}, and there is nothing to press Ctrl-C on.`);
  const stages = stagesNamed(values.stages);
  const chosen = starts.filter((start) => values.starts.split(',').includes(start));
  const random = seededRandom(Number(values.seed), 'presses');
  let bad = 0;
  for (const lane of values.lanes.split(',')) {
    const world = makeProofWorld(join(tmpdir(), `plumbline-press-${lane}`), lane);
    for (const start of chosen) {
      let saved = 0;
      for (let trial = 0; trial < Number(values.trials); trial++) {
        const stage = stages[trial % stages.length] ?? 'instruct';
        const folder = join(world.folder, `${start}-${trial}-${stage}`);
        const delaySeconds = random.uniform() * 3;
        const problems = await press({ world, stage, start, folder, delaySeconds, goOn: trial % 5 === 0 });
        if (problems.length === 0) saved += 1;
        else
          console.log(
            `${lane} ${start} ${stage} trial ${trial} after ${delaySeconds.toFixed(2)} s:`,
            problems.join('\n'),
          );
      }
      console.log(`${lane}, started by ${start}: ${saved} of ${values.trials} saved`);
      bad += Number(values.trials) - saved;
    }
  }
  if (bad > 0) throw new UserError(`press: ${bad} runs did not save.`);
});
