import { describe, expect, test } from 'vitest';
import { copiesOfPress, type Press, pressCounter } from '../../src/terminal/presses.ts';
import { withoutPreflight } from '../../src/terminal/under-tsx.ts';

/** What each signal is, given the milliseconds before it. */
function kinds(copies: number, ...signals: readonly (readonly [number, NodeJS.Signals])[]): Press[] {
  let time = 0;
  const press = pressCounter(copies, () => time);
  return signals.map(([wait, signal]) => {
    time += wait;
    return press(signal);
  });
}

describe('a press of Ctrl-C', () => {
  test('that arrives once counts each time, however fast', () => {
    expect(kinds(1, [0, 'SIGINT'], [1, 'SIGINT'], [1, 'SIGINT'])).toEqual(['first', 'again', 'again']);
  });

  test('that npm passes on counts once, and the next one counts', () => {
    expect(kinds(2, [0, 'SIGINT'], [5, 'SIGINT'], [300, 'SIGINT'])).toEqual(['first', 'copy', 'again']);
    expect(kinds(2, [0, 'SIGINT'], [700, 'SIGINT'], [9000, 'SIGINT'], [5, 'SIGINT'])).toEqual([
      'first',
      'copy',
      'again',
      'copy',
    ]);
  });

  test('that was not passed on after all does not hide the next one for long', () => {
    expect(kinds(2, [0, 'SIGINT'], [1001, 'SIGINT'])).toEqual(['first', 'again']);
  });
});

test('SIGTERM in a burst, as timeout and schedulers send it, counts once', () => {
  expect(kinds(1, [0, 'SIGTERM'], [0, 'SIGTERM'], [2, 'SIGTERM'], [1500, 'SIGTERM'])).toEqual([
    'first',
    'copy',
    'copy',
    'again',
  ]);
  expect(kinds(1, [0, 'SIGINT'], [3, 'SIGTERM'])).toEqual(['first', 'copy']);
});

test.each([
  ['npm run align', 2],
  ['npm exec tsx stages/1-instruct.ts', 2],
  ['node /usr/bin/npm run align', 2],
  ['node /usr/lib/node_modules/npm/bin/npm-cli.js run align', 2],
  ['node /usr/lib/node_modules/pnpm/bin/pnpm.cjs run align', 2],
  ['timeout -s INT 60 node --import tsx scripts/align.ts', 2],
  ['/usr/bin/node --require /home/a/node_modules/tsx/dist/preflight.cjs --import file:///x/loader.mjs a.ts', 2],
  ['-bash', 1],
  ['/bin/sh -c node --import tsx scripts/align.ts', 1],
  ['node --import tsx my-npm-lover/run.ts', 1],
  ['', 1],
])('under %j a press arrives %i times', (command, copies) => {
  expect(copiesOfPress(command)).toBe(copies);
});

test("node's arguments without what tsx's command adds", () => {
  const added = ['--require', '/p/node_modules/tsx/dist/preflight.cjs'];
  const own = ['--import', 'file:///p/node_modules/tsx/dist/loader.mjs', '--max-old-space-size=8000'];
  expect(withoutPreflight([...added, ...own])).toEqual(own);
  expect(withoutPreflight(own)).toBeUndefined();
  expect(withoutPreflight([])).toBeUndefined();
});
