/** adapter_config.json as PEFT reads it: every field is done, known to change nothing, or refused by name. */
import { CheckpointError, errorMessage } from '../errors.ts';
import { matchesTarget, patternKey } from './adapter-targets.ts';
import { readRegularFile } from './file-bytes.ts';

/** What a low-rank adapter says of itself. */
export interface AdapterConfig {
  readonly path: string;
  /** Where the frozen model is said to be. */
  readonly base: string;
  readonly dropout: number;
  /** Weight-decomposed adapters: a magnitude for each output (Liu et al. 2024, arXiv:2402.09353). */
  readonly dora: boolean;
  /** The change has a bias, too. */
  readonly loraBias: boolean;
  /** Modules that are saved whole. */
  readonly savedModules: readonly string[];
  /** Rank of a module's change, by its name in the base model: "model.layers.0.self_attn.q_proj". */
  rank(module: string): number;
  /** α / rank, or α / √rank. */
  scale(module: string): number;
  /** Whether a module is to be changed; undefined where the file leaves the choice to PEFT. `isHead` is the output layer. */
  targets(module: string, isHead: boolean): boolean | undefined;
  /** Rows of an embedding or head that are replaced, where it is one of those named. */
  tokenRows(module: string, isInputEmbedding: boolean): readonly number[] | undefined;
  /** One more than the last row of a token that it replaces; 0 where it replaces none. */
  readonly tokens: number;
  /** Fields that make it more than A and B of one rank and scale on linear layers, and rows of tokens. */
  readonly special: readonly string[];
}

/** Fields that say where an adapter is from, or how it was trained. */
const WITHOUT_EFFECT = [
  'task_type',
  'base_model_name_or_path',
  'revision',
  'auto_mapping',
  'inference_mode',
  'peft_version',
  // PEFT knows the layout of each layer without fan_in_fan_out; the tensors show which weights stay tied.
  'fan_in_fan_out',
  'ensure_weight_tying',
  'megatron_core',
  'qalora_group_size',
  'runtime_config',
  'loftq_config',
  'eva_config',
  'corda_config',
  'lora_ga_config',
];

/** Other ways to begin (PiSSA, OLoRA, CorDA, LoftQ) change the frozen matrices too, each time PEFT loads the adapter. */
const BEGINNINGS = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica', 'lora_ga'];

type Raw = Readonly<Record<string, unknown>>;

/** A check of a value: what is expected where it fails. */
type Check = readonly [expected: string, isRight: (value: unknown) => boolean];

