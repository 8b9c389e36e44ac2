/** A base model with an adapter merged into it, a tensor at a time: what PEFT's merge_and_unload gives. */
import { CheckpointError } from '../errors.ts';
import type { AdapterConfig } from './adapter-config.ts';
import type { AdapterTensors, ModuleChange } from './adapter-tensors.ts';
import type { Piece } from './families/pieces.ts';
import type { SafetensorsFile } from './safetensors.ts';
import { describeNames } from './tensor-groups.ts';

/** A module of the base with its weight in the base's files. */
export interface BaseModule {
  /** As the adapter calls it: "model.layers.0.self_attn.q_proj". */
  readonly module: string;
  readonly piece: Piece;
  /** As the weight lies in files. */
  readonly shape: readonly number[];
  readonly isHead: boolean;
  readonly isInputEmbedding: boolean;
  readonly hasBias: boolean;
}

/** Everything a merge goes by. */
export interface MergeSources {
  readonly config: AdapterConfig;
  readonly file: SafetensorsFile;
  /** Names the file in messages. */
  readonly where: string;
  readonly tensors: AdapterTensors;
}

/** Outputs and inputs of a module; a table of embeddings and GPT-2's Conv1D lie [in, out] in files. */
function sizesOf({ piece, shape }: BaseModule): { outputs: number; inputs: number } {
  const [rows, columns] = shape as [number, number];
  return piece.transposed ? { outputs: rows, inputs: columns } : { outputs: columns, inputs: rows };
}

/** What does not fit between an adapter's settings, its tensors and the modules of the base. */
export function mergeProblems(
  { config, file, where, tensors }: MergeSources,
  modules: readonly BaseModule[],
): string[] {
  const problems: string[] = [];
  const { changes, tokenRows, replaced, unknown } = tensors;
  if (unknown.length > 0) {
    problems.push(
      `${where}: ${describeNames(unknown)} belong to no linear layer of this model, nor to another part of it. ` +
        'Use the base that the adapter was made for.',
    );
  }
  const check = (name: string | undefined, part: string, shape: readonly number[]): void => {
    if (name === undefined) {
      problems.push(`${where}: tensor "${part}" is missing. Copy or make the adapter again.`);
      return;
    }
    const found = file.entries.get(name)?.shape ?? [];
    if (found.join() === shape.join()) return;
    problems.push(`${where}: tensor "${name}": expected shape [${shape.join(', ')}], received [${found.join(', ')}].`);
  };
  const lacking: string[] = [];
  for (const one of modules) {
    const { module, shape } = one;
    const change = changes.get(module);
    const isTarget = config.targets(module, one.isHead);
    if (change === undefined) {
      const isPlain = shape.length === 2 && one.piece.skipRows === undefined;
      if (isTarget === true && isPlain) lacking.push(module);
    } else if (isTarget === false) {
      problems.push(
        `${where}: changes "${module}", which ${config.path} does not name (target_modules, exclude_modules, modules_to_save, ` +
          'layers_to_transform), so that PEFT would leave the change out. Correct the file that is wrong.',
      );
    } else problems.push(...changeProblems(change, one, config, where, check));
    const rows = config.tokenRows(module, one.isInputEmbedding);
    const held = tokenRows.get(module);
    if (rows === undefined && held === undefined) continue;
    if (rows === undefined)
      problems.push(`${where}: tensor "${held}": ${config.path} has no trainable_token_indices for it.`);
    else {
      check(held, `${module}.token_adapter.trainable_tokens_delta`, [rows.length, shape[1] as number]);
      const beyond = rows.filter((row) => row >= (shape[0] as number));
      if (beyond.length > 0) {
        problems.push(
          `${config.path} trainable_token_indices: ${beyond.join(', ')}: expected rows of the ${shape[0]} of "${module}". Use the base that the adapter was made for.`,
        );
      }
    }
  }
  if (lacking.length > 0) {
    problems.push(
      `${where}: has no tensors for ${describeNames(lacking)}, which target_modules of ${config.path} names. Copy or make the adapter again.`,
    );
  }
  problems.push(...savedProblems(config, modules, replaced, where));
  if (changes.size + replaced.size + tokenRows.size === 0) problems.push(`${where}: changes nothing of this model.`);
  return problems;
}

