import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readManifest } from '../../src/run/manifest.ts';
import { exitStatus } from '../../src/run/program.ts';
import { inspectTable } from '../../src/tables/arrow-file.ts';
import { parseCommandLine, resumeCommand } from '../../src/terminal/command-line.ts';
import { Interrupted } from '../../src/terminal/interrupts.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';

const path = useTemporaryFolder();
const script = fileURLToPath(new URL('./tiny-stage.ts', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));

interface Finished {
  status: number | null;
  signal: string | null;
  output: string;
  errors: string;
}

interface Started {
  child: ChildProcess;
  finished: Promise<Finished>;
  /** Waits until the program has printed a text. */
  printed(text: string): Promise<void>;
}

function start(...argv: string[]): Started {
  writeFileSync(path('tiny.yaml'), `run: {folder: ${path('run')}}\n`);
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...argv], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { output: '', errors: '' };
  child.stdout!.on('data', (data) => {
    texts.output += data;
  });
  child.stderr!.on('data', (data) => {
    texts.errors += data;
  });
  const finished = once(child, 'close').then(([status, signal]) => ({ status, signal, ...texts }));
  const printed = async (text: string): Promise<void> => {
    while (!texts.output.includes(text)) await once(child.stdout!, 'data');
  };
  return { child, finished, printed };
}
const runTiny = (...argv: string[]) => start(...argv).finished;

