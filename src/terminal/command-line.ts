/** What was typed after a program's name. */

import { ConfigError } from '../errors.ts';

/** A parsed command line. */
export interface CommandLine {
  /** The configuration file; undefined where none was named. */
  readonly file: string | undefined;
  readonly overrides: readonly string[];
  readonly resume: boolean;
  readonly help: boolean;
}

/**
 * Parses `file.yaml key.path=value … [--resume] [--help]`, in any order.
 * @throws ConfigError naming every argument that has no meaning
 */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const problems: string[] = [];
  const files: string[] = [];
  const overrides: string[] = [];
  const flags = new Set<string>();
  for (const argument of argv) {
    if (argument === '--resume' || argument === '--help' || argument === '-h') flags.add(argument);
    else if (argument.startsWith('-')) {
      problems.push(
        `argument "${argument}": unknown option; expected --resume or --help. Settings are given as key.path=value.`,
      );
    } else if (argument.includes('=') && !isFile(argument)) overrides.push(argument);
    else files.push(argument);
  }
  for (const extra of files.slice(1)) {
    problems.push(
      `argument "${extra}": expected one configuration file, and ${files[0]} is it already. Leave one out; settings are given as key.path=value.`,
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { file: files[0], overrides, resume: flags.has('--resume'), help: flags.has('--help') || flags.has('-h') };
}

/** True for a configuration file with "=" in its path: keys have no slashes, and values stand after the first "=". */
function isFile(argument: string): boolean {
  return /^[^=]*[/\\].*\.ya?ml$/i.test(argument);
}

/** The command that was typed, with quotes where a shell needs them, and `--resume` at its end. */
export function resumeCommand(script: string, argv: readonly string[]): string {
  const parts = ['node', '--import', 'tsx', script, ...argv.filter((argument) => argument !== '--resume'), '--resume'];
  return parts.map((part) => (/^[\w@%+=:,./-]+$/.test(part) ? part : `'${part.replaceAll("'", "'\\''")}'`)).join(' ');
}
