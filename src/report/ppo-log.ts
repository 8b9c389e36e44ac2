/** What PPO writes down while it runs: metrics, every rollout, and answers to held-out prompts. */
import type { Rollout } from '../alignment/collect.ts';
import type { RolloutNumbers } from '../alignment/ppo-metrics.ts';
import { ppoMetrics, type rolloutMetrics } from '../alignment/ppo-metrics.ts';
import type { ChatPrompt } from '../evaluation/chat-prompts.ts';
import type { HeldOutMeans, measureAnswers } from '../evaluation/held-out-answers.ts';
import { answerColumns } from '../evaluation/held-out-answers.ts';
import { openMetrics } from '../run/metrics.ts';
import type { RunFolder } from '../run/run-folder.ts';
import { openSamples, sampleColumns } from '../run/samples.ts';

/** What stage 3 declares of its tables beside metrics.arrow. */
export const ppoTables = {
  samples: {
    path: 'samples.arrow',
    holds: 'answers to held-out prompts at every measurement',
    columns: sampleColumns(answerColumns),
  },
  rollouts: {
    path: 'rollouts.arrow',
    holds: 'every response that was trained on',
    columns: sampleColumns(answerColumns),
  },
};

/** The run's tables: metrics of every iteration, every rollout, and answers to the held-out prompts. */
export function openPpoLog(folder: Pick<RunFolder, 'file'>, resumeFromStep: number | undefined) {
  const metrics = openMetrics(folder.file('metrics.arrow'), ppoMetrics, { resumeFromStep });
  const samples = openSamples(folder.file(ppoTables.samples.path), answerColumns, { resumeFromStep });
  const rollouts = openSamples(folder.file(ppoTables.rollouts.path), answerColumns, { resumeFromStep });
  return {
    flush: async (): Promise<void> => {
      for (const table of [metrics, samples, rollouts]) await table.flush();
    },
    rollout: async (
      step: number,
      asked: readonly ChatPrompt[],
      answers: readonly string[],
      rollout: Rollout,
      numbers: RolloutNumbers & { row: ReturnType<typeof rolloutMetrics> },
    ): Promise<void> => {
      for (const [index, response] of answers.entries()) {
        const prompt = asked[index]?.prompt ?? '';
        const of = <T>(values: ArrayLike<T>): T => values[index] as T;
        const [gold, reward, kl] = [of(numbers.gold), of(numbers.scores), of(numbers.kl)];
        await rollouts.add({ step, prompt, response, gold, reward, kl, length: rollout.responses[index]?.length ?? 0 });
      }
      await metrics.add({ step, ...numbers.row });
    },
    heldOut: async (step: number, rows: ReturnType<typeof measureAnswers>['rows'], means: HeldOutMeans) => {
      for (const row of rows) await samples.add({ step, ...row });
      const named = Object.entries(means).map(([name, value]) => [`held_out/${name}`, value]);
      await metrics.add({ step, ...Object.fromEntries(named) });
    },
  };
}
