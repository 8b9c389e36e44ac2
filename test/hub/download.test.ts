import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectWeights, isStore, part, taken, useFetching, weights } from './fetching.ts';

const fetching = useFetching();
const { inFolder, said, get, problems, expectNothing } = fetching;
const later = 'Run this again later: what came so far is kept.';

describe('a download', () => {
  /** Ends the connection after some bytes of the weights, `times` times. */
  function breakOff(times: number, bytes: number): void {
    fetching.fake.intercept = (path, response, { headers }) => {
      if (!isStore(path) || times-- <= 0) return false;
      const from = Number(/\d+/.exec(headers.range ?? '')?.[0] ?? 0);
      const range = { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` };
      response.writeHead(from > 0 ? 206 : 200, { ...range, 'content-length': weights.length - from });
      // Not before the other side has put them down: what lies in its buffers goes with the connection.
      const stored = inFolder('models', '.tiny.download', part);
      const destroy = (): void => {
        const size = existsSync(stored) ? statSync(stored).size : 0;
        if (size >= from + bytes || response.closed) response.destroy();
        else setTimeout(destroy, 5);
      };
      response.write(weights.subarray(from, from + bytes), destroy);
      return true;
    };
  }

  it('that breaks off goes on where it was, more often than there are waits as long as something comes', async () => {
    breakOff(5, 400_000);
    await get();
    expectWeights(inFolder('models', 'tiny'));
    const ranges = fetching.fake.requests.filter(({ path }) => isStore(path)).map(({ range }) => range);
    expect(ranges).toEqual([undefined, ...[1, 2, 3, 4, 5].map((i) => `bytes=${i * 400_000}-`)]);
    expect(said).toHaveLength(5);
    expect(said[0]).toMatch(/^model\.safetensors: .+; trying again in 0\.001 s$/);
  });

  it('that fails for good leaves what came beside the folder, and the next call fetches the rest', async () => {
    breakOff(1, 1_000_000);
    const first = fetching.fake.intercept;
    fetching.fake.intercept = (path, response, request) => {
      if (first(path, response, request)) return true;
      if (isStore(path)) response.writeHead(503).end();
      return isStore(path);
    };
    expect(await problems()).toEqual([
      `${fetching.fake.hub.endpoint}: model.safetensors could not be had (the server answered 503). ${later}`,
    ]);
    expectNothing();
    expect(readFileSync(inFolder('models', '.tiny.download', part)).equals(weights.subarray(0, 1_000_000))).toBe(true);
    fetching.fake.intercept = () => false;
    fetching.fake.requests.length = 0;
    const begins: number[][] = [];
    await get({ begins: (...numbers) => begins.push(numbers) });
    expect(begins).toEqual([[3_000_024, 1_000_024]]);
    expect(fetching.fake.requests.map(({ range }) => range)).toEqual([undefined, 'bytes=1000000-', 'bytes=1000000-']);
    expectWeights(inFolder('models', 'tiny'));
  });

  it('that is stopped keeps what came, and says nothing of the network', async () => {
    const stop = new AbortController();
    breakOff(9, 500_000);
    const received = (bytes: number): void => {
      if (bytes > 300_000) stop.abort(new Error('stopped'));
    };
    await expect(get({ signal: stop.signal, received })).rejects.toThrow('stopped');
    expectNothing();
    expect(said).toEqual([]);
    expect(readdirSync(inFolder('models', '.tiny.download'))).toContain(part);
    fetching.fake.intercept = () => false;
    expect(await get()).toMatchObject({ fetched: true });
    expectWeights(inFolder('models', 'tiny'));
  });

  it('begins anew where the server ignores ranges or has no rest, and ends where that never gets further', async () => {
    const scratch = inFolder('models', '.tiny.download');
    mkdirSync(scratch, { recursive: true });
    writeFileSync(`${scratch}/${part}`, weights.subarray(0, 1000));
    fetching.fake.intercept = (path, response) => {
      if (isStore(path)) response.end(weights);
      return isStore(path);
    };
    await get();
    expectWeights(inFolder('models', 'tiny'));

    const other = inFolder('.other.download');
    mkdirSync(other);
    writeFileSync(`${other}/${part}`, weights.subarray(0, 1000));
    fetching.fake.intercept = (path, response, { headers }) => {
      if (!isStore(path) || headers.range === undefined) return false;
      response.writeHead(416).end();
      return true;
    };
    await get({ folder: inFolder('other') });
    expectWeights(inFolder('other'));

    fetching.fake.intercept = (path, response) => {
      if (!isStore(path)) return false;
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, 700_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    const [problem] = await problems({ folder: inFolder('third') });
    expect(problem).toMatch(/model\.safetensors could not be had/);
    expect(existsSync(inFolder('third'))).toBe(false);
  });

  it('of damaged bytes is tried twice and then given up, keeping nothing', async () => {
    const damaged = Buffer.from(weights);
    damaged[1234] = (damaged[1234] as number) ^ 1;
    let times = 2;
    fetching.fake.intercept = (path, response) => {
      if (!isStore(path) || times-- <= 0) return false;
      response.end(damaged);
      return true;
    };
    const sha256 = createHash('sha256').update(weights).digest('hex');
    expect(await problems()).toEqual([
      `model.safetensors: came twice with another sha256 than the ${sha256} that ${fetching.fake.hub.endpoint} lists. ` +
        'Nothing of it was kept. A proxy or a mirror changes it: try another network or HF_ENDPOINT.',
    ]);
    expectNothing();
    expect(readdirSync(inFolder('models', '.tiny.download'))).not.toContain(part);
    times = 1;
    expect(await get()).toMatchObject({ fetched: true });
  });

  it('of small files is checked by git’s hash, and a wrong start of a file is found however it came', async () => {
    fetching.fake.intercept = (path, response) => {
      if (path.endsWith('/config.json')) response.end('{"model_type": "gpt3"}');
      return path.endsWith('/config.json');
    };
    expect((await problems())[0]).toMatch(/^config\.json: came twice with another git-sha1 than the [0-9a-f]{40} that/);
    fetching.fake.intercept = () => false;
    writeFileSync(inFolder('models', '.tiny.download', part), Buffer.alloc(1_000_000));
    await get();
    expectWeights(inFolder('models', 'tiny'));
  });

  it('of more bytes than listed, or of another range than asked for, is refused', async () => {
    fetching.fake.intercept = (path, response) => {
      if (isStore(path)) response.end(Buffer.concat([weights, weights]));
      return isStore(path);
    };
    expect(await problems()).toEqual(['model.safetensors: more than the 3000000 bytes came that the server lists.']);
    mkdirSync(inFolder('.x.download'));
    writeFileSync(inFolder('.x.download', part), weights.subarray(0, 5));
    fetching.fake.intercept = (path, response) => {
      if (isStore(path)) response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789');
      return isStore(path);
    };
    expect(await problems({ folder: inFolder('x') })).toEqual([
      'model.safetensors: asked for bytes 5 to 3000000, and the server answered 206 with bytes 0-9/10.',
    ]);
  });

  it('for which the disk has no room is refused before the weights are asked for', async () => {
    fetching.fake.listing = (answer) => {
      const last = answer.siblings.find(({ rfilename }) => rfilename === 'model.safetensors');
      Object.assign(last?.lfs as object, { size: 2 ** 52 });
      return answer;
    };
    const [problem] = await problems();
    expect(problem).toMatch(
      /^models: has [\d,]+ MB free; the files need 4,503,599,628 MB more\. Free some space, or choose a folder on another/,
    );
    expect(fetching.fake.requests.some(({ path }) => isStore(path))).toBe(false);
  });

  it('removes what an earlier commit left unfinished', async () => {
    const scratch = inFolder('models', '.tiny.download');
    mkdirSync(scratch, { recursive: true });
    writeFileSync(`${scratch}/model.safetensors.0000000000000000.part`, 'old');
    writeFileSync(`${scratch}/model.safetensors`, 'of another commit');
    await get();
    expect(readdirSync(inFolder('models', 'tiny')).sort()).toEqual(taken);
    expectWeights(inFolder('models', 'tiny'));
  });

  it('of a folder that someone makes meanwhile leaves it alone', async () => {
    const received = (): void => {
      mkdirSync(inFolder('models', 'tiny'), { recursive: true });
      writeFileSync(inFolder('models', 'tiny', 'notes.txt'), 'mine');
    };
    expect((await problems({ received }))[0]).toMatch(/^models\/tiny: could not be written \(ENOTEMPTY/);
    expect(readdirSync(inFolder('models', 'tiny'))).toEqual(['notes.txt']);
  });

  it('on which nothing comes for too long is given up and tried again', async () => {
    let times = 1;
    fetching.fake.intercept = (path) => isStore(path) && times-- > 0;
    await get({ hub: { ...fetching.fake.hub, stall: 200 } });
    expect(said).toEqual(['model.safetensors: nothing came for 0.2 s; trying again in 0.001 s']);
  });

  it('waits as long as a busy server asks for', async () => {
    let times = 1;
    fetching.fake.intercept = (path, response) => {
      if (!isStore(path) || times-- <= 0) return false;
      response.writeHead(429, { 'retry-after': '0.25' }).end();
      return true;
    };
    const start = performance.now();
    await get();
    expect(performance.now() - start).toBeGreaterThan(240);
    expect(said).toEqual(['model.safetensors: the server answered 429; trying again in 0.25 s']);
  });
});
