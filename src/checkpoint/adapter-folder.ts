/** Low-rank adapters as PEFT stores them: adapter_config.json and adapter_model.safetensors. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import type { Model } from '../model/model.ts';
import type { Adapters, ParameterSpec } from '../tensor/parameters.ts';
import { parameterValues, readParameters } from '../tensor/parameters.ts';
import { tokenValues } from '../tensor/token-rows.ts';
import type { AdapterConfig } from './adapter-config.ts';
import { readAdapterConfig } from './adapter-config.ts';
import type { LinearModule, TokenTable } from './adapter-plan.ts';
import { linearModules, rowsOfTable, tokenTables } from './adapter-plan.ts';
import { PEFT_PREFIX, TOKEN_ROWS } from './adapter-tensors.ts';
import type { SafetensorsFile, WrittenTensor } from './safetensors.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PICKLE = 'adapter_model.bin';

/** True where a folder holds an adapter. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, CONFIG));
}

/**
 * Writes the adapters of a model (and its score head) into an existing folder; `peft.PeftModel.from_pretrained` loads it.
 * @param base where the frozen model is: a folder, or a name on the Hugging Face Hub
 */
export function writeAdapterFolder(folder: string, model: Model, base: string): void {
  const { adapters, layout } = model.parameters;
  if (adapters === null) throw new CheckpointError(`${folder}: the model has no adapters to write.`);
  const flat = readParameters(model.parameters);
  const places = new Set(adapters.places.map(({ name }) => name));
  const modules = linearModules(model.dimensions, model.head).filter(({ place }) => places.has(place.name));
  const { rank } = adapters;
  const tensors = modules.flatMap(({ module, place, piece }): WrittenTensor[] => {
    const values = (part: 'a' | 'b'): Float32Array => parameterValues(layout, flat, `${place.name}.${part}`);
    const input = values('a').length / rank;
    const output = place.to - place.from;
    const a = {
      name: `${PEFT_PREFIX}${module}.lora_A.weight`,
      shape: [rank, input],
      values: () => turned('to PEFT', values('a'), [input, rank]),
    };
    const b = {
      name: `${PEFT_PREFIX}${module}.lora_B.weight`,
      shape: [output, rank],
      values: () => turned('to PEFT', values('b'), [rank, output], piece.order),
    };
    return [a, b];
  });
  const tables = tokenTables(model.dimensions, model.head).flatMap((table) => {
    const rows = adapters.tokenRows.find(({ matrix }) => matrix.name === table.matrix.name);
    return rows === undefined ? [] : [{ ...table, rows }];
  });
  for (const { module, rows } of tables) {
    const values = (): Float32Array => parameterValues(layout, flat, rows.name);
    tensors.push({
      name: PEFT_PREFIX + module + TOKEN_ROWS,
      shape: [rows.ids.length, model.dimensions.dModel],
      values,
    });
  }
  if (model.head === 'score') {
    const values = (): Float32Array => parameterValues(layout, flat, 'score.weight');
    tensors.push({ name: `${PEFT_PREFIX}score.weight`, shape: [1, model.dimensions.dModel], values });
  }
  writeSafetensors(join(folder, WEIGHTS), tensors, 'F32');
  const indices = Object.fromEntries(tables.map(({ module, rows }) => [module.split('.').at(-1), rows.ids]));
  const config = {
    ...peftConfig(model, adapters, base, modules),
    trainable_token_indices: tables.length === 0 ? null : indices,
  };
  writeFileSync(join(folder, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
}

/** The fields PEFT needs; α is chosen so that its α / r is our scale. */
function peftConfig(
  model: Model,
  { rank, scale, dropout }: Adapters,
  base: string,
  modules: readonly LinearModule[],
): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: model.head === 'score' ? 'SEQ_CLS' : 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: scale * rank,
    lora_dropout: dropout,
    target_modules: modules.map(({ module }) => module),
    fan_in_fan_out: model.dimensions.family === 'gpt2',
    bias: 'none',
    use_rslora: false,
    use_dora: false,
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: model.head === 'score' ? ['score'] : null,
  };
}

/**
 * A matrix of ours, [rows, columns], as PEFT's, [columns, rows], in which column `column` is row `order(column)`; or PEFT's
 * as ours.
 */
function turned(
  direction: 'to PEFT' | 'to ours',
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  order = (column: number) => column,
): Float32Array {
  const found = new Float32Array(values.length);
  for (let column = 0; column < columns; column++) {
    const start = order(column) * rows;
    for (let row = 0; row < rows; row++) {
      const [ours, theirs] = [row * columns + column, start + row];
      if (direction === 'to PEFT') found[theirs] = values[ours] as number;
      else found[ours] = values[theirs] as number;
    }
  }
  return found;
}

/** An adapter folder that fits a model. */
export interface SavedAdapter {
  readonly plan: Adapters;
  /** The model's kind with the adapter: score where it brings a score head. */
  readonly head: HeadKind;
  /** Where the frozen model is said to be. */
  readonly base: string;
  /** Values of the adapters' parameters and of score.weight. */
  read(spec: ParameterSpec): Float32Array;
}

/**
 * Reads an adapter for a model of these dimensions. Which modules it changes is read off its tensors.
 * @throws CheckpointError listing what it asks for that is not done here, and tensors that fit no module or have another shape
 */
