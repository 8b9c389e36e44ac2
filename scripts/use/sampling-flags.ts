/** The flags that generate and chat share: what the system says, and how tokens are drawn. */

import { laneNames } from '../../src/tensor/lane.ts';
import type { Flags } from '../../src/terminal/flags.ts';

export const samplingFlags = {
  system: { kind: 'text', default: '', description: 'What the system says in front of the conversation.' },
  'max-new-tokens': { kind: 'integer', default: 64, min: 1, description: 'Longest answer, its end token included.' },
  temperature: {
    kind: 'number',
    default: 0.7,
    min: 0,
    description: 'Divides the logits; 0 takes the likeliest token.',
  },
  'top-k': { kind: 'integer', default: 0, min: 0, description: 'Only the k likeliest tokens; 0 for all.' },
  'top-p': {
    kind: 'number',
    default: 1,
    min: 0,
    max: 1,
    description: 'Only the smallest set that reaches p; 1 for all.',
  },
  'min-p': {
    kind: 'number',
    default: 0,
    min: 0,
    max: 1,
    description: 'Only tokens p times as likely as the likeliest.',
  },
  'repetition-penalty': {
    kind: 'number',
    default: 1,
    min: 0.01,
    description: 'Above 1, tokens that were read or written before become less likely.',
  },
  stop: { kind: 'texts', description: 'Text that ends the answer; may be given several times.' },
  seed: { kind: 'integer', default: 1, description: 'Seed of the sampling.' },
  backend: { kind: 'text', default: 'auto', choices: ['auto', ...laneNames], description: 'Tensor lane.' },
} as const satisfies Flags;

/** Values of the shared flags. */
export interface SamplingValues {
  readonly 'max-new-tokens': number;
  readonly temperature: number;
  readonly 'top-k': number;
  readonly 'top-p': number;
  readonly 'min-p': number;
  readonly 'repetition-penalty': number;
  readonly stop: readonly string[];
  readonly seed: number;
}

/** The flags of sampling as its options; `\n` and `\t` in stop texts are what they stand for. */
export function samplingOf(values: SamplingValues) {
  return {
    maxNewTokens: values['max-new-tokens'],
    temperature: values.temperature,
    topK: values['top-k'],
    topP: values['top-p'],
    minP: values['min-p'],
    repetitionPenalty: values['repetition-penalty'],
    stops: values.stop.map((text) => text.replaceAll('\\n', '\n').replaceAll('\\t', '\t')),
  };
}
