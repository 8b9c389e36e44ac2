import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { formatSeconds, openProgress } from '../../src/terminal/progress.ts';

/** A stream that keeps its text, and a clock that is moved by hand. */
function setUp(terminal = false) {
  const stream = Object.assign(new PassThrough(), terminal ? { isTTY: true, columns: 120 } : {});
  let text = '';
  stream.on('data', (data) => (text += data));
  let time = 0;
  const progress = openProgress({ stream, now: () => time });
  return {
    progress,
    text: () => text,
    lines: () => text.split('\n').slice(0, -1),
    wait: (seconds: number) => (time += seconds * 1000),
  };
}

describe('progress that is not on a terminal', () => {
  test('prints a line with count, share, rate, ETA and numbers every few seconds', () => {
    const { progress, lines, wait } = setUp();
    const phase = progress.phase('instruct', 450, { unit: 'tokens' });
    for (let step = 1; step <= 120; step++) {
      wait(0.1);
      phase.update(step, { loss: '1.31', accuracy: '0.62' }, step * 641.2);
    }
    expect(lines()).toEqual([
      'instruct  50/450  11%  6,412 tokens/s  eta 0:40  loss 1.31  accuracy 0.62',
      'instruct  100/450  22%  6,412 tokens/s  eta 0:35  loss 1.31  accuracy 0.62',
    ]);
    phase.finish();
    expect(lines().at(-1)).toBe('instruct  120/450  0:12  loss 1.31  accuracy 0.62');
  });

  test('says how long a step takes where that is long', () => {
    const { progress, lines, wait } = setUp();
    const phase = progress.phase('ppo', 4, { unit: 'steps' });
    wait(295);
    phase.update(1, { kl: '0.00' });
    expect(lines()).toEqual(['ppo  1/4  25%  4:55 a step  eta 14:45  kl 0.00']);
  });

  test('counts rate and ETA of a resumed phase from where it resumed', () => {
    const { progress, lines, wait } = setUp();
    const phase = progress.phase('ppo', 100, { start: 90 });
    wait(6);
    phase.update(93);
    expect(lines()).toEqual(['ppo  93/100  93%  0.50 steps/s  eta 0:14']);
  });

  test('shows the rate of the last seconds, not of the whole phase', () => {
    const { progress, lines, wait } = setUp();
    const phase = progress.phase('ppo', 1000);
    wait(100);
    phase.update(1);
    for (let step = 2; step <= 30; step++) {
      wait(1);
      phase.update(step);
    }
    expect(lines().at(-1)).toContain('1.00 steps/s');
  });

  test('shows a rate that the program measured itself', () => {
    const { progress, lines, wait } = setUp();
    const phase = progress.phase('rollout', 10);
    wait(5);
    phase.update(5, { rate: '31 responses/s', reward: '0.4' });
    expect(lines()).toEqual(['rollout  5/10  50%  31 responses/s  eta 0:05  reward 0.4']);
    phase.finish('mean reward 0.4');
    expect(lines().at(-1)).toBe('rollout  5/10  0:05  mean reward 0.4');
  });

  test('finishes an open phase when the next begins, and only once', () => {
    const { progress, lines } = setUp();
    const first = progress.phase('a', 1);
    first.update(1);
    progress.phase('b', 1);
    first.finish();
    progress.close();
    expect(lines()).toEqual(['a  1/1  0:00']);
  });

  test('prints lines as they are said', () => {
    const { progress, lines } = setUp();
    progress.phase('a', 2);
    progress.say('lane cpu');
    expect(lines()).toEqual(['lane cpu']);
    progress.close();
  });
});

describe('progress on a terminal', () => {
  test('draws a bar, and says lines above it', () => {
    const { progress, text, wait } = setUp(true);
    const phase = progress.phase('instruct', 4);
    wait(1);
    phase.update(2, { loss: '1.31' });
    progress.say('saved a checkpoint');
    phase.finish();
    const plain = stripVTControlCharacters(text());
    expect(plain).toContain('░░░░░░░░░░░░░░░░░░░░ instruct  0/4  0%');
    expect(plain).toContain('saved a checkpoint\n');
    expect(plain).toContain('██████████░░░░░░░░░░ instruct  2/4  50%  2.00 steps/s  eta 0:01  loss 1.31');
    expect(plain.endsWith('instruct  2/4  0:01  loss 1.31\n')).toBe(true);
  });

  test('never writes a line between where the bar saves the cursor and where it restores it', () => {
    const { progress, text } = setUp(true);
    const phase = progress.phase('a', 2);
    progress.say('one');
    phase.update(1);
    progress.say('two');
    phase.finish();
    // ESC 7 saves the cursor and ESC 8 restores it; a new line between them would be written over.
    const spans = text()
      .split('\u001b7')
      .slice(1)
      .map((part) => part.split('\u001b8'));
    expect(spans.map((parts) => parts.length)).toEqual([2, 2, 2]);
    for (const [bar] of spans) expect(bar).not.toContain('\n');
    expect(stripVTControlCharacters(text())).toMatch(/one\n.*two\n.*a {2}1\/2 {2}0:00\n$/s);
  });

  test('leaves nothing running after it is closed', () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const { progress } = setUp(true);
    progress.phase('a', 10);
    expect(timers()).toBe(before + 1);
    progress.close();
    expect(timers()).toBe(before);
  });
});

test('prints nothing where it is quiet', () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true });
  const progress = openProgress({ stream, quiet: true });
  progress.say('a');
  const phase = progress.phase('b', 1);
  phase.update(1);
  phase.finish();
  expect(stream.read()).toBeNull();
});

test.each([
  [0, '0:00'],
  [52, '0:52'],
  [59.6, '1:00'],
  [725, '12:05'],
  [3725, '1:02:05'],
])('shows %d seconds as %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});