const isText = (value: unknown): boolean => typeof value === 'string';
const isRow = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isRank = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const listOf = (isRight: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(isRight);
const mapOf = (isRight: (value: unknown) => boolean) => (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isRight);
const either =
  (...checks: readonly ((value: unknown) => boolean)[]) =>
  (value: unknown) =>
    checks.some((check) => check(value));

const FLAG: Check = ['true or false', (value) => typeof value === 'boolean'];
const NAMES: Check = ['a pattern, or a list of names', either(isText, listOf(isText))];

/** Fields that are read; null and what is missing is PEFT's default. */
const READ: Readonly<Record<string, Check>> = {
  peft_type: ['"LORA"', (value) => value === 'LORA'],
  r: ['a whole number above 0', isRank],
  lora_alpha: ['a positive number', (value) => isNumber(value) && (value as number) > 0],
  lora_dropout: [
    'a number from 0 to 1',
    (value) => isNumber(value) && (value as number) >= 0 && (value as number) <= 1,
  ],
  rank_pattern: ['whole numbers above 0 by patterns of names', mapOf(isRank)],
  alpha_pattern: ['numbers by patterns of names', mapOf(isNumber)],
  use_rslora: FLAG,
  use_dora: FLAG,
  lora_bias: FLAG,
  bias: ['"none", "all" or "lora_only"', (value) => ['none', 'all', 'lora_only'].includes(value as string)],
  target_modules: NAMES,
  exclude_modules: NAMES,
  modules_to_save: ['a list of names', listOf(isText)],
  layers_to_transform: ['a layer, or a list of them', either(isRow, listOf(isRow))],
  layers_pattern: ['a name, or a list of them', either(isText, listOf(isText))],
  trainable_token_indices: ['rows, or lists of rows by names', either(listOf(isRow), mapOf(listOf(isRow)))],
};

/**
 * Reads the settings of an adapter.
 * @throws CheckpointError listing every field that is wrong or asks for what is not done here
 */
export function readAdapterConfig(path: string): AdapterConfig {
  const raw = readJson(path);
  const problems = fieldProblems(raw, path);
  if (problems.length > 0) throw new CheckpointError(problems);
  const [ranks, alphas] = [raw.rank_pattern ?? {}, raw.alpha_pattern ?? {}] as Record<string, number>[];
  const of = (map: Record<string, number> | undefined, module: string, usual: unknown): number =>
    map?.[patternKey(Object.keys(map), module) ?? ''] ?? Number(usual);
  const rank = (module: string): number => of(ranks, module, raw.r);
  const rows = raw.trainable_token_indices ?? undefined;
  const savedModules = (raw.modules_to_save ?? []) as string[];
  const special = ['rank_pattern', 'alpha_pattern', 'use_dora', 'lora_bias'];
  return {
    path,
    base: String(raw.base_model_name_or_path),
    dropout: Number(raw.lora_dropout ?? 0),
    dora: raw.use_dora === true,
    loraBias: raw.lora_bias === true,
    savedModules,
    rank,
    scale: (module) => {
      const alpha = of(alphas, module, raw.lora_alpha);
      return alpha / (raw.use_rslora === true ? Math.sqrt(rank(module)) : rank(module));
    },
    targets: (module, isHead) => matchesTarget(raw, module, isHead),
    tokenRows: (module, isInputEmbedding) => {
      if (rows === undefined) return undefined;
      if (Array.isArray(rows)) return isInputEmbedding ? (rows as number[]) : undefined;
      return Object.entries(rows as Record<string, number[]>).find(
        ([name]) => module === name || module.endsWith(`.${name}`),
      )?.[1];
    },
    tokens: Math.max(
      0,
      ...(Array.isArray(rows) ? rows : Object.values(rows ?? {}).flat()).map((row: number) => row + 1),
    ),
    special: [
      ...special.filter((key) => !isOff(raw[key])),
      ...(raw.bias !== undefined && raw.bias !== null && raw.bias !== 'none' ? ['bias'] : []),
      ...(savedModules.some((name) => !['score', 'classifier'].includes(name)) ? ['modules_to_save'] : []),
    ],
  };
}

function readJson(path: string): Raw {
  const text = readRegularFile(path, 'the settings of an adapter');
  try {
    const raw = JSON.parse(text) as unknown;
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new TypeError('it holds no object');
    return raw as Raw;
  } catch (error) {
    throw new CheckpointError(
      `${path}: cannot be read as JSON (${errorMessage(error)}). Copy or make the adapter again.`,
    );
  }
}

function fieldProblems(raw: Raw, path: string): string[] {
  const problems: string[] = [];
  const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
  // Without these there is no adapter.
  for (const key of ['peft_type', 'r', 'lora_alpha']) {
    const [expected] = READ[key] as Check;
    if ((raw[key] ?? undefined) === undefined) problems.push(`${path} ${key}: expected ${expected}, received nothing.`);
  }
  for (const [key, value] of Object.entries(raw)) {
    const check = READ[key];
    if (check !== undefined) {
      if (value !== null && !check[1](value))
        problems.push(`${path} ${key}: expected ${check[0]}, received ${show(value)}.`);
    } else if (key === 'init_lora_weights') {
      if (value === null || BEGINNINGS.includes(value as string)) continue;
      problems.push(
        `${path} ${key}: ${show(value)} changed the frozen weights, too, when training began; expected ${BEGINNINGS.map(show).join(' or ')}. ` +
          'Save the adapter again in PEFT with path_initial_model_for_weight_conversion, which makes an ordinary one of it.',
      );
    } else if (!WITHOUT_EFFECT.includes(key) && !isOff(value)) {
      problems.push(
        `${path} ${key}: ${show(value)} is not supported, for it may change what the adapter computes; expected null or false. ` +
          'Merge the adapter in PEFT: merge_and_unload(), save_pretrained.',
      );
    }
  }
  // Names in lists are patterns to PEFT in these two only.
  const lists = ['modules_to_save', 'layers_pattern'];
  for (const key of ['rank_pattern', 'alpha_pattern', 'target_modules', 'exclude_modules', ...lists]) {
    problems.push(...patternProblems(raw[key], lists.includes(key), `${path} ${key}`));
  }
  return problems;
}

/** Patterns of Python that JavaScript does not know. */
function patternProblems(value: unknown, inLists: boolean, where: string): string[] {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  const listed = Array.isArray(value) && inLists ? value.filter((one) => typeof one === 'string') : [];
  const patterns = isMap ? Object.keys(value) : typeof value === 'string' ? [value] : listed;
  return patterns.flatMap((pattern) => {
    try {
      patternKey([pattern], '');
      return [];
    } catch (error) {
      return [
        `${where}: ${JSON.stringify(pattern)} is no pattern that is understood here (${errorMessage(error)}). Name the modules instead.`,
      ];
    }
  });
}

/** Missing, null, false, {} and []. */
function isOff(value: unknown): boolean {
  if (value === undefined || value === false || value === null) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
