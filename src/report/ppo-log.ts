/** What PPO writes down while it runs, beside metrics: every rollout, and answers to held-out prompts. */
import { answerColumns } from '../evaluation/held-out-answers.ts';
import type { RunFolder } from '../run/run-folder.ts';
import { openSamples, sampleColumns } from '../run/samples.ts';
import type { Row } from '../tables/columns.ts';

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

/** The tables of a run. */
export function openPpoTables(folder: Pick<RunFolder, 'file'>, resumeFromStep: number | undefined) {
  const open = (name: keyof typeof ppoTables) => {
    const table = openSamples(folder.file(ppoTables[name].path), answerColumns, { resumeFromStep });
    const add = async (step: number, rows: readonly Row<typeof answerColumns>[]): Promise<void> => {
      for (const row of rows) await table.add({ step, ...row });
    };
    return { add, flush: table.flush };
  };
  return { samples: open('samples'), rollouts: open('rollouts') };
}