describe('a stage as a command', () => {
  test('runs from a configuration and arguments, and leaves a finished run', async () => {
    const { status, output, errors } = await runTiny(path('tiny.yaml'), 'steps=4');
    expect({ status, errors }).toEqual({ status: 0, errors: '' });
    expect(output).toContain(`  run.folder  ${path('run')}\n`);
    expect(output).toMatch(/ {2}steps +4 +\(default 3\)\n/);
    expect(output).toMatch(/lane cpu on /);
    expect(output).toMatch(/count {2}4\/4 {2}0:0\d {2}loss 0\.25\n/);
    expect(output).toContain(`instruct: finished in ${path('run')}`);
    expect(readManifest(path('run'))).toMatchObject({ status: 'finished', lane: 'cpu', summary: { steps: 4 } });
    expect(inspectTable(path('run', 'metrics.arrow')).rowCount).toBe(4);
  });

  test('saves on the first Ctrl-C, says how to continue, and continues', async () => {
    const { child, finished, printed } = start(path('tiny.yaml'), 'steps=40', 'pauseMs=50');
    await printed('counting');
    child.kill('SIGINT');
    const { status, output, errors } = await finished;
    expect(status).toBe(130);
    expect(output).toContain(
      'stopping after this step; a stage with checkpoints saves one first. Press Ctrl-C again to stop at once.',
    );
    expect(errors).toMatch(
      /^saved at step \d+; continue with:\n {2}node --import tsx test\/run\/tiny-stage\.ts \S+tiny\.yaml steps=40 pauseMs=50 --resume\n$/,
    );
    expect(readManifest(path('run'))!.status).toBe('interrupted');

    const changed = await runTiny(path('tiny.yaml'), 'steps=41', '--resume');
    expect(changed.status).toBe(1);
    expect(changed.errors).toContain('steps: the run to resume has 40, received 41.');

    const resumed = await runTiny(path('tiny.yaml'), 'steps=40', 'pauseMs=50', '--resume');
    expect({ status: resumed.status, errors: resumed.errors }).toEqual({ status: 0, errors: '' });
    const table = inspectTable(path('run', 'metrics.arrow'));
    expect(Array.from({ length: table.rowCount }, (_, i) => table.row(i).step)).toEqual(
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    const again = await runTiny(path('tiny.yaml'), 'steps=40', 'pauseMs=50', '--resume');
    expect(again.output).toContain(`instruct: already finished in ${path('run')}`);
  });

  test('two runs never share a folder, whether started anew or resumed, until the first is killed', async () => {
    const first = start(path('tiny.yaml'), 'steps=2', 'pauseMs=600000');
    await first.printed('counting');
    const before = readFileSync(path('run', 'manifest.json'), 'utf8');
    for (const extra of [[], ['--resume']]) {
      const { status, errors, output } = await runTiny(path('tiny.yaml'), 'steps=2', 'pauseMs=600000', ...extra);
      expect(status).toBe(1);
      expect(errors).toMatch(
        new RegExp(
          `^run\\.folder ${path('run')}: is in use by instruct, process ${first.child.pid}, since \\d{4}-\\S+; two programs never share it\\.`,
        ),
      );
      expect(output).not.toContain('lane');
    }
    expect(readFileSync(path('run', 'manifest.json'), 'utf8')).toBe(before);
    first.child.kill('SIGKILL');
    await first.finished;
    expect(existsSync(path('run', 'run.lock'))).toBe(true);
    const { status, errors } = await runTiny(path('tiny.yaml'), 'steps=2');
    expect({ status, errors }).toEqual({ status: 0, errors: '' });
    expect(existsSync(path('run', 'run.lock'))).toBe(false);
  });

  test('stops at once on the second Ctrl-C', async () => {
    const { child, finished, printed } = start(path('tiny.yaml'), 'steps=2', 'pauseMs=20000');
    await printed('counting');
    child.kill('SIGINT');
    await printed('stopping');
    child.kill('SIGINT');
    const { status } = await finished;
    expect(status).toBe(130);
    expect(readManifest(path('run'))!.status).toBe('running');
  });

  test('prints mistakes of the user without a stack, before the lane is opened', async () => {
    const { status, output, errors } = await runTiny(path('tiny.yaml'), 'stepz=4');
    expect(status).toBe(1);
    expect(errors).toBe('argument "stepz=4": stepz: unknown key. Did you mean steps?\n');
    expect(output).toBe('');
  });

  test('refuses a run folder that exists, before the lane is opened', async () => {
    await runTiny(path('tiny.yaml'));
    const { status, output, errors } = await runTiny(path('tiny.yaml'));
    expect(status).toBe(1);
    expect(errors).toBe(
      `run.folder ${path('run')}: already holds a run of instruct (finished), and nothing is overwritten. Choose another run.folder.\n`,
    );
    expect(output).not.toContain('lane');
  });

  test('prints keys with defaults and descriptions for --help', async () => {
    const { status, output } = await runTiny('--help');
    expect(status).toBe(0);
    expect(output).toContain(
      'Counts steps.\n\nUsage: node --import tsx test/run/tiny-stage.ts config.yaml [key.path=value …] [--resume] [--help]\n',
    );
    expect(output).toContain('  run.folder  (path; required)\n');
    expect(output).toContain('  steps  (whole number above 0; default 3)\n      Steps to count.\n');
    expect(output).toContain('  data  (path; optional)\n');
  });

  test('asks for a configuration where none is named', async () => {
    const { status, errors } = await runTiny();
    expect(status).toBe(1);
    expect(errors).toBe(
      'test/run/tiny-stage.ts: no configuration was named. Usage: node --import tsx test/run/tiny-stage.ts config.yaml [key.path=value …] [--resume] [--help]\n',
    );
  });
});

describe('exitStatus', () => {
  const ending = async (error: unknown) => {
    const lines: string[] = [];
    const work = () => (error === undefined ? Promise.resolve() : Promise.reject(error));
    const status = await exitStatus(work, {
      command: 'node --import tsx a.ts --resume',
      print: (line) => lines.push(line),
    });
    return { status, text: lines.join('\n') };
  };

  test('is 0 for success, 130 after an interrupt and 1 for errors', async () => {
    expect(await ending(undefined)).toEqual({ status: 0, text: '' });
    expect(await ending(new Interrupted(7))).toEqual({
      status: 130,
      text: 'saved at step 7; continue with:\n  node --import tsx a.ts --resume',
    });
    expect((await ending(new Interrupted(0))).text).toBe(
      'stopped; this stage saves nothing before its end; start it again with:\n  node --import tsx a.ts --resume',
    );
    expect(await ending(new DataError(['a: wrong.', 'b: wrong.']))).toEqual({
      status: 1,
      text: 'a: wrong.\nb: wrong.',
    });
    expect(await ending('odd')).toEqual({ status: 1, text: 'odd' });
  });

  test('shows the stack of an error that is a mistake of ours', async () => {
    const { status, text } = await ending(new TypeError('undefined is not a function'));
    expect(status).toBe(1);
    expect(text).toMatch(/^TypeError: undefined is not a function\n +at .*program\.test\.ts/);
  });
});

describe('the command line', () => {
  test('takes file, settings and options in any order', () => {
    expect(parseCommandLine(['a=1', '--resume', 'tiny.yaml', 'b.c=[x, y]'])).toEqual({
      file: 'tiny.yaml',
      overrides: ['a=1', 'b.c=[x, y]'],
      resume: true,
      help: false,
    });
    expect(parseCommandLine(['-h'])).toMatchObject({ file: undefined, help: true });
    expect(parseCommandLine(['configs/lr=3/a.yaml', 'model=x/y.yaml'])).toMatchObject({
      file: 'configs/lr=3/a.yaml',
      overrides: ['model=x/y.yaml'],
    });
  });

  test('names every argument it does not understand', async () => {
    expect(await problemsOf(() => parseCommandLine(['a.yaml', 'b.yaml', '--fast', '-x']), '')).toEqual([
      'argument "--fast": unknown option; expected --resume or --help. Settings are given as key.path=value.',
      'argument "-x": unknown option; expected --resume or --help. Settings are given as key.path=value.',
      'argument "b.yaml": expected one configuration file, and a.yaml is it already. Leave one out; settings are given as key.path=value.',
    ]);
  });

  test('the command that continues is quoted for a shell and asks to resume once', () => {
    expect(resumeCommand('stages/a.ts', ['my run.yaml', 'a=[1, 2]', '--resume', "b=it's"])).toBe(
      "node --import tsx stages/a.ts 'my run.yaml' 'a=[1, 2]' 'b=it'\\''s' --resume",
    );
  });
});
