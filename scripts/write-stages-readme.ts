/** Writes the metric glossary of stages/README.md from the records the stages declare. Run: npm run schemas */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ppoMetrics } from '../src/alignment/ppo-metrics.ts';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { metricGlossary } from '../src/run/metrics.ts';
import { runMain } from '../src/run/program.ts';
import { pretrainMetrics } from '../stages/0-pretrain.ts';
import { instructMetrics } from '../stages/1-instruct.ts';
import { rewardMetrics } from '../stages/2-reward.ts';
import { distillMetrics } from '../stages/distill.ts';

const README = fileURLToPath(new URL('../stages/README.md', import.meta.url));

/** stages/README.md with its glossary as the code has it. */
export function stagesReadme(): string {
  const stages = {
    '0-pretrain': pretrainMetrics,
    '1-instruct': instructMetrics,
    '2-reward': rewardMetrics,
    '3-ppo': ppoMetrics,
    distill: distillMetrics,
  };
  const sections = Object.entries(stages).flatMap(([name, metrics]) => [
    `### ${name}`,
    '',
    ...metricGlossary(metrics),
    '',
  ]);
  const text = readFileSync(README, 'utf8');
  return text.replace(
    /(<!-- metrics -->\n)[\s\S]*(<!-- \/metrics -->)/,
    (_, open, close) => `${open}\n${sections.join('\n')}\n${close}`,
  );
}

await runMain(import.meta.url, () => atomicWrite(README, stagesReadme()));
