/**
 * Checks the configuration and the data of any stage, or of the whole chain, without weights and without a lane.
 *
 *   Run      npm run validate -- configs/reward/tiny.yaml [key.path=value …] [--stage <name>]
 *   Prints   what the stage would read, in figures; or every problem, and then exits with status 1
 */
import { basename, dirname, parse, resolve } from 'node:path';
import { ConfigError } from '../src/errors.ts';
import { readText } from '../src/files/text-file.ts';
import { runMain } from '../src/run/program.ts';
import { parseCommandLine } from '../src/terminal/command-line.ts';
import { loadConfig } from '../src/yaml/load-config.ts';
import { readYaml } from '../src/yaml/yaml-source.ts';
import { allStages } from '../stages/all.ts';
import { AlignConfig } from './align.config.ts';
import { checkChain } from './align.ts';

/** A program whose configurations can be checked. */
interface Checkable {
  readonly name: string;
  /** Reads the configuration and checks what it names. */
  check(file: string, overrides: readonly string[]): Promise<readonly string[]>;
}

const programs: readonly Checkable[] = [
  ...allStages.map(({ name, schema, check }) => {
    return { name, check: async (file: string, set: readonly string[]) => check(loadConfig(schema, file, set)) };
  }),
  {
    name: 'align',
    check: async (file, overrides) => checkChain(loadConfig(AlignConfig, file, overrides)),
  },
];

/**
 * Checks a configuration and what it names.
 *
 * @param stage the program it is for, where the file does not tell
 * @returns the program it is for, then lines of figures
 * @throws ConfigError where nothing tells the program; UserError with all problems of the configuration and its data
 */
export async function validate(file: string, overrides: readonly string[] = [], stage?: string): Promise<string[]> {
  const program = programFor(file, stage);
  return [`${file}: a configuration of ${program.name}`, ...(await program.check(file, overrides))];
}

/** The program that is named: as an argument, by the `$schema` comment, or by the file's folder or name. */
function programFor(file: string, stage?: string): Checkable {
  if (stage !== undefined) return programNamed(stage, `argument "--stage ${stage}": is no program`, 'argument');
  // Its errors say what is wrong with the file.
  readYaml(file);
  const named = /^#.*\$schema=\S*?([\w-]+)\.schema\.json/m.exec(readText(file))?.[1];
  if (named !== undefined) return programNamed(named, `${file}: its $schema comment names ${named}`, 'comment');
  const places = [basename(dirname(resolve(file))), parse(file).name];
  const [found, second] = programs.filter(({ name }) => places.includes(name));
  if (found !== undefined && second === undefined) return found;
  throw new ConfigError(
    `${file}: it is not clear what it configures; expected one of ${names}. Write as its first line ` +
      '# yaml-language-server: $schema=../schema/<name>.schema.json, put it into a folder of that name, or add --stage <name>.',
  );
}

const names = programs.map(({ name }) => name).join(', ');

function programNamed(name: string, problem: string, what: string): Checkable {
  const found = programs.find((program) => program.name === name);
  if (found !== undefined) return found;
  throw new ConfigError(`${problem}; expected one of ${names}. Correct the ${what}.`);
}

/** Takes `--stage <name>` out of the arguments. */
function takeStage(argv: readonly string[]): { stage?: string; rest: readonly string[] } {
  const at = argv.findIndex((argument) => argument === '--stage' || argument.startsWith('--stage='));
  if (at === -1) return { rest: argv };
  const [, inside] = (argv[at] as string).split('=');
  const stage = inside ?? argv[at + 1];
  if (stage === undefined) throw new ConfigError(`argument "--stage": expected a name after it; one of ${names}.`);
  return { stage, rest: [...argv.slice(0, at), ...argv.slice(inside === undefined ? at + 2 : at + 1)] };
}

await runMain(import.meta.url, async (argv) => {
  const { stage, rest } = takeStage(argv);
  const { file, overrides, help, resume } = parseCommandLine(rest);
  const usage = 'Usage: npm run validate -- config.yaml [key.path=value …] [--stage <name>]';
  if (help) return console.log(`Checks the configuration and data of a stage without loading weights.\n\n${usage}`);
  if (resume) throw new ConfigError(`argument "--resume": nothing is run here. ${usage}`);
  if (file === undefined) throw new ConfigError(`scripts/validate.ts: no configuration was named. ${usage}`);
  for (const line of await validate(file, overrides, stage)) console.log(line);
});
