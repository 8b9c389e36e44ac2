/**
 * Checks the configuration and the data of any stage, or of the whole chain, without weights and without a lane.
 *
 *   Run      npm run validate -- configs/reward/tiny.yaml [key.path=value …]
 *   Prints   what the stage would read, in figures; or every problem, and then exits with status 1
 */
import { ConfigError, UserError } from '../src/errors.ts';
import { readText } from '../src/files/text-file.ts';
import { runMain } from '../src/run/program.ts';
import { parseCommandLine } from '../src/terminal/command-line.ts';
import { loadConfig } from '../src/yaml/load-config.ts';
import { allStages } from '../stages/all.ts';
import { AlignConfig } from './align.config.ts';
import { checkChain } from './align.ts';

/** A program whose configurations can be checked. */
interface Checkable {
  readonly name: string;
  readonly schema: Parameters<typeof loadConfig>[0];
  /** Reads the configuration and checks what it names. */
  check(file: string, overrides: readonly string[]): Promise<readonly string[]>;
}

const programs: readonly Checkable[] = [
  ...allStages.map(({ name, schema, check }) => {
    return {
      name,
      schema,
      check: async (file: string, set: readonly string[]) => check(loadConfig(schema, file, set)),
    };
  }),
  {
    name: 'align',
    schema: AlignConfig,
    check: async (file, overrides) => checkChain(loadConfig(AlignConfig, file, overrides)),
  },
];

/**
 * Checks a configuration and what it names.
 *
 * @returns the program it is for, then lines of figures
 * @throws ConfigError where no program or several fit; UserError with all problems of the configuration and its data
 */
export async function validate(file: string, overrides: readonly string[] = []): Promise<string[]> {
  const program = programFor(file, overrides);
  return [`${file}: a configuration of ${program.name}`, ...(await program.check(file, overrides))];
}

/** The program that the `$schema` comment names, else the one whose schema finds the fewest problems. */
function programFor(file: string, overrides: readonly string[]): Checkable {
  const names = programs.map(({ name }) => name).join(', ');
  const named = schemaComment(file);
  if (named !== undefined) {
    const found = programs.find(({ name }) => name === named);
    if (found !== undefined) return found;
    throw new ConfigError(
      `${file}: its $schema comment names ${named}; expected one of ${names}. Correct the comment.`,
    );
  }
  const counted = programs.map((program) => ({ program, problems: countProblems(program, file, overrides) }));
  const fewest = Math.min(...counted.map(({ problems }) => problems));
  const [best, second] = counted.filter(({ problems }) => problems === fewest);
  if (best !== undefined && second === undefined) return best.program;
  throw new ConfigError(
    `${file}: it is not clear what it configures; expected a configuration of ${names}. ` +
      'Write as its first line: # yaml-language-server: $schema=../schema/<name>.schema.json',
  );
}

function schemaComment(file: string): string | undefined {
  try {
    return /^#.*\$schema=\S*?([\w-]+)\.schema\.json/m.exec(readText(file))?.[1];
  } catch {
    // `loadConfig` says what is wrong with the file.
    return undefined;
  }
}

function countProblems({ schema }: Checkable, file: string, overrides: readonly string[]): number {
  try {
    loadConfig(schema, file, overrides);
    return 0;
  } catch (error) {
    if (error instanceof UserError) return error.problems.length;
    throw error;
  }
}

await runMain(import.meta.url, async (argv) => {
  const { file, overrides, help, resume } = parseCommandLine(argv);
  const usage = 'Usage: npm run validate -- config.yaml [key.path=value …]';
  if (help) return console.log(`Checks the configuration and data of a stage without loading weights.\n\n${usage}`);
  if (resume) throw new ConfigError(`argument "--resume": nothing is run here. ${usage}`);
  if (file === undefined) throw new ConfigError(`scripts/validate.ts: no configuration was named. ${usage}`);
  for (const line of await validate(file, overrides)) console.log(line);
});
