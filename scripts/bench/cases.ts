/** What is measured against PyTorch: models, shapes and settings, the same for both sides. */
import { ConfigError } from '../../src/errors.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';
import type { Random } from '../../src/random.ts';
import { seededRandom } from '../../src/random.ts';
import { closest } from '../../src/yaml/suggest.ts';

/** AdamW with clipping, as both sides take it. */
export interface OptimizerSettings {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
}

/** Rows of token ids, all of one length. */
export type Rows = readonly (readonly number[])[];

interface Common {
  /** "train-1m" */
  readonly name: string;
  readonly dimensions: ModelDimensions;
  /** Steps of one timed repetition: short steps are timed several at a time. */
  readonly steps: number;
  /** Tokens of one step. */
  readonly tokens: number;
  readonly shapes: string;
}

export interface TrainCase extends Common {
  readonly task: 'train';
  readonly rows: Rows;
  readonly optimizer: OptimizerSettings;
}

export interface RewardCase extends Common {
  readonly task: 'reward';
  readonly chosen: Rows;
  readonly rejected: Rows;
  readonly centring: number;
  readonly optimizer: OptimizerSettings;
}

export interface GenerateCase extends Common {
  readonly task: 'generate';
  readonly prompts: Rows;
  readonly newTokens: number;
}

export interface PpoCase extends Common {
  readonly task: 'ppo';
  readonly prompts: Rows;
  readonly newTokens: number;
  /** Each makes one update of policy and critic on all rows. */
  readonly epochs: number;
  readonly klWeight: number;
  readonly gamma: number;
  readonly lambda: number;
  readonly clipRange: number;
  readonly valueClipRange: number;
  readonly optimizer: OptimizerSettings;
  readonly valueOptimizer: OptimizerSettings;
}

export type Case = TrainCase | RewardCase | GenerateCase | PpoCase;
export type TaskName = Case['task'];

const TASKS = ['train', 'reward', 'generate', 'ppo'] as const satisfies readonly TaskName[];

/** Sizes of a model, and of one training batch. */
export interface Size {
  readonly vocab: number;
  readonly dModel: number;
  readonly layers: number;
  readonly heads: number;
  readonly rows: number;
  readonly length: number;
  /** Pairs and the length of each of their responses: about as many tokens as a training batch. */
  readonly pairs: number;
  readonly pairLength: number;
  /** Training steps of one repetition. */
  readonly steps: number;
}

/** GPT-2's architecture in three sizes; the last is GPT-2 itself with a shorter context. */
export const SIZES = {
  '1m': { vocab: 512, dModel: 128, layers: 4, heads: 4, rows: 8, length: 128, pairs: 8, pairLength: 64, steps: 5 },
  '12m': { vocab: 4096, dModel: 384, layers: 6, heads: 6, rows: 4, length: 256, pairs: 4, pairLength: 128, steps: 2 },
  '124m': {
    vocab: 50_257,
    dModel: 768,
    layers: 12,
    heads: 12,
    rows: 2,
    length: 256,
    pairs: 2,
    pairLength: 128,
    steps: 1,
  },
} as const satisfies Record<string, Size>;
type SizeName = keyof typeof SIZES;

/** Of generation and PPO. */
const [PROMPTS, PROMPT_LENGTH, NEW_TOKENS, EPOCHS] = [32, 32, 64, 4];

/** Ids below are special in every tokenizer here; none of them is drawn for a case. */
const FIRST_ORDINARY_ID = 3;

const OPTIMIZER: OptimizerSettings = {
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clipNorm: 1,
};

export const caseNames: readonly string[] = TASKS.flatMap((task) =>
  Object.keys(SIZES).map((size) => `${task}-${size}`),
);

/** A PPO iteration of the largest takes minutes and 12 GB on each side. */
export const DEFAULT_CASES: readonly string[] = caseNames.filter((name) => name !== 'ppo-124m');

/** Dimensions by size name: "12m". */
function dimensionsOf(name: SizeName): ModelDimensions {
  const { vocab, dModel, layers, heads, length } = SIZES[name];
  return gpt2Style({ vocab, dModel, layers, heads, context: length });
}

/**
 * Cases by name.
 * @throws ConfigError naming every name that is unknown
 */
export function casesNamed(names: readonly string[]): Case[] {
  const unknown = names.filter((name) => !caseNames.includes(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((name) => {
        const near = closest(name, caseNames);
        const advice = near === undefined ? `Known are ${caseNames.join(', ')}.` : `Did you mean ${near}?`;
        return `--cases: there is no case "${name}". ${advice}`;
      }),
    );
  }
  return names.map((name) => {
    const [task, size] = name.split('-') as [TaskName, SizeName];
    return makers[task](name, size, seededRandom(1, `bench ${name}`));
  });
}

const makers: Record<TaskName, (name: string, size: SizeName, random: Random) => Case> = {
  train: (name, size) => trainCase(name, SIZES[size]),
  reward(name, size, random) {
    const { pairs, pairLength, steps, vocab } = SIZES[size];
    const shapes = `${pairs} pairs × ${pairLength}`;
    const common = { name, dimensions: dimensionsOf(size), steps, tokens: 2 * pairs * pairLength, shapes };
    const responses = (): Rows => randomRows(pairs, pairLength, vocab, random);
    const [chosen, rejected] = [responses(), responses()];
    return { ...common, task: 'reward', chosen, rejected, centring: 0.01, optimizer: OPTIMIZER };
  },
  generate(name, size, random) {
    return { ...responsesOf(name, size, random), task: 'generate' };
  },
  ppo(name, size, random) {
    const common = responsesOf(name, size, random);
    return {
      ...common,
      task: 'ppo',
      shapes: `${common.shapes}, ${EPOCHS} epochs`,
      epochs: EPOCHS,
      klWeight: 0.05,
      gamma: 1,
      lambda: 0.95,
      clipRange: 0.2,
      valueClipRange: 0.2,
      optimizer: OPTIMIZER,
      valueOptimizer: OPTIMIZER,
    };
  },
};

/** Next-token training of GPT-2's architecture in any size, on a batch of any shape. */
export function trainCase(name: string, size: Omit<Size, 'pairs' | 'pairLength'>): TrainCase {
  const { rows, length, steps, vocab, dModel, layers, heads } = size;
  const dimensions = gpt2Style({ vocab, dModel, layers, heads, context: length });
  const shapes = `${rows} × ${length}`;
  const ids = randomRows(rows, length, vocab, seededRandom(1, `bench ${name}`));
  return { name, task: 'train', dimensions, steps, tokens: rows * length, shapes, rows: ids, optimizer: OPTIMIZER };
}

function responsesOf(name: string, size: SizeName, random: Random) {
  const prompts = randomRows(PROMPTS, PROMPT_LENGTH, SIZES[size].vocab, random);
  const shapes = `${PROMPTS} × (${PROMPT_LENGTH} + ${NEW_TOKENS})`;
  const tokens = PROMPTS * NEW_TOKENS;
  return { name, dimensions: dimensionsOf(size), steps: 1, tokens, shapes, prompts, newTokens: NEW_TOKENS };
}

function randomRows(rows: number, length: number, vocab: number, random: Random): Rows {
  const id = (): number => FIRST_ORDINARY_ID + random.integer(vocab - FIRST_ORDINARY_ID);
  return Array.from({ length: rows }, () => Array.from({ length }, id));
}
