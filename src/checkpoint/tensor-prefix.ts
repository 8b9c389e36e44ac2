/** Names of a file's tensors that begin otherwise than the family's: with what wraps the model, or without their usual beginning. */
import { CheckpointError } from '../errors.ts';
import { describeNames, groupBy, patternOf } from './tensor-groups.ts';

/** What a family's names are made of. */
export interface TrunkNames {
  /** The family, in messages. */
  readonly family: string;
  /** Names of the decoder without its head, in full: "model.layers.0.mlp.up_proj.weight", …. */
  readonly trunk: readonly string[];
  /** Beginnings that published files have, the one we write first: "model.". */
  readonly prefixes: readonly string[];
}

/** How a file's names differ from the family's. */
export interface PrefixMatch {
  /** The name in the file of one of the family's; undefined where the file has none. */
  find(name: string): string | undefined;
  /** A name of the file without what is in front of the family's: "layers.0.mlp.up_proj.weight". */
  core(name: string): string;
  /** A line for people where the beginning is not one that published files have. */
  readonly note: string | undefined;
}

/** What torch.compile, FSDP and checkpointing of activations put into the names of single layers: "layers.0._orig_mod.mlp". */
const WRAPPED_LAYER = /(?<=\.\d+)(?:\.(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module))+(?=\.)/;

/**
 * Finds the family's names among a file's, whatever all of them begin with, and what single layers were wrapped in.
 * @param names of the file
 * @param where names the file in messages
 * @throws CheckpointError, one line: where the file holds nothing of the kind, several models, or one whose names begin
 *   in different ways
 */
export function matchNames(expected: TrunkNames, names: Iterable<string>, where: string): PrefixMatch {
  const given = [...names];
  const byShort = new Map(given.map((name) => [name.replace(WRAPPED_LAYER, ''), name]));
  const wrappers = [...new Set(given.flatMap((name) => WRAPPED_LAYER.exec(name)?.[0] ?? []))];
  // Two names that become one are two tensors.
  if (wrappers.length === 0 || byShort.size < given.length) return matchPrefix(expected, new Set(given), where);
  const found = matchPrefix(expected, new Set(byShort.keys()), where);
  const list = wrappers.map((one) => `"${one.slice(1)}."`).join(' or ');
  const note = `${where}: layers are wrapped in ${list}; their names are read without.`;
  return {
    find: (name) => byShort.get(found.find(name) ?? ''),
    core: (name) => found.core(name.replace(WRAPPED_LAYER, '')),
    note: found.note === undefined ? note : `${note} ${found.note}`,
  };
}

/** The same where only the beginning is unusual. */
function matchPrefix(expected: TrunkNames, names: ReadonlySet<string>, where: string): PrefixMatch {
  const { trunk, prefixes, family } = expected;
  const [own] = prefixes as [string];
  const cores = trunk.map((name) => name.slice(own.length));
  const found = prefixesByCore(cores, names);
  const prefix = choosePrefix(expected, cores, found, names, where);
  const strays = [...found].filter(([, places]) => !places.includes(prefix)).flatMap(([core, [at]]) => `${at}${core}`);
  if (strays.length > 0) {
    throw new CheckpointError(
      `${where}: ${found.size - strays.length} tensors begin with "${prefix}" and others do not (${describeNames(strays)}); ` +
        'expected one beginning for all. Save the checkpoint again from the model itself, without what wraps it.',
    );
  }
  const instead = prefix === '' ? `without "${own}" in front` : `with "${prefix}" in place of "${own}"`;
  return {
    find: (name) => {
      const isTrunk = name.startsWith(own);
      const candidates = isTrunk ? [prefix + name.slice(own.length)] : headNames(name, prefix, own, names);
      return candidates.find((candidate) => names.has(candidate));
    },
    core: (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name),
    note: prefixes.includes(prefix)
      ? undefined
      : `${where}: the names of its tensors are those of a ${family} model ${instead}; they are read as such.`,
  };
}

/** Core → what stands in front of it in the file: "norm.weight" → "_orig_mod.model.". Cores that are nowhere are left out. */
function prefixesByCore(cores: readonly string[], names: ReadonlySet<string>): Map<string, string[]> {
  const known = new Set(cores);
  const found = new Map<string, string[]>();
  for (const name of names) {
    for (let at = 0; ; at = name.indexOf('.', at) + 1) {
      const core = name.slice(at);
      if (known.has(core)) found.set(core, [...(found.get(core) ?? []), name.slice(0, at)]);
      if (!core.includes('.')) break;
    }
  }
  return found;
}

/** The beginning under which most of the model is. */
function choosePrefix(
  { family, prefixes }: TrunkNames,
  cores: readonly string[],
  found: ReadonlyMap<string, readonly string[]>,
  names: ReadonlySet<string>,
  where: string,
): string {
  const places = [...found].flatMap(([core, before]) => before.map((prefix) => ({ core, prefix })));
  const held = groupBy(places, ({ prefix }) => prefix);
  const most = Math.max(0, ...[...held.values()].map(({ length }) => length));
  const best = [...held.keys()].filter((prefix) => held.get(prefix)?.length === most);
  const kinds = (some: readonly string[]): number => new Set(some.map(patternOf)).size;
  const there = kinds((held.get(best[0] ?? '') ?? []).map(({ core }) => core));
  if (2 * there < kinds(cores)) {
    throw new CheckpointError(
      `${where}: holds no ${family} model, which config.json says it is: expected "${prefixes[0]}${cores[0]}" and so on, ` +
        `received ${describeNames(names) || 'no tensors'}. Put the config.json beside it that belongs to these weights.`,
    );
  }
  const chosen = best.length === 1 ? best[0] : best.find((prefix) => prefixes.includes(prefix));
  if (chosen !== undefined) return chosen;
  throw new CheckpointError(
    `${where}: holds ${best.length} models, whose names begin with ${best.map((prefix) => `"${prefix}"`).join(' and ')}; ` +
      'expected one. Save the one that is wanted by itself.',
  );
}

/** Where a head may stand: beside the trunk within the same wrapper, as it is, or in one place elsewhere. */
function headNames(name: string, prefix: string, own: string, names: ReadonlySet<string>): string[] {
  const wrapper = prefix.endsWith(own) ? prefix.slice(0, prefix.length - own.length) : prefix;
  const elsewhere = [...names].filter((one) => one.endsWith(`.${name}`));
  return [wrapper + name, name, ...(elsewhere.length === 1 ? elsewhere : [])];
}
