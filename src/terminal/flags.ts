/** Command lines of programs without a configuration file: `--name value` flags, checked all at once. */
import { ConfigError } from '../errors.ts';
import { expandHome, isOtherHome } from '../files/home-path.ts';
import { closest } from '../yaml/suggest.ts';

/** What a flag takes. */
export interface Flag {
  /**
   * switch takes no value; texts may be given several times; integer and number are checked against the limits; a path may
   * begin with ~/, which shells leave as it is in --name=~/file.
   */
  readonly kind: 'text' | 'path' | 'texts' | 'integer' | 'number' | 'switch';
  readonly description: string;
  readonly default?: string | number;
  /** Smallest and largest number allowed. */
  readonly min?: number;
  readonly max?: number;
  /** The texts allowed. */
  readonly choices?: readonly string[];
}

type ValueOf<F extends Flag> = F extends { kind: 'switch' }
  ? boolean
  : F extends { kind: 'texts' }
    ? readonly string[]
    : F extends { kind: 'text' | 'path' }
      ? F extends { default: string }
        ? string
        : string | undefined
      : F extends { default: number }
        ? number
        : number | undefined;

/** Flags by name, without their dashes: { 'max-new-tokens': {…} }. */
export type Flags = Readonly<Record<string, Flag>>;

/** A parsed command line. */
export interface FlagValues<F extends Flags> {
  readonly values: { readonly [Name in keyof F]: ValueOf<F[Name]> };
  /** Everything that is no flag, in order. */
  readonly positionals: readonly string[];
  readonly help: boolean;
}

/**
 * Parses `positional … --name value --name=value --switch`; what follows a bare `--` is positional.
 * @throws ConfigError naming every flag that is unknown (with the one that may have been meant), lacks its value, has one
 *   of the wrong kind or beyond its limits, or is given twice
 */
export function parseFlags<F extends Flags>(argv: readonly string[], flags: F): FlagValues<F> {
  const problems: string[] = [];
  const positionals: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) values[name] = emptyValue(flag);
  const given = new Set<string>();
  let help = false;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    if (argument === '--') {
      positionals.push(...argv.slice(at + 1));
      break;
    }
    if (argument === '--help' || argument === '-h') {
      help = true;
      continue;
    }
    if (!argument.startsWith('-') || argument === '-') {
      positionals.push(argument);
      continue;
    }
    const equals = argument.indexOf('=');
    const name = argument.slice(0, equals < 0 ? undefined : equals).replace(/^--?/, '');
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (flag === undefined) {
      problems.push(unknownFlag(argument, name, flags));
      // Its value, if it has one, is no positional.
      if (equals < 0 && argv[at + 1]?.startsWith('-') === false) at++;
      continue;
    }
    if (given.has(name) && flag.kind !== 'texts')
      problems.push(`--${name}: given twice; expected once. Leave one out.`);
    given.add(name);
    if (flag.kind === 'switch') {
      if (equals >= 0)
        problems.push(`--${name}: takes no value, received "${argument.slice(equals + 1)}". Leave it out.`);
      values[name] = true;
      continue;
    }
    const text = equals >= 0 ? argument.slice(equals + 1) : argv[++at];
    const value = readValue(name, flag, text, problems);
    if (value === undefined) continue;
    values[name] = flag.kind === 'texts' ? [...(values[name] as string[]), value] : value;
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { values: values as FlagValues<F>['values'], positionals, help };
}

function emptyValue(flag: Flag): unknown {
  if (flag.kind === 'switch') return false;
  return flag.kind === 'texts' ? [] : flag.default;
}

function unknownFlag(argument: string, name: string, flags: Flags): string {
  const names = Object.keys(flags);
  const near = closest(name, names);
  const known = names.map((known) => `--${known}`).join(', ');
  const advice = near === undefined ? `Known options are ${known}.` : `Did you mean --${near}?`;
  return `argument "${argument}": unknown option. ${advice}`;
}

function readValue(
  name: string,
  flag: Flag,
  text: string | undefined,
  problems: string[],
): string | number | undefined {
  const { kind, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, choices } = flag;
  if (text === undefined) {
    problems.push(`--${name}: expected a value after it. ${flag.description}`);
    return undefined;
  }
  if (kind === 'path') {
    if (!isOtherHome(text)) return expandHome(text);
    problems.push(`--${name}: expected ~/ for your home folder, or ./~name, received "${text}".`);
    return undefined;
  }
  if (kind === 'text' || kind === 'texts') {
    if (choices === undefined || choices.includes(text)) return text;
    problems.push(`--${name}: expected one of ${choices.join(', ')}, received "${text}".`);
    return undefined;
  }
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && value >= min && value <= max && (kind === 'number' || Number.isInteger(value)))
    return value;
  problems.push(`--${name}: expected ${describeNumber(flag)}, received "${text}".`);
  return undefined;
}

function describeNumber({ kind, min, max }: Flag): string {
  const what = kind === 'integer' ? 'a whole number' : 'a number';
  if (min !== undefined && max !== undefined) return `${what} from ${min} to ${max}`;
  if (min !== undefined) return `${what} of at least ${min}`;
  return max === undefined ? what : `${what} of at most ${max}`;
}

/** One line a flag, for --help: name, value, description and default. */
export function flagHelp(flags: Flags): string[] {
  const shown = Object.entries(flags).map(([name, flag]): [string, string] => {
    const value = { switch: '', text: ' <text>', path: ' <path>', texts: ' <text>…', integer: ' <n>', number: ' <x>' }[
      flag.kind
    ];
    const range = flag.choices === undefined ? '' : ` One of ${flag.choices.join(', ')}.`;
    const initial = flag.default === undefined ? '' : ` (default ${flag.default})`;
    return [`  --${name}${value}`, `${flag.description}${range}${initial}`];
  });
  const widest = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, text]) => `${name.padEnd(widest)}  ${text}`);
}
