/** The tensors of an adapter, by what they do: low-rank changes, modules saved whole, rows of tokens. */
import { CheckpointError } from '../errors.ts';
import { describeNames, groupBy } from './tensor-groups.ts';

/** Names in the file of a module's change; those it must have are checked where it is used. */
export interface ModuleChange {
  readonly a?: string;
  readonly b?: string;
  /** Bias of B. */
  readonly bias?: string;
  /** DoRA's magnitudes. */
  readonly magnitude?: string;
  /** True for lora_embedding_A and _B. */
  readonly isEmbedding?: boolean;
}

/** Every tensor of an adapter, by the names the base model has for them. */
export interface AdapterTensors {
  /** By module: "model.layers.0.self_attn.q_proj". */
  readonly changes: ReadonlyMap<string, ModuleChange>;
  /** Tensors that take the place of the base's, by their name there: "lm_head.weight". */
  readonly replaced: ReadonlyMap<string, string>;
  /** Rows of tokens that take the place of the base's, by module. */
  readonly tokenRows: ReadonlyMap<string, string>;
  /** Names that fit no part of the model. */
  readonly unknown: readonly string[];
  /** Lines for people: names that are unusual and were understood. */
  readonly notes: readonly string[];
}

/** What PEFT puts before the names of the model's own modules. */
export const PEFT_PREFIX = 'base_model.model.';

/** What it puts behind the name of a table whose rows of some tokens it trains. */
export const TOKEN_ROWS = '.token_adapter.trainable_tokens_delta';

type Part = keyof ModuleChange | 'tokenRows' | 'replaced';

/** A tensor's name taken apart. */
interface Parsed {
  readonly name: string;
  /** What stands before the module, the module, and the name PEFT gave the adapter where it was left in. */
  readonly prefix: string;
  readonly module: string;
  readonly adapter: string | undefined;
  readonly part: Part;
  /** ".weight" or ".bias" of a tensor that is replaced. */
  readonly ending: string;
}

const PARTS: Readonly<Record<string, Part>> = {
  'lora_A.weight': 'a',
  'lora_B.weight': 'b',
  'lora_B.bias': 'bias',
  lora_embedding_A: 'a',
  lora_embedding_B: 'b',
  lora_magnitude_vector: 'magnitude',
  'lora_magnitude_vector.weight': 'magnitude',
  'token_adapter.trainable_tokens_delta': 'tokenRows',
};

const WORDS =
  /^(.+?)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|token_adapter\.trainable_tokens_delta)(?:\.(.+))?$/;
const WHOLE = /^(.+?)(?:\.base_layer|\.modules_to_save(?:\.([^.]+))?)?(\.(?:weight|bias))$/;

/**
 * Sorts tensors by their names.
 * @param modules the base model's modules as the adapter calls them, with their names in the base's files
 * @throws CheckpointError, one line, where names begin in different ways or are those of several adapters
 */
export function sortTensors(
  names: Iterable<string>,
  modules: ReadonlyMap<string, string>,
  where: string,
): AdapterTensors {
  const parsed: Parsed[] = [];
  const unknown: string[] = [];
  for (const name of names) {
    const found = parse(name, modules);
    if (found === undefined) unknown.push(name);
    else parsed.push(found);
  }
  const notes = [
    ...same(parsed, where, 'begin with', ({ prefix }) => prefix, PEFT_PREFIX),
    ...same(
      parsed.filter(({ part, adapter }) => part !== 'replaced' || adapter !== undefined),
      where,
      'carry the name',
      ({ adapter }) => adapter ?? '',
      '',
    ),
  ];
  const changes = new Map<string, ModuleChange>();
  for (const { name, module, part } of parsed) {
    if (part === 'replaced' || part === 'tokenRows') continue;
    const isEmbedding = /\.lora_embedding_[AB]/.test(name);
    changes.set(module, { ...changes.get(module), [part]: name, ...(isEmbedding && { isEmbedding }) });
  }
  const byPart = (wanted: Part, key: (one: Parsed) => string): Map<string, string> =>
    new Map(parsed.filter(({ part }) => part === wanted).map((one) => [key(one), one.name]));
  return {
    changes,
    replaced: byPart('replaced', ({ module, ending }) => modules.get(module) + ending),
    tokenRows: byPart('tokenRows', ({ module }) => module),
    unknown,
    notes,
  };
}

function parse(name: string, modules: ReadonlyMap<string, string>): Parsed | undefined {
  const [, path, word = '', rest = ''] = WORDS.exec(name) ?? [];
  if (path !== undefined) {
    const [, adapter, ending] = /^(?:([^.]+?)(?:\.|$))??(weight|bias)?$/.exec(rest) ?? [];
    const part = PARTS[ending === undefined ? word : `${word}.${ending}`];
    const place = locate(path, modules);
    return place && part && { name, ...place, adapter, part, ending: '' };
  }
  const [, whole, adapter, ending = ''] = WHOLE.exec(name) ?? [];
  const place = whole === undefined ? undefined : locate(whole, modules);
  return place && { name, ...place, adapter, part: 'replaced', ending };
}

/** The module that a path ends with, and what stands before it. */
function locate(path: string, modules: ReadonlyMap<string, string>): Pick<Parsed, 'prefix' | 'module'> | undefined {
  for (let at = 0; ; ) {
    const module = path.slice(at);
    if (modules.has(module)) return { prefix: path.slice(0, at), module };
    const next = path.indexOf('.', at);
    if (next === -1) return undefined;
    at = next + 1;
  }
}

/** A line where all have something unusual in common; several are refused. */
function same(
  parsed: readonly Parsed[],
  where: string,
  what: string,
  of: (one: Parsed) => string,
  usual: string,
): string[] {
  const groups = groupBy(parsed, of);
  if (groups.size > 1) {
    const kinds = [...groups].map(([key, some]) => `${some.length} ${what} "${key}"`).join(', ');
    const [first] = groups.values();
    throw new CheckpointError(
      `${where}: the names of its tensors differ: ${kinds} (${describeNames([(first as [Parsed])[0].name])}, …); expected those of one ` +
        'adapter. Save it by itself with save_pretrained.',
    );
  }
  const [key] = groups.keys();
  return key === undefined || key === usual ? [] : [`${where}: its tensors ${what} "${key}", and are read so.`];
}
