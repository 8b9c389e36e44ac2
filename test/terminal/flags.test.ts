import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Flags, flagHelp, parseFlags } from '../../src/terminal/flags.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

const flags = {
  prompt: { kind: 'text', description: 'What to answer.' },
  stop: { kind: 'texts', description: 'Ends.' },
  samples: { kind: 'integer', default: 1, min: 1, description: 'How many.' },
  'top-p': { kind: 'number', default: 1, min: 0, max: 1, description: 'Set.' },
  raw: { kind: 'switch', description: 'As it is.' },
  backend: { kind: 'text', default: 'auto', choices: ['auto', 'cpu'], description: 'Lane.' },
} as const satisfies Flags;
const problems = (...argv: string[]) => problemsOf(() => parseFlags(argv, flags), '');

describe('parseFlags', () => {
  it('reads values after a space or an equals sign, in any order', () => {
    const { values, positionals, help } = parseFlags(
      ['a', '--stop', '.', '--samples=3', 'b', '--raw', '--stop=--x=1', '--top-p', '0.5', '--prompt', '', '--', '--c'],
      flags,
    );
    expect(values).toEqual({ prompt: '', stop: ['.', '--x=1'], samples: 3, 'top-p': 0.5, raw: true, backend: 'auto' });
    expect(positionals).toEqual(['a', 'b', '--c']);
    expect(help).toBe(false);
    expect(parseFlags(['-h'], flags).help).toBe(true);
    expect(parseFlags([], flags).values).toEqual({
      ...{ prompt: undefined, stop: [], samples: 1, 'top-p': 1, raw: false, backend: 'auto' },
    });
  });

  it('finds the home folder in paths, also where a shell leaves ~ as it is', async () => {
    const paths = { to: { kind: 'path', description: 'A file.' } } as const;
    const read = (...argv: string[]) => parseFlags(argv, paths).values.to;
    expect([read('--to=~/a b'), read('--to', '~'), read('--to=a/~')]).toEqual([
      join(homedir(), 'a b'),
      homedir(),
      'a/~',
    ]);
    expect(await problemsOf(() => read('--to=~bob/a'), 'nowhere')).toEqual([
      '--to: expected ~/ for your home folder, or ./~name, received "~bob/a".',
    ]);
    expect(flagHelp(paths)).toEqual(['  --to <path>  A file.']);
  });

  it('takes what follows as the value, whatever it looks like', () => {
    expect(parseFlags(['--prompt', '-5 degrees', '--stop', '--'], flags).values).toMatchObject({
      prompt: '-5 degrees',
      stop: ['--'],
    });
  });

  it('tells everything that is wrong at once', async () => {
    expect(
      await problems(
        '--sampels',
        '3',
        '--raw=yes',
        '--top-p',
        '2',
        '--samples',
        '1.5',
        '--backend=tpu',
        '-x',
        '--prompt',
      ),
    ).toEqual([
      'argument "--sampels": unknown option. Did you mean --samples?',
      '--raw: takes no value, received "yes". Leave it out.',
      '--top-p: expected a number from 0 to 1, received "2".',
      '--samples: expected a whole number of at least 1, received "1.5".',
      '--backend: expected one of auto, cpu, received "tpu".',
      'argument "-x": unknown option. Known options are --prompt, --stop, --samples, --top-p, --raw, --backend.',
      '--prompt: expected a value after it. What to answer.',
    ]);
    expect(await problems('--raw', '--raw', '--samples', ' ')).toEqual([
      '--raw: given twice; expected once. Leave one out.',
      '--samples: expected a whole number of at least 1, received " ".',
    ]);
    expect(await problems('--__proto__', '1')).toHaveLength(1);
  });

  it('describes itself', () => {
    expect(flagHelp(flags)).toEqual([
      '  --prompt <text>   What to answer.',
      '  --stop <text>…    Ends.',
      '  --samples <n>     How many. (default 1)',
      '  --top-p <x>       Set. (default 1)',
      '  --raw             As it is.',
      '  --backend <text>  Lane. One of auto, cpu. (default auto)',
    ]);
  });
});
