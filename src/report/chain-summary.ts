/** The numbers of a finished chain, gathered from the manifests of its stages. */
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import { readManifest } from '../run/manifest.ts';

/** One line of stage 4's table. */
export interface EvaluationRow {
  readonly model: string;
  readonly accuracy: number;
  readonly accuracy_unseen_templates: number;
  /** null where there was no such task. */
  readonly accuracy_unseen_datasets: number | null;
  readonly accuracy_unseen_clusters: number | null;
  readonly gold: number;
  readonly gold_sd: number;
  readonly reward: number;
  readonly kl: number;
  readonly length: number;
  readonly win_rate: number;
}

/** The content of summary.json. */
export interface ChainSummary {
  /** The lane the stages ran on; several, in the order of their first use, where a chain was continued on another. */
  readonly lane: string;
  /** Of all stages together; setting up the lane is not counted. */
  readonly seconds: number;
  readonly secondsByStage: Readonly<Record<string, number>>;
  readonly peakRssMb: number;
  readonly seed: number;
  readonly instruct: {
    readonly accuracyBase: number;
    readonly accuracy: number;
    readonly accuracyUnseenTemplates: number;
  };
  readonly reward: { readonly heldOutAccuracy: number; readonly ece: number };
  readonly ppo: {
    readonly goldBefore: number;
    readonly goldAfter: number;
    /** Standard deviation of the instruct model's totals by the judge over the held-out prompts. */
    readonly goldSdBefore: number;
    readonly proxyBefore: number;
    readonly proxyAfter: number;
    /** Nats, to the instruct model, on held-out prompts. */
    readonly klPerResponse: number;
    /** Against the instruct model, by the judge. */
    readonly winRate: number;
  };
  readonly table: readonly EvaluationRow[];
}

/** What the summary of a chain needs of every model. */
const chainColumns = ['accuracy', 'accuracy_unseen_templates', 'gold', 'gold_sd', 'reward', 'kl', 'win_rate'] as const;

const STAGES = ['instruct', 'preferences', 'reward', 'ppo', 'evaluate'] as const;

/**
 * @param folder run folder of the chain
 * @throws CheckpointError when a stage has not finished
 */
export function chainSummary(folder: string, seed: number): ChainSummary {
  const manifests = STAGES.map((stage) => {
    const manifest = readManifest(join(folder, stage));
    if (manifest?.status === 'finished') return manifest;
    throw new CheckpointError(
      `${join(folder, stage)}: this stage has not finished. Give the same command again to go on.`,
    );
  });
  const summaryOf = (stage: (typeof STAGES)[number]): Record<string, unknown> =>
    manifests[STAGES.indexOf(stage)]?.summary ?? {};
  const table = (summaryOf('evaluate').table ?? []) as EvaluationRow[];
  const row = (model: string): EvaluationRow => {
    const found = table.find((candidate) => candidate.model === model);
    if (found === undefined)
      throw new CheckpointError(`${folder}/evaluate: its table has no row for ${model}. Run stage 4 again.`);
    const missing = chainColumns.filter((name) => typeof found[name] !== 'number');
    if (missing.length > 0) {
      throw new CheckpointError(
        `${folder}/evaluate: its table has no ${missing.join(', ')} for ${model}; expected numbers. ` +
          'Give stage 4 prompts, ppo and reward, and tasks that were trained.',
      );
    }
    return found;
  };
  const [base, instruct, ppo] = [row('base'), row('instruct'), row('ppo')];
  const lanes = manifests.flatMap(({ sessions, lane }) => [...sessions.map((session) => session.lane), lane]);
  return {
    lane: [...new Set(lanes)].join(', '),
    seconds: Math.round(10 * manifests.reduce((sum, { seconds }) => sum + seconds, 0)) / 10,
    secondsByStage: Object.fromEntries(STAGES.map((stage, i) => [stage, manifests[i]?.seconds ?? 0])),
    peakRssMb: Math.max(...manifests.map(({ peakRssMb }) => peakRssMb)),
    seed,
    instruct: {
      accuracyBase: base.accuracy,
      accuracy: instruct.accuracy,
      accuracyUnseenTemplates: instruct.accuracy_unseen_templates,
    },
    reward: { heldOutAccuracy: summaryOf('reward').heldOutAccuracy as number, ece: summaryOf('reward').ece as number },
    ppo: {
      goldBefore: instruct.gold,
      goldAfter: ppo.gold,
      goldSdBefore: instruct.gold_sd,
      proxyBefore: instruct.reward,
      proxyAfter: ppo.reward,
      klPerResponse: ppo.kl,
      winRate: ppo.win_rate,
    },
    table,
  };
}
