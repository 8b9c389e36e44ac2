/** Which modules an adapter is for: PEFT's rules for names and patterns (tuners_utils.py check_target_module_exists). */

type Raw = Readonly<Record<string, unknown>>;

/** A pattern of Python as one of JavaScript's, for what both can say. */
function pattern(source: string): RegExp {
  return new RegExp(source.replaceAll('(?P<', '(?<').replaceAll(/\\A/g, '^').replaceAll(/\\Z/g, '$'));
}

/**
 * The first of the patterns that a module's name ends with, from a dot on; undefined where none does.
 * @throws SyntaxError where one is no pattern
 */
export function patternKey(keys: readonly string[], module: string): string | undefined {
  return keys.find((key) => pattern(`^(?:.*\\.)?(?:${key})$`).test(module));
}

/**
 * Whether a linear layer or embedding is to be changed; undefined where target_modules is missing, which leaves the choice
 * to PEFT's table of models.
 * @param isHead "all-linear" leaves the output layer out
 */
export function matchesTarget(raw: Raw, module: string, isHead: boolean): boolean | undefined {
  const { target_modules: targets, exclude_modules: excluded, modules_to_save: saved } = raw;
  if (isNamed(excluded, module)) return false;
  // A module that is saved whole is not changed as well, nor is what lies within it.
  const isSaved = ((saved ?? []) as string[]).some((name) => pattern(`^(?:|.*\\.)(?:${name})(?:$|\\.)`).test(module));
  if (isSaved) return false;
  if (targets === undefined || targets === null) return undefined;
  if (targets === 'all-linear') return !isHead;
  if (!isNamed(targets, module)) return false;
  return typeof targets === 'string' || isOfLayer(raw, module);
}

/** By a pattern of the whole name, or by names it may end with. */
function isNamed(names: unknown, module: string): boolean {
  if (typeof names === 'string') return names !== '' && pattern(`^(?:${names})$`).test(module);
  return ((names ?? []) as string[]).some((name) => module === name || module.endsWith(`.${name}`));
}

/** By the first number in the name: of the module list that layers_pattern names, where it names one. */
function isOfLayer({ layers_to_transform: layers, layers_pattern: lists }: Raw, module: string): boolean {
  if (layers === undefined || layers === null || (Array.isArray(layers) && layers.length === 0)) return true;
  const named = (typeof lists === 'string' ? [lists] : ((lists ?? []) as string[])).filter((name) => name !== '');
  const patterns =
    named.length === 0
      ? [/^.*?\.[^.]*\.(?<index>\d+)\./]
      : named.map((name) => pattern(`^(?:|.*?\\.)${name}\\.(?<index>\\d+)\\.`));
  const index = patterns.map((one) => one.exec(module)?.groups?.index).find((found) => found !== undefined);
  if (index === undefined) return false;
  return (Array.isArray(layers) ? layers : [layers]).includes(Number(index));
}