export function readAdapterFolder(folder: string, dimensions: ModelDimensions): SavedAdapter {
  const config = readAdapterConfig(join(folder, CONFIG));
  const problems = specialProblems(config);
  if (problems.length > 0) throw new CheckpointError(problems);
  const { file, where } = openAdapterWeights(folder);
  try {
    const head = file.entries.has(`${PEFT_PREFIX}score.weight`) ? 'score' : 'tokens';
    // Without patterns both are the same for every module.
    const [rank, scale] = [config.rank(''), config.scale('')];
    const tables = rowTables([dimensions, head], config);
    const found = matchModules([dimensions, head], rank, { file, tables }, where, problems);
    if (problems.length > 0) throw new CheckpointError(problems);
    const values = new Map<string, Float32Array>();
    for (const { prefix, module } of found) {
      const { place, piece } = module;
      const [a, b] = ['A', 'B'].map((part) => file.read(`${prefix}.lora_${part}.weight`)) as [
        Float32Array,
        Float32Array,
      ];
      values.set(`${place.name}.a`, turned('to ours', a, [a.length / rank, rank]));
      values.set(`${place.name}.b`, turned('to ours', b, [rank, place.to - place.from], piece.order));
    }
    if (head === 'score') values.set('score.weight', file.read(`${PEFT_PREFIX}score.weight`));
    const tokenRows = tables.map(({ given, ...table }) => {
      const rows = rowsOfTable(
        table,
        given.toSorted((a, b) => a - b),
      );
      const order = rows.ids.map((id) => given.indexOf(id));
      const shape = [given.length, dimensions.dModel];
      values.set(rows.name, tokenValues(file.read(PEFT_PREFIX + table.module + TOKEN_ROWS), shape, order, 0));
      return rows;
    });
    const places = found.map(({ module }) => module.place);
    const plan = { places, tokenRows, scale, rank, dropout: config.dropout };
    const read = ({ name }: ParameterSpec): Float32Array => values.get(name) ?? new Float32Array();
    return { plan, head, base: config.base, read };
  } finally {
    file.close();
  }
}

/**
 * Opens the weights of an adapter; the caller closes the file.
 * @throws CheckpointError where they are missing, damaged, or there only as a pickle
 */
export function openAdapterWeights(folder: string): { file: SafetensorsFile; where: string } {
  const where = join(folder, WEIGHTS);
  if (!existsSync(where) && existsSync(join(folder, PICKLE))) {
    throw new CheckpointError(
      `${join(folder, PICKLE)}: such files can run code when they are read, so they are not read here; expected ${WEIGHTS}. ` +
        'Load the adapter with PEFT and save it again (save_pretrained), which writes that.',
    );
  }
  return { file: openSafetensors(where), where };
}

/** What training can go on with is A and B of one rank and scale on linear layers, and rows of tokens. */
function specialProblems({ path, special }: AdapterConfig): string[] {
  return special.map(
    (key) =>
      `${path} ${key}: training cannot go on with such an adapter; expected null or false. Merge it first: npm run merge.`,
  );
}

/** A table with the tokens whose rows an adapter brings, in the order of the file. */
interface RowTable extends TokenTable {
  readonly given: readonly number[];
}

function rowTables([dimensions, head]: readonly [ModelDimensions, HeadKind], config: AdapterConfig): RowTable[] {
  return tokenTables(dimensions, head).flatMap((table) => {
    const given = config.tokenRows(table.module, table.matrix.role === 'embedding.tokens');
    return given === undefined ? [] : [{ ...table, given }];
  });
}

interface Match {
  readonly module: LinearModule;
  /** Names in the file before ".lora_A.weight". */
  readonly prefix: string;
}

/** The modules whose tensors the file holds, with shapes checked. */
function matchModules(
  [dimensions, head]: readonly [ModelDimensions, HeadKind],
  rank: number,
  { file, tables }: { readonly file: SafetensorsFile; readonly tables: readonly RowTable[] },
  path: string,
  problems: string[],
): Match[] {
  const used = new Set<string>();
  const check = (name: string, shape: readonly unknown[]): void => {
    used.add(name);
    const found = file.entries.get(name)?.shape;
    if (found?.join() === shape.join()) return;
    const received = found === undefined ? 'nothing' : `[${found.join(', ')}]`;
    problems.push(`${path}: tensor "${name}": expected shape [${shape.join(', ')}], received ${received}.`);
  };
  if (head === 'score') check(`${PEFT_PREFIX}score.weight`, [1, dimensions.dModel]);
  for (const { module, given } of tables) {
    check(PEFT_PREFIX + module + TOKEN_ROWS, [given.length, dimensions.dModel]);
    const beyond = given.filter((id) => id >= dimensions.vocab);
    if (beyond.length > 0) {
      problems.push(
        `${path}: has rows of tokens ${beyond.join(', ')}; expected some of the model's ${dimensions.vocab}.`,
      );
    }
  }
  const matches = linearModules(dimensions, head).flatMap((module): Match[] => {
    const prefix = PEFT_PREFIX + module.module;
    if (!file.entries.has(`${prefix}.lora_A.weight`)) return [];
    const { from, to, matrix } = module.place;
    const shapes = { A: [rank, matrix.fanIn], B: [to - from, rank] };
    for (const [part, shape] of Object.entries(shapes)) check(`${prefix}.lora_${part}.weight`, shape);
    return [{ module, prefix }];
  });
  for (const name of file.entries.keys()) {
    if (!used.has(name)) problems.push(`${path}: tensor "${name}" belongs to no linear layer of this model.`);
  }
  if (matches.length === 0) problems.push(`${path}: changes no linear layer of this model.`);
  return matches;
}