function changeProblems(
  change: ModuleChange,
  one: BaseModule,
  config: AdapterConfig,
  where: string,
  check: (name: string | undefined, part: string, shape: readonly number[]) => void,
): string[] {
  const { module, piece, shape, hasBias } = one;
  if (shape.length !== 2 || piece.skipRows !== undefined) {
    return [`${where}: changes "${module}", which is no linear layer and no table that can be merged into.`];
  }
  const { inputs, outputs } = sizesOf(one);
  const rank = config.rank(module);
  check(change.a, `${module}.lora_A.weight`, [rank, inputs]);
  check(change.b, `${module}.lora_B.weight`, [outputs, rank]);
  const problems: string[] = [];
  if (config.dora && change.isEmbedding) {
    problems.push(
      `${config.path} use_dora: DoRA of the embedding "${module}" is not supported. Merge the adapter in PEFT: merge_and_unload(), save_pretrained.`,
    );
  } else if (config.dora) check(change.magnitude, `${module}.lora_magnitude_vector`, [outputs]);
  else if (change.magnitude !== undefined) {
    problems.push(
      `${where}: tensor "${change.magnitude}": ${config.path} does not say use_dora: true. Correct the file that is wrong.`,
    );
  }
  if (config.loraBias && !change.isEmbedding) {
    check(change.bias, `${module}.lora_B.bias`, [outputs]);
    if (!hasBias) {
      problems.push(
        `${config.path} lora_bias: "${module}" has no bias that the adapter's could be merged into, in PEFT as here; expected false. Use the adapter unmerged in PEFT.`,
      );
    }
  } else if (change.bias !== undefined) {
    problems.push(
      `${where}: tensor "${change.bias}": ${config.path} does not say lora_bias: true. Correct the file that is wrong.`,
    );
  }
  return problems;
}

/** Modules that are to be saved whole, are part of the model, and are not in the file. */
function savedProblems(
  { path, savedModules }: AdapterConfig,
  modules: readonly BaseModule[],
  replaced: ReadonlyMap<string, string>,
  where: string,
): string[] {
  return savedModules.flatMap((name) => {
    const lacking = modules.filter(({ module, piece }) => module.endsWith(name) && !replaced.has(piece.name));
    if (lacking.length === 0) return [];
    return [
      `${where}: has no tensors for ${describeNames(lacking.map(({ module }) => module))}, which modules_to_save of ${path} names. Copy or make the adapter again.`,
    ];
  });
}

/**
 * The weight of a module with its change, as it lies in files.
 * @param values of the base, changed in place
 */
export function mergeChange(
  values: Float32Array,
  one: BaseModule,
  change: ModuleChange,
  { config, file, where }: MergeSources,
): void {
  const { inputs, outputs } = sizesOf(one);
  const [rank, scale] = [config.rank(one.module), config.scale(one.module)];
  const [a, b] = [change.a, change.b].map((name) => finite(file, name as string, where)) as [
    Float32Array,
    Float32Array,
  ];
  const [step, across] = one.piece.transposed ? [1, inputs] : [outputs, 1];
  const magnitudes = change.magnitude === undefined ? undefined : finite(file, change.magnitude, where);
  const row = new Float64Array(inputs);
  for (let output = 0; output < outputs; output++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = scale * (b[output * rank + k] as number);
      for (let input = 0; input < inputs; input++)
        row[input] = (row[input] as number) + factor * (a[k * inputs + input] as number);
    }
    const start = output * across;
    let squares = 0;
    for (let input = 0; input < inputs; input++) {
      const value = (values[start + input * step] as number) + (row[input] as number);
      row[input] = value;
      squares += value * value;
    }
    // DoRA: the length of each output's weights is learned by itself.
    const length = magnitudes === undefined ? 1 : (magnitudes[output] as number) / Math.sqrt(squares);
    for (let input = 0; input < inputs; input++) values[start + input * step] = length * (row[input] as number);
  }
}

/** The bias of a module with that of its change added. */
export function mergeBias(
  values: Float32Array,
  module: string,
  name: string,
  { config, file, where }: MergeSources,
): void {
  const bias = finite(file, name, where);
  const scale = config.scale(module);
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + scale * (bias[i] as number);
}

/** Puts the rows of tokens in their places in a table [rows, width]. */
export function replaceRows(values: Float32Array, width: number, rows: readonly number[], held: Float32Array): void {
  for (const [i, row] of rows.entries()) values.set(held.subarray(i * width, (i + 1) * width), row * width);
}

/** A tensor of the adapter, without NaN or infinity. */
export function finite(file: SafetensorsFile, name: string, where: string): Float32Array {
  const values = file.read(name);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return values;
  throw new CheckpointError(
    `${where}: tensor "${name}": element ${bad} is ${values[bad]}; expected finite numbers. Its training went wrong: use an earlier adapter.`,
  );
}
