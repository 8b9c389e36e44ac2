/** Turns of the event loop while tokens are decoded; the clock is one of our own. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeSteps } from '../../src/decoding/decode-steps.ts';
import { takeTurn } from '../../src/decoding/turns.ts';
import { disposeModel } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { useLane } from '../helpers/use-lane.ts';
import { tinyIds, tinyModel } from '../model/tiny-model.ts';

let time = performance.now();
beforeEach(async () => {
  vi.spyOn(performance, 'now').mockImplementation(() => time);
  // From here on time passes only where a test lets it.
  time += 1000;
  await takeTurn();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('takeTurn', () => {
  it('lets signals, immediates and timers that are due be handled, once 100 ms have passed', async () => {
    const seen: string[] = [];
    const note = (what: string) => () => void seen.push(what);
    process.once('SIGUSR2', note('signal'));
    process.kill(process.pid, 'SIGUSR2');
    setImmediate(note('immediate'));
    time += 99;
    await takeTurn();
    expect(seen).toEqual([]);
    time += 1;
    await takeTurn();
    expect(seen).toContain('immediate');
    // A signal comes when the system sends it: some turns later at the latest.
    for (let turn = 0; turn < 1000 && !seen.includes('signal'); turn++) {
      time += 100;
      await takeTurn();
    }
    expect(seen).toContain('signal');
  });

  it('counts from the end of the last turn', async () => {
    let fired = false;
    time += 100;
    await takeTurn();
    setImmediate(() => {
      fired = true;
    });
    await takeTurn();
    expect(fired).toBe(false);
  });
});

describe('decodeSteps', () => {
  /** How many immediates have fired at each step, where each step asks for one and takes so many milliseconds. */
  async function firedAt(milliseconds: number): Promise<number[]> {
    await useLane();
    const model = tinyModel();
    const options = { temperature: 1, topK: 0, topP: 1, maxNewTokens: 8, batchSize: 2 };
    const prompts = [tinyIds(3, 1), tinyIds(5, 2)];
    const found: number[] = [];
    let fired = 0;
    for await (const _ of decodeSteps(model, prompts, options, { padId: 0, eosId: -1 }, seededRandom(1))) {
      found.push(fired);
      setImmediate(() => {
        fired += 1;
      });
      time += milliseconds;
    }
    disposeModel(model);
    return found;
  }

  it('gives a turn between slow steps', async () => {
    expect(await firedAt(150)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('gives a turn now and then between quick ones', async () => {
    expect(await firedAt(40)).toEqual([0, 0, 0, 3, 3, 3, 6, 6]);
  });
});
