/** A stage as a command: argv → configuration → run folder → stage function, with errors printed for people. */

import { realpathSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { ConfigError, hasCode, UserError } from '../errors.ts';
import { parseCommandLine, resumeCommand } from '../terminal/command-line.ts';
import { INTERRUPTED, Interrupted, interruptsWatched } from '../terminal/interrupts.ts';
import { openProgress } from '../terminal/progress.ts';
import { runOutsideTsx } from '../terminal/under-tsx.ts';
import { loadConfig } from '../yaml/load-config.ts';
import { OVERRIDE_HELP } from '../yaml/overrides.ts';
import { configHelp, describeChanges } from './show-config.ts';
import { runStage, type Stage, type StageConfig } from './stage.ts';

/**
 * Runs `main` where the file is the program that was started, and does nothing where it was imported. Prints a
 * UserError as its message alone and any other error with its stack (exit 1), and after Ctrl-C the command that
 * continues (exit 130).
 *
 * @param moduleUrl `import.meta.url` of the program's file
 */
export async function runMain(moduleUrl: string, main: (argv: readonly string[]) => Promise<void>): Promise<void> {
  const script = process.argv[1];
  if (script === undefined || realpathSync(script) !== realpathSync(fileURLToPath(moduleUrl))) return;
  surviveLostReaders();
  const argv = process.argv.slice(2);
  const command = resumeCommand(relative(process.cwd(), script), argv);
  const print = (line: string) => process.stderr.write(`${line}\n`);
  const status = (await runOutsideTsx()) ?? (await exitStatus(() => main(argv), { command, print }));
  // A WebGPU device or a stray timer would keep the process alive; first let piped output drain.
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve));
  process.exit(status);
}

/**
 * A terminal that was closed, or a `tee` that Ctrl-C ended too, reads no more. A run goes on to its save; a program that
 * only prints has nothing left to do.
 */
function surviveLostReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (!hasCode(error, 'EPIPE') && !hasCode(error, 'EIO')) throw error;
      if (!interruptsWatched()) process.exit(1);
    });
  }
}

/** Runs `work`, prints how it failed, and returns the exit status. `command` is what continues after an interrupt. */
export async function exitStatus(
  work: () => Promise<void>,
  { command, print }: { command: string; print: (line: string) => void },
): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) {
      print(`${error.message}; ${error.step === 0 ? 'start it again' : 'continue'} with:\n  ${command}`);
      return INTERRUPTED;
    }
    if (error instanceof UserError) print(error.problems.join('\n'));
    else print(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 1;
  }
}

/**
 * The command of a stage: `node --import tsx stages/1-instruct.ts configs/instruct/tiny.yaml optimizer.learningRate=1e-3
 * [--resume] [--help]`. Does nothing where the file is imported.
 *
 * @param moduleUrl `import.meta.url` of the stage's file
 */
export async function program<Config extends StageConfig>(moduleUrl: string, stage: Stage<Config>): Promise<void> {
  await runMain(moduleUrl, async (argv) => {
    const script = relative(process.cwd(), fileURLToPath(moduleUrl));
    const parsed = readArguments(stage.schema, { argv, script, usage: stage.purpose });
    if (parsed.help !== undefined) return console.log(parsed.help);
    const progress = openProgress();
    for (const line of describeChanges(stage.schema, parsed.config)) progress.say(`  ${line}`);
    await runStage(stage, parsed.config, { resume: parsed.resume, progress });
    progress.say(`${stage.name}: finished in ${parsed.config.run.folder}`);
  });
}

/** What a program is asked to do: print its help, or run with a configuration. */
export type Arguments<Config> = { help: string } | { help: undefined; config: Config; resume: boolean };

/**
 * Reads a command line against a schema; for programs that are not one stage (`runMain` runs those).
 * @throws ConfigError where no file is named, or as `parseCommandLine` and `loadConfig`
 */
export function readArguments<S extends z.ZodType>(
  schema: S,
  request: { argv: readonly string[]; script: string; usage: string; defaultFile?: string },
): Arguments<z.infer<S>> {
  const { file = request.defaultFile, overrides, resume, help } = parseCommandLine(request.argv);
  const synopsis = `node --import tsx ${request.script} config.yaml [key.path=value …] [--resume] [--help]`;
  if (help) {
    const usage = [request.usage, '', `Usage: ${synopsis}`, '', ...OVERRIDE_HELP];
    return { help: [...usage, '', 'Keys:', ...configHelp(schema)].join('\n') };
  }
  if (file === undefined) throw new ConfigError(`${request.script}: no configuration was named. Usage: ${synopsis}`);
  return { help: undefined, config: loadConfig(schema, file, overrides), resume };
}
