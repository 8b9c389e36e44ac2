/** Every stage, in the order in which a chain runs them. Whoever needs to know of stages reads what they declare here. */
import type { Stage, StageConfig } from '../src/run/stage.ts';
import { pretrain } from './0-pretrain.ts';
import { instruct } from './1-instruct.ts';
import { reward } from './2-reward.ts';
import { ppo } from './3-ppo.ts';
import { evaluate } from './4-evaluate.ts';
import { distill } from './distill.ts';
import { dpo } from './dpo.ts';
import { preferences } from './preferences.ts';

export const allStages: readonly Stage<StageConfig>[] = [
  pretrain,
  instruct,
  distill,
  preferences,
  reward,
  dpo,
  ppo,
  evaluate,
];
