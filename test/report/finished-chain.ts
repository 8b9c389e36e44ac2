/** The manifests of a finished chain, written by hand. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../src/run/manifest.ts';
import { newManifest, writeManifest } from '../../src/run/manifest.ts';
import { allStages } from '../../stages/all.ts';

const row = (model: string, accuracy: number, gold: number) => ({
  ...{
    model,
    accuracy,
    accuracy_unseen_templates: accuracy - 0.125,
    gold,
    gold_sd: 0.25,
    right: 2 * gold - 0.25,
    reward: 10 * gold,
  },
  ...{ kl: model === 'ppo' ? 3.5 : 0, length: 12, win_rate: model === 'ppo' ? 0.75 : 0.5 },
});
export const chainTable = [row('base', 0.25, 0.1), row('instruct', 0.5, 0.375), row('ppo', 0.5, 0.625)];
const stages: Record<string, Partial<Manifest>> = {
  instruct: { seconds: 60.26, peakRssMb: 800, summary: {} },
  preferences: { seconds: 10, peakRssMb: 700, summary: {} },
  reward: {
    seconds: 20,
    peakRssMb: 900,
    summary: { heldOutAccuracy: 0.875, ece: 0.0625, 'accuracy: manner': 0.75 },
  },
  ppo: { seconds: 100, peakRssMb: 850, summary: {} },
  evaluate: { seconds: 9.5, peakRssMb: 600, summary: { reference: 'instruct', table: chainTable } },
};
export const chainStages = allStages.filter(({ name }) => Object.hasOwn(stages, name));

/** Writes a folder with a manifest for each stage. */
export async function writeChain(folder: string, changes: Record<string, Partial<Manifest>> = {}): Promise<void> {
  for (const [stage, parts] of Object.entries(stages)) {
    mkdirSync(join(folder, stage));
    const manifest = newManifest({ stage, seed: 1, lane: 'wasm', device: 'cpu', versions: {} });
    await writeManifest(join(folder, stage), { ...manifest, status: 'finished', ...parts, ...changes[stage] });
  }
}
