/** The stages that learn from preference pairs; what they share is tested of each. */
import { allStages } from '../../stages/all.ts';

export const pairStages = allStages.filter(({ parents }) =>
  ['pairs', 'heldOut'].every((key) => parents[key]?.takes === 'preference pairs'),
);
